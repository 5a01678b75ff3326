"""The last word of the schema's constraints: exact repair of what sampling by classes leaves open inside a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from longsynth.encoding.dates import date_numbers, local_days, per_day
from longsynth.encoding.items import in_type, numbers_of
from longsynth.encoding.levels import level_numbers, level_position
from longsynth.schema.types import Absorbing, Channel, Constant, Monotone, Ordered, Schema

_MOST_ROUNDS = 10
Conform = Callable[[np.ndarray], np.ndarray]


def enforce_static(schema: Schema, static: pl.DataFrame, conform: Mapping[str, Conform]) -> pl.DataFrame:
    """Return decoded static columns with every ``ordered`` constraint true.

    ``conform`` holds, by name of a column of numbers or dates, what moves values to its precision and bounds.
    """
    return _all_ordered(schema, static, set(schema.static), conform, set())


def enforce_visits(schema: Schema, visits: pl.DataFrame, conform: Mapping[str, Conform]) -> pl.DataFrame:
    """Return decoded visits, sorted by patient and time, with every constraint true.

    ``monotone`` and ``absorbing`` constraints are applied before ``ordered`` ones, and again as long as these move
    anything. ``conform`` as above.
    """
    constant = {rule.channel for rule in schema.constraints if isinstance(rule, Constant)}
    for _ in range(_MOST_ROUNDS):
        moved = _all_ordered(schema, _within_patient(schema, visits), set(schema.channels), conform, constant)
        if moved.equals(visits):
            break
        visits = moved
    return visits


def _within_patient(schema: Schema, visits: pl.DataFrame) -> pl.DataFrame:
    for rule in schema.constraints:
        if isinstance(rule, Monotone):
            visits = _monotone(visits, schema.patient_id, rule, schema.channels[rule.channel])
        elif isinstance(rule, Absorbing):
            visits = _absorbing(visits, schema.patient_id, rule, schema.channels[rule.channel])
    return visits


def _all_ordered(
    schema: Schema, table: pl.DataFrame, names: set[str], conform: Mapping[str, Conform], constant: set[str]
) -> pl.DataFrame:
    """Apply the constraints within ``names`` as often as a chain of them may need; ``constant`` ones move together."""
    rules = [rule for rule in schema.constraints if isinstance(rule, Ordered) and {rule.lower, rule.upper} <= names]
    for _ in rules:
        for rule in rules:
            fixed = {rule.lower, rule.upper} & constant
            table = _ordered(table, rule, conform, fixed if len(fixed) == 1 else set())
    return table


def _monotone(visits: pl.DataFrame, key: str, rule: Monotone, channel: Channel) -> pl.DataFrame:
    rises = rule.direction == "increasing"
    running = pl.col("_value").cum_max() if rises else pl.col("_value").cum_min()
    column = visits[rule.channel]
    if channel.levels is None:
        values = column
    else:
        ranks = level_numbers(column, channel.levels)
        values = pl.Series(ranks).set(pl.Series(ranks < 0), None)
    new = visits.select(pl.col(key), values.alias("_value")).select(running.over(key))["_value"]
    if channel.levels is not None:
        levels = pl.Series(list(channel.levels), strict=False)
        new = levels.gather(new.fill_null(0)).cast(column.dtype)
    return visits.with_columns(new.zip_with(column.is_not_null(), column).alias(rule.channel))


def _absorbing(visits: pl.DataFrame, key: str, rule: Absorbing, channel: Channel) -> pl.DataFrame:
    assert channel.levels is not None
    position = level_position(rule.level, channel.levels)
    column = visits[rule.channel]
    is_level = pl.Series("_level", level_numbers(column, channel.levels) == position)
    reached = visits.select(pl.col(key), is_level).select(pl.col("_level").cum_max().over(key))["_level"]
    level = pl.Series([rule.level]).cast(column.dtype)
    new = level.new_from_index(0, len(column)).zip_with(reached & column.is_not_null(), column)
    return visits.with_columns(new.alias(rule.channel))


def _ordered(table: pl.DataFrame, rule: Ordered, conform: Mapping[str, Conform], fixed: set[str]) -> pl.DataFrame:
    """Exchange the values of a pair in the wrong order; where that leaves their ranges, move them together.

    A ``fixed`` one of the two stays as it is.
    """
    low, high = table[rule.lower], table[rule.upper]
    wrong = _is_above(low, high)
    if not wrong.any():
        return table
    new_low = low if rule.lower in fixed else _moved(low, high, wrong, conform[rule.lower])
    new_high = high if rule.upper in fixed else _moved(high, low, wrong, conform[rule.upper])
    if rule.lower not in fixed:
        new_low = _moved(new_low, new_high, _is_above(new_low, new_high), conform[rule.lower])
    if rule.upper not in fixed:
        new_high = _moved(new_high, new_low, _is_above(new_low, new_high), conform[rule.upper])
    return table.with_columns(new_low, new_high)


def _is_above(low: pl.Series, high: pl.Series) -> pl.Series:
    """Return where a pair is in the wrong order; dates and datetimes compare by the day."""
    if low.dtype.is_temporal() and low.dtype != high.dtype:
        low, high = local_days(low), local_days(high)
    return (low > high).fill_null(False)


def _moved(column: pl.Series, onto: pl.Series, where: pl.Series, conform: Conform) -> pl.Series:
    """Return a column that takes the values of another at some rows, as far as its type, precision and bounds allow."""
    dtype = str(column.dtype)
    own = numbers_of(column, dtype)
    if column.dtype.is_temporal() and column.dtype not in (onto.dtype, pl.Date):  # the time of day stays
        days = date_numbers(onto, "Date") - date_numbers(column, "Date")
        other = own + days * per_day(dtype)
    else:
        other = numbers_of(onto, dtype)
    return in_type(pl.Series(column.name, np.where(where, conform(other), own), nan_to_null=True), dtype)
