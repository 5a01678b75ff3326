"""Dates become numbers since each patient's baseline, and come back as dates."""

from __future__ import annotations

import polars as pl

from longsynth.schema.types import DAYS_PER_UNIT, Schema

_MICROSECONDS_PER_DAY = 86_400_000_000


def first_visit(visits: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Return one row a patient: the id and the first visit's date, named as ``schema.visit_time.origin``."""
    time = schema.visit_time
    assert time is not None and time.origin is not None  # the caller has looked
    return visits.group_by(schema.patient_id).agg(pl.col(time.column).min().alias(time.origin))


def to_number(column: str, origin: str, schema: Schema) -> pl.Expr:
    """Return the expression for the time between ``origin`` and ``column`` in ``schema.time_unit``.

    Whole days stay integers; every other unit is a float.
    """
    elapsed = pl.col(column) - pl.col(origin)
    if schema.time_unit == "days" and not _has_time(schema):
        return elapsed.dt.total_days().alias(column)
    microseconds = DAYS_PER_UNIT[schema.time_unit] * _MICROSECONDS_PER_DAY
    return (elapsed.dt.total_microseconds() / microseconds).alias(column)


def to_date(column: str, origin: str, schema: Schema, kind: str) -> pl.Expr:
    """Return the expression for the date that lies ``column`` after ``origin``, to the day or the microsecond."""
    days = pl.col(column) * DAYS_PER_UNIT[schema.time_unit]
    if kind == "date":
        return (pl.col(origin).cast(pl.Date) + pl.duration(days=days.round().cast(pl.Int64))).alias(column)
    microseconds = (days * _MICROSECONDS_PER_DAY).round().cast(pl.Int64)
    return (pl.col(origin) + pl.duration(microseconds=microseconds)).alias(column)


def restore(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with numbers since baseline as dates again, and without a derived baseline column."""
    time, end = schema.visit_time, schema.terminal_event
    if time is None or time.kind == "number":
        return static, visits
    origin = str(time.origin)
    baseline = static.select(schema.patient_id, origin)
    joined = visits.join(baseline, on=schema.patient_id, how="left", maintain_order="left")
    visits = joined.with_columns(to_date(time.column, origin, schema, time.kind)).select(visits.columns)
    if end is not None and end.kind != "number":
        static = static.with_columns(to_date(end.duration, origin, schema, end.kind))
    return static.drop(origin) if time.origin_is_first_visit else static, visits


def _has_time(schema: Schema) -> bool:
    return schema.visit_time is not None and schema.visit_time.kind == "datetime"
