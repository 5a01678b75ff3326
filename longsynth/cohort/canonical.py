"""Tables as the user has them become the canonical tables of a cohort: named columns, plain types, times as numbers."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

import polars as pl

from longsynth.cohort import dates
from longsynth.cohort.columns import Converted, convert, to_date, to_event, to_id, to_number
from longsynth.schema.types import Column, Schema, TerminalEvent, VisitTime

Conversion = Callable[[pl.Series], Converted]


def canonical_static(
    table: pl.DataFrame, schema: Schema, problems: list[str], *, numbers_for_dates: bool
) -> pl.DataFrame:
    """Return the static table with the schema's columns in their canonical types; add what is wrong to ``problems``."""
    time, end = schema.visit_time, schema.terminal_event
    conversions: dict[str, Conversion] = {schema.patient_id: to_id}
    for name, column in schema.static.items():
        conversions[name] = partial(_convert, column=column, schema=schema)
    if time is not None and time.origin_is_first_visit and time.origin not in table.columns:
        conversions.pop(str(time.origin))
    if end is not None:
        conversions[end.duration] = partial(_time, declared=end, numbers_for_dates=numbers_for_dates)
        conversions[end.event] = to_event
    return _convert_table("static", table, conversions, problems)


def canonical_visits(
    table: pl.DataFrame, schema: Schema, problems: list[str], *, numbers_for_dates: bool
) -> pl.DataFrame:
    """Return the visits table with the schema's columns in their canonical types; add what is wrong to ``problems``."""
    time = schema.visit_time
    conversions: dict[str, Conversion] = {schema.patient_id: to_id}
    if time is not None:
        conversions[time.column] = partial(_time, declared=time, numbers_for_dates=numbers_for_dates)
    for name, column in schema.channels.items():
        conversions[name] = partial(_convert, column=column, schema=schema)
    return _convert_table("visits", table, conversions, problems)


def same_id_type(static: pl.DataFrame, visits: pl.DataFrame, patient_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with patient ids of one type: integers if both have integers, else text."""
    types = {static.schema[patient_id], visits.schema[patient_id]}
    if len(types) == 1:
        return static, visits
    common = pl.Int64 if all(dtype.is_integer() for dtype in types) else pl.String
    return static.with_columns(pl.col(patient_id).cast(common)), visits.with_columns(pl.col(patient_id).cast(common))


def times_as_numbers(
    static: pl.DataFrame, visits: pl.DataFrame, schema: Schema, problems: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with visit times and durations as numbers since each patient's baseline.

    A baseline that is the first visit is computed here if the static table lacks it.
    """
    time, end, patient_id = schema.visit_time, schema.terminal_event, schema.patient_id
    if time is None or time.kind == "number":
        return static, visits
    origin = str(time.origin)
    if origin not in static.columns:
        first = dates.first_visit(visits, schema)
        static = static.join(first, on=patient_id, how="left")
    dated = {("visits", time.column): visits.schema[time.column]}
    if end is not None and end.kind != "number":
        dated["static", end.duration] = static.schema[end.duration]
    dated = {where: dtype for where, dtype in dated.items() if dtype.is_temporal()}
    if time.kind == "datetime":
        static = static.with_columns(_as_datetime(static.schema[origin], origin, list(dated.values())))
    for (table, column), dtype in dated.items():
        if _zone(dtype) != _zone(static.schema[origin]):
            problems.append(f"{table}.{column} and static.{origin}: mixed time zones; convert them all to one zone")
            return static, visits
    baseline = static.select(patient_id, origin).unique(patient_id, keep="any")
    if ("visits", time.column) in dated:
        joined = visits.join(baseline, on=patient_id, how="left", maintain_order="left")
        visits = joined.with_columns(dates.to_number(time.column, origin, schema)).drop(origin)
    if end is not None and ("static", end.duration) in dated:
        static = static.with_columns(dates.to_number(end.duration, origin, schema))
    return static, visits


def unused_columns(table: pl.DataFrame, canonical: pl.DataFrame) -> list[str]:
    """Return the columns of ``table`` that the schema does not name."""
    return [name for name in table.columns if name not in canonical.columns]


def _convert(series: pl.Series, *, column: Column, schema: Schema) -> Converted:
    return convert(series, column, with_time=schema.visit_time is not None and schema.visit_time.kind == "datetime")


def _time(series: pl.Series, *, declared: VisitTime | TerminalEvent, numbers_for_dates: bool) -> Converted:
    if declared.kind == "number" or (numbers_for_dates and series.dtype.is_numeric()):
        values, problem = to_number(series)
        return Converted(values.cast(pl.Float64) if values.dtype == pl.Float32 else values, problem)
    values, problem = to_date(series, with_time=declared.kind == "datetime")
    return Converted(
        values.cast(pl.Datetime("us"))
        if declared.kind == "datetime" and not problem and values.dtype == pl.Date
        else values,
        problem,
    )


def _convert_table(
    name: str, table: pl.DataFrame, conversions: dict[str, Conversion], problems: list[str]
) -> pl.DataFrame:
    columns = []
    for column, conversion in conversions.items():
        if column not in table.columns:
            close = difflib.get_close_matches(column, table.columns, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; add it, or correct the schema"
            problems.append(f"{name}: there is no column {column!r}{hint}")
            continue
        values, problem = conversion(table[column])
        if problem is not None:
            problems.append(f"{name}.{column}: {problem}")
        columns.append(values)
    return pl.DataFrame(columns)


def _zone(dtype: pl.DataType) -> str | None:
    return getattr(dtype, "time_zone", None)


def _as_datetime(dtype: pl.DataType, origin: str, others: list[pl.DataType]) -> pl.Expr:
    """Return the origin with a time of day: a bare date is midnight in the zone of the other columns."""
    if dtype != pl.Date:
        return pl.col(origin)
    zone = next((_zone(other) for other in others), None)
    return pl.col(origin).cast(pl.Datetime("us")).dt.replace_time_zone(zone)
