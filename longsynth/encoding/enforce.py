"""The last word of the schema's constraints: exact repair of what sampling by classes leaves open inside a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from longsynth.encoding.levels import level_numbers, level_position
from longsynth.schema.types import Absorbing, Channel, Monotone, Ordered, Schema

Conform = Callable[[np.ndarray], np.ndarray]


def enforce_static(schema: Schema, static: pl.DataFrame, conform: Mapping[str, Conform]) -> pl.DataFrame:
    """Return decoded static columns with every ``ordered`` constraint true.

    ``conform`` holds, by name of a numeric column, what moves values to its precision and bounds.
    """
    return _all_ordered(schema, static, set(schema.static), conform)


def enforce_visits(schema: Schema, visits: pl.DataFrame, conform: Mapping[str, Conform]) -> pl.DataFrame:
    """Return decoded visits, sorted by patient and time, with every constraint true.

    ``monotone`` and ``absorbing`` constraints are applied before ``ordered`` ones. ``conform`` as above.
    """
    key = schema.patient_id
    for rule in schema.constraints:
        if isinstance(rule, Monotone):
            visits = _monotone(visits, key, rule, schema.channels[rule.channel])
        elif isinstance(rule, Absorbing):
            visits = _absorbing(visits, key, rule, schema.channels[rule.channel])
    return _all_ordered(schema, visits, set(schema.channels), conform)


def _all_ordered(schema: Schema, table: pl.DataFrame, names: set[str], conform: Mapping[str, Conform]) -> pl.DataFrame:
    """Apply the constraints within ``names`` as often as a chain of them may need."""
    rules = [rule for rule in schema.constraints if isinstance(rule, Ordered) and {rule.lower, rule.upper} <= names]
    for _ in rules:
        for rule in rules:
            table = _ordered(table, rule, conform)
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


def _ordered(table: pl.DataFrame, rule: Ordered, conform: Mapping[str, Conform]) -> pl.DataFrame:
    """Exchange the values of a pair in the wrong order; where that leaves their ranges, move them together."""
    low, high = table[rule.lower], table[rule.upper]
    if low.dtype.is_temporal():
        wrong = (low > high).fill_null(False)
        return table.with_columns(
            high.zip_with(wrong, low).alias(rule.lower), low.zip_with(wrong, high).alias(rule.upper)
        )
    a, b = low.cast(pl.Float64).to_numpy(), high.cast(pl.Float64).to_numpy()
    is_wrong = a > b
    new_a = np.where(is_wrong, conform[rule.lower](b), a)
    new_b = np.where(is_wrong, conform[rule.upper](a), b)
    still = new_a > new_b
    new_a = np.where(still, conform[rule.lower](new_b), new_a)
    new_b = np.where(still & (new_a > new_b), conform[rule.upper](new_a), new_b)
    columns = [(rule.lower, new_a, low.dtype), (rule.upper, new_b, high.dtype)]
    return table.with_columns(pl.Series(n, v, nan_to_null=True).cast(t) for n, v, t in columns)
