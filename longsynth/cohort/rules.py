"""What each column and each constraint of a schema asks of canonical tables, and how many rows break it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import polars as pl

from longsynth.cohort.columns import counted
from longsynth.schema.types import LEVEL_KINDS, Absorbing, Column, Constant, Level, Monotone, Ordered, Schema


class Rule(NamedTuple):
    """One thing that must hold in every row.

    Attributes
    ----------
    broken : polars.Expr
        True in the rows that break it.
    complaint : str
        What is wrong with those rows and what to do, to follow "3 rows".
    declared : bool
        False if it rests on a fact that was read off other data, so that breaking it is no error.
    """

    broken: pl.Expr
    complaint: str
    declared: bool = True


class Findings(NamedTuple):
    """What broke a declared rule, and what only broke an inferred one."""

    problems: list[str]
    notes: list[str]


def check_columns(frame: pl.DataFrame, table: str, columns: Mapping[str, Column]) -> Findings:
    """Check every column of a table against what the schema says about it."""
    rules = [
        (name, rule) for name, column in columns.items() for rule in column_rules(name, column, frame.schema[name])
    ]
    counts = frame.select(rule.broken.sum().alias(str(i)) for i, (_, rule) in enumerate(rules)).row(0) if rules else ()
    found = Findings([], [])
    for (name, rule), n_broken in zip(rules, counts, strict=True):
        if n_broken:
            (found.problems if rule.declared else found.notes).append(
                f"{table}.{name}: {counted(n_broken)} {rule.complaint}"
            )
    return found


def check_constraints(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> list[str]:
    """Return a problem for each constraint that some patient breaks."""
    problems = []
    for constraint in schema.constraints:
        if isinstance(constraint, Ordered):
            table, frame = ("static", static) if constraint.lower in schema.static else ("visits", visits)
            where = f"{table}.{constraint.lower} and {constraint.upper}"
            n_broken = _n_true(frame, _is_above(frame, constraint))
            complaint = "in the wrong order"
        else:
            where = f"visits.{constraint.channel}"
            observed = visits.select(schema.patient_id, constraint.channel).drop_nulls()
            same_patient = pl.col(schema.patient_id) == pl.col(schema.patient_id).shift(1)
            broken, complaint = _breaks(
                constraint, schema.channels[constraint.channel], visits.schema[constraint.channel]
            )
            n_broken = _n_true(observed, same_patient & broken)
        if n_broken:
            remedy = f"correct them, or remove the {constraint.rule} constraint"
            problems.append(f"{where}: {counted(n_broken)} {complaint}; {remedy}")
    return problems


def column_rules(name: str, column: Column, dtype: pl.DataType) -> Iterator[Rule]:
    """Yield what must hold for every value of a column of this type, by its entry in the schema."""
    value = pl.col(name)
    if column.kind in LEVEL_KINDS:
        known = _is_level(value, dtype, column.levels or ())
        yield Rule(~known, "with a value that is none of the levels; correct it, or add it to the levels")
        return
    if dtype.is_float():
        yield Rule(value.is_infinite(), "with an infinite value; correct it, or leave it empty")
    if column.kind == "count":
        broken = (value < 0) | ((value != value.floor()) & value.is_finite() if dtype.is_float() else pl.lit(False))
        yield Rule(broken, "with no whole number of at least 0; correct them, or make the kind continuous")
    if column.decimals is not None and dtype.is_float():
        declared = "decimals" not in column.inferred
        more = has_more_decimals(value, column.decimals, dtype)
        yield Rule(more, "with more decimal places than `decimals`; round them, or raise it", declared)
    yield from _bound_rules(value, column, dtype)


def _bound_rules(value: pl.Expr, column: Column, dtype: pl.DataType) -> Iterator[Rule]:
    lower, upper = column.bounds or (None, None)
    declared = "bounds" not in column.inferred
    remedy = "correct them, or widen `bounds`"
    finite = value.is_finite() if dtype.is_float() else pl.lit(True)
    for bound, side in ((lower, "below the lower"), (upper, "above the upper")):
        if bound is None:
            continue
        compared, limit = _alike(value, dtype, bound) if isinstance(bound, dt.date) else (value, bound)
        outside = compared < limit if bound is lower else compared > limit
        yield Rule(outside & finite, f"{side} bound; {remedy}", declared)


def _alike(value: pl.Expr, dtype: pl.DataType, bound: dt.date) -> tuple[pl.Expr, dt.date]:
    """Return a date column and its bound such that they compare: days with a date, instants with a datetime."""
    if not isinstance(bound, dt.datetime):
        return _local(value, dtype).cast(pl.Date), bound
    if bound.tzinfo is None or getattr(dtype, "time_zone", None) is None:
        return _local(value, dtype).cast(pl.Datetime("us")), bound.replace(tzinfo=None)
    utc = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return utc, bound.astimezone(dt.UTC).replace(tzinfo=None)


def _local(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return dates as the clock on the wall shows them, without a time zone."""
    return value if dtype == pl.Date else value.dt.replace_time_zone(None)


def has_more_decimals(value: pl.Expr, decimals: int, dtype: pl.DataType) -> pl.Expr:
    """Return the expression that is True where a value is not a multiple of ``10**-decimals``, up to float rounding."""
    scaled = value.cast(pl.Float64) * 10.0**decimals
    epsilon = 2e-7 if dtype == pl.Float32 else 4e-16
    return ((scaled - scaled.round()).abs() > 1e-6 + scaled.abs() * epsilon) & value.is_finite()


def _is_level(value: pl.Expr, dtype: pl.DataType, levels: tuple[Level, ...]) -> pl.Expr:
    if dtype == pl.String:
        return value.is_in([str(level) for level in levels])
    return value.cast(pl.Float64).is_in(_numbers(levels, dtype))


def _breaks(constraint: Monotone | Absorbing | Constant, channel: Column, dtype: pl.DataType) -> tuple[pl.Expr, str]:
    """Return where an observed value breaks a rule with the one before it, and what that is called."""
    value = pl.col(constraint.channel)
    if isinstance(constraint, Constant):
        return value != value.shift(1), "with a change within a patient"
    if isinstance(constraint, Absorbing):
        absorbed = _is_level(value, dtype, (constraint.level,))
        return absorbed.shift(1) & ~absorbed, "where an absorbing level is left"
    rank = value if channel.kind not in LEVEL_KINDS else _rank(value, dtype, channel.levels or ())
    falls = rank < rank.shift(1) if constraint.direction == "increasing" else rank > rank.shift(1)
    return falls, f"where a channel that only goes {'up' if constraint.direction == 'increasing' else 'down'} does not"


def _rank(value: pl.Expr, dtype: pl.DataType, levels: tuple[Level, ...]) -> pl.Expr:
    """Return each value's position in the levels."""
    known = [str(level) for level in levels] if dtype == pl.String else _numbers(levels, dtype)
    comparable = value if dtype == pl.String else value.cast(pl.Float64)
    return comparable.replace_strict(list(known), list(range(len(levels))), default=None, return_dtype=pl.Int64)


def _is_above(frame: pl.DataFrame, constraint: Ordered) -> pl.Expr:
    lower, upper = pl.col(constraint.lower), pl.col(constraint.upper)
    types = frame.schema[constraint.lower], frame.schema[constraint.upper]
    if types[0] != types[1] and types[0].is_temporal():
        return _local(lower, types[0]).cast(pl.Date) > _local(upper, types[1]).cast(pl.Date)
    return lower > upper


def _numbers(levels: tuple[Level, ...], dtype: pl.DataType) -> list[float]:
    numbers = pl.Series([float(level) for level in levels if not isinstance(level, str)], dtype=pl.Float64)
    return numbers.cast(dtype).cast(pl.Float64).to_list() if dtype == pl.Float32 else numbers.to_list()


def _n_true(frame: pl.DataFrame, condition: pl.Expr) -> int:
    return int(frame.select(condition.sum()).item())
