"""Dates become numbers since each patient's baseline, and come back as dates."""

from __future__ import annotations

import polars as pl

from longsynth.schema.types import DAYS_PER_UNIT, Schema

_MICROSECONDS_PER_DAY = 86_400_000_000
_BASELINE = "__baseline"


def to_numbers(
    static: pl.DataFrame, visits: pl.DataFrame, schema: Schema, problems: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with visit times and durations as numbers since each patient's baseline.

    A baseline that is the first visit is computed here if the static table lacks it. Columns that are numbers already
    stay as they are. What is wrong is added to ``problems``.
    """
    time, end, patient_id = schema.visit_time, schema.terminal_event, schema.patient_id
    if time is None or time.kind == "number":
        return static, visits
    origin = str(time.origin)
    if origin not in static.columns:
        first = visits.group_by(patient_id).agg(pl.col(time.column).min().alias(origin))
        static = static.join(first, on=patient_id, how="left")
    dated = {f"visits.{time.column}": visits.schema[time.column]}
    if end is not None:
        dated[f"static.{end.duration}"] = static.schema[end.duration]
    dated = {where: dtype for where, dtype in dated.items() if dtype.is_temporal()}
    if time.kind == "datetime":
        zone = next((_zone(dtype) for dtype in dated.values()), None)
        static = static.with_columns(_with_time(static.schema[origin], origin, zone))
    mixed = [where for where, dtype in dated.items() if _zone(dtype) != _zone(static.schema[origin])]
    if mixed:
        columns = ", ".join([*mixed, f"static.{origin}"])
        problems.append(f"{columns}: mixed time zones; convert them all to one zone, or leave the zone out")
        return static, visits
    if f"visits.{time.column}" in dated:
        elapsed = _elapsed(pl.col(time.column) - pl.col(_BASELINE), schema)
        visits = _with_baseline(static, visits, schema).with_columns(elapsed.alias(time.column)).drop(_BASELINE)
    if end is not None and f"static.{end.duration}" in dated:
        static = static.with_columns(_elapsed(pl.col(end.duration) - pl.col(origin), schema).alias(end.duration))
    return static, visits


def restore(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with numbers since baseline as dates again, and without a derived baseline column."""
    time, end = schema.visit_time, schema.terminal_event
    if time is None or time.kind == "number":
        return static, visits
    origin = str(time.origin)
    dated = _with_baseline(static, visits, schema)
    date = _date(pl.col(_BASELINE), pl.col(time.column), schema, time.kind)
    visits = dated.with_columns(date.alias(time.column)).drop(_BASELINE)
    if end is not None and end.kind != "number":
        date = _date(pl.col(origin), pl.col(end.duration), schema, end.kind)
        static = static.with_columns(date.alias(end.duration))
    return static.drop(origin) if time.origin_is_first_visit else static, visits


def visit_dates(baseline: pl.Series, elapsed: pl.Series, schema: Schema) -> pl.Series:
    """Return the date of each visit, as `restore` writes it.

    Parameters
    ----------
    baseline : polars.Series
        Baseline date of each visit's patient, shape (V,); null where it is missing.
    elapsed : polars.Series
        Visit times in ``schema.time_unit`` since baseline, shape (V,).
    schema : Schema
        Its visit times are dates.

    Returns
    -------
    polars.Series
        Dates or datetimes, shape (V,).
    """
    assert schema.visit_time is not None  # for the type checker
    kind = schema.visit_time.kind
    if kind == "datetime" and baseline.dtype == pl.Date:
        baseline = baseline.cast(pl.Datetime("us"))
    table = pl.DataFrame({"baseline": baseline, "elapsed": elapsed})
    return table.select(visit=_date(pl.col("baseline"), pl.col("elapsed"), schema, kind))["visit"]


def _with_baseline(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    assert schema.visit_time is not None  # for the type checker: the callers have looked
    baseline = static.select(schema.patient_id, pl.col(str(schema.visit_time.origin)).alias(_BASELINE))
    unique = baseline.unique(schema.patient_id, keep="any")
    return visits.join(unique, on=schema.patient_id, how="left", maintain_order="left")


def _elapsed(elapsed: pl.Expr, schema: Schema) -> pl.Expr:
    """Return a difference of dates as a number of ``schema.time_unit``; whole days stay integers."""
    whole_days = schema.visit_time is not None and schema.visit_time.kind == "date"
    if schema.time_unit == "days" and whole_days:
        return elapsed.dt.total_days()
    return elapsed.dt.total_microseconds() / (DAYS_PER_UNIT[schema.time_unit] * _MICROSECONDS_PER_DAY)


def _date(origin: pl.Expr, elapsed: pl.Expr, schema: Schema, kind: str) -> pl.Expr:
    """Return the date that lies ``elapsed`` after ``origin``, to the day or the microsecond."""
    days = elapsed * DAYS_PER_UNIT[schema.time_unit]
    if kind == "date":
        return origin.cast(pl.Date) + pl.duration(days=days.round().cast(pl.Int64))
    return origin + pl.duration(microseconds=(days * _MICROSECONDS_PER_DAY).round().cast(pl.Int64))


def _with_time(dtype: pl.DataType, origin: str, zone: str | None) -> pl.Expr:
    """Return the baseline with a time of day; a bare date is midnight in the zone of the visits."""
    column = pl.col(origin)
    return column.cast(pl.Datetime("us")).dt.replace_time_zone(zone) if dtype == pl.Date else column


def _zone(dtype: pl.DataType) -> str | None:
    return getattr(dtype, "time_zone", None)
