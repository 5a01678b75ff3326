"""The columns that a schema names are taken out of the user's tables and brought to their canonical types."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import partial

import polars as pl

from longsynth.cohort.columns import Converted, convert, to_event, to_id, to_time
from longsynth.schema.types import Column, Schema

Conversion = Callable[[pl.Series], Converted]


def canonical_static(
    table: pl.DataFrame, schema: Schema, problems: list[str], *, numbers_for_dates: bool
) -> pl.DataFrame:
    """Return the static table with the schema's columns in their canonical types.

    Parameters
    ----------
    table : polars.DataFrame
        As the user gave it.
    schema : Schema
        What the columns hold.
    problems : list of str
        What is wrong is added here.
    numbers_for_dates : bool
        Whether a duration that is declared as a date may already be a number since baseline.
    """
    time, end = schema.visit_time, schema.terminal_event
    conversions = {schema.patient_id: to_id, **_attribute_conversions(schema.static, schema)}
    if time is not None and time.origin_is_first_visit and time.origin not in table.columns:
        conversions.pop(str(time.origin))
    if end is not None:
        conversions[end.duration] = partial(to_time, kind=end.kind, numbers_for_dates=numbers_for_dates)
        conversions[end.event] = to_event
    return _convert_table("static", table, conversions, problems)


def canonical_visits(
    table: pl.DataFrame, schema: Schema, problems: list[str], *, numbers_for_dates: bool
) -> pl.DataFrame:
    """Return the visits table with the schema's columns in their canonical types; parameters as `canonical_static`."""
    time = schema.visit_time
    conversions: dict[str, Conversion] = {schema.patient_id: to_id}
    if time is not None:
        conversions[time.column] = partial(to_time, kind=time.kind, numbers_for_dates=numbers_for_dates)
    conversions.update(_attribute_conversions(schema.channels, schema))
    return _convert_table("visits", table, conversions, problems)


def same_id_type(static: pl.DataFrame, visits: pl.DataFrame, patient_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with patient ids of one type: integers if both have integers, else text."""
    types = {static.schema[patient_id], visits.schema[patient_id]}
    if len(types) == 1:
        return static, visits
    common = pl.Int64 if all(dtype.is_integer() for dtype in types) else pl.String
    return static.with_columns(pl.col(patient_id).cast(common)), visits.with_columns(pl.col(patient_id).cast(common))


def _attribute_conversions(columns: Mapping[str, Column], schema: Schema) -> dict[str, Conversion]:
    with_time = schema.visit_time is not None and schema.visit_time.kind == "datetime"
    return {name: partial(convert, column=column, with_time=with_time) for name, column in columns.items()}


def _convert_table(
    name: str, table: pl.DataFrame, conversions: dict[str, Conversion], problems: list[str]
) -> pl.DataFrame:
    columns = []
    for column, conversion in conversions.items():
        if column not in table.columns:
            close = difflib.get_close_matches(column, table.columns, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "add it, or correct the schema"
            problems.append(f"{name}: there is no column {column!r}; {hint}")
            continue
        values, problem = conversion(table[column])
        if problem is not None:
            problems.append(f"{name}.{column}: {problem}")
        columns.append(values)
    return pl.DataFrame(columns)
