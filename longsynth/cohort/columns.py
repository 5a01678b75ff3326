"""One column at a time: from what a table holds to the type its kind asks for."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import polars as pl

from longsynth.schema.types import LEVEL_KINDS, Column, Level

MISSING_TEXT = ("", "NA", "NaN", "nan", "null")


class Converted(NamedTuple):
    """A column in its canonical type, or the reason why it has none."""

    values: pl.Series
    problem: str | None = None


def convert(series: pl.Series, column: Column, *, with_time: bool = False) -> Converted:
    """Convert a static attribute or a channel to the type of its kind.

    Parameters
    ----------
    series : polars.Series
        The column as the user gave it.
    column : Column
        What the schema says about it.
    with_time : bool
        Whether a date column may hold times of day.

    Returns
    -------
    Converted
        Types are kept where they already fit; text is parsed where the kind is not text.
    """
    if column.kind == "date":
        return to_date(series, with_time=with_time)
    if column.kind in LEVEL_KINDS:
        return to_levels(series, column.levels or ())
    return to_number(series)


def to_number(series: pl.Series) -> Converted:
    """Convert to an integer or float column; text is parsed, to integers if every value is one."""
    dtype = series.dtype
    if dtype == pl.Null:
        return Converted(series.cast(pl.Float64))
    if dtype == pl.Boolean:
        return Converted(series.cast(pl.Int64))
    if dtype == pl.String:
        return _parse_number(blank_to_null(series))
    if dtype.is_numeric():
        return Converted(series)
    return Converted(
        series, f"is of type {_type_name(dtype)}, not a number; convert it or change its kind in the schema"
    )


def to_id(series: pl.Series) -> Converted:
    """Convert patient ids: text stays text, whole numbers become integers."""
    if series.dtype == pl.String:
        return Converted(blank_to_null(series))
    if series.dtype.is_integer():
        return Converted(series)
    values, n_bad = _whole(series) if series.dtype.is_float() else (series, 0)
    if not series.dtype.is_float() or n_bad:
        return Converted(series, f"is of type {_type_name(series.dtype)}; patient ids must be text or integers")
    return Converted(values)


def to_event(series: pl.Series) -> Converted:
    """Convert event codes to 64-bit integers."""
    number = to_number(series)
    if number.problem is not None:
        return number
    values, n_bad = _whole(number.values)
    if n_bad:
        return Converted(
            series, f"{rows(n_bad)} with an event code that is no integer; use 0 for censored, 1, 2, ... for events"
        )
    return Converted(values)


def to_levels(series: pl.Series, levels: tuple[Level, ...]) -> Converted:
    """Convert to text where the levels are text, and to numbers or booleans where they are not."""
    text_levels = tuple(level for level in levels if isinstance(level, str))
    if text_levels:
        if series.dtype == pl.Null:
            return Converted(series.cast(pl.String))
        if series.dtype != pl.String:
            return Converted(
                series,
                f"is of type {_type_name(series.dtype)}, but its levels are text; write the levels without quotes",
            )
        return Converted(blank_to_null(series, keep=text_levels))
    if series.dtype == pl.Boolean:
        return Converted(series)
    if series.dtype == pl.String:
        text = blank_to_null(series)
        lower = text.str.to_lowercase()
        if lower.is_in(["true", "false"]).all() and text.null_count() < len(text):
            return Converted(lower == "true")
        return _parse_number(text)
    return to_number(series)


def to_date(series: pl.Series, *, with_time: bool) -> Converted:
    """Convert to ``Date``, or ``Datetime`` in microseconds where times of day are allowed and present."""
    dtype = series.dtype
    if dtype == pl.Null:
        return Converted(series.cast(pl.Date))
    if dtype == pl.String:
        parsed = _parse_date(blank_to_null(series).str.strip_chars())
        if parsed.problem is not None:
            return parsed
        series = parsed.values
    elif not isinstance(dtype, (pl.Date, pl.Datetime)):
        return Converted(
            series, f"is of type {_type_name(dtype)}, not a date; convert it or change its kind in the schema"
        )
    if isinstance(series.dtype, pl.Date):
        return Converted(series)
    if with_time:
        return Converted(series.dt.cast_time_unit("us"))
    days = series.dt.date()
    n_with_time = (series.dt.time() != dt.time()).sum()
    if n_with_time:
        return Converted(
            series, f"{rows(n_with_time)} with a time of day; remove it, or declare visit times of kind datetime"
        )
    return Converted(days)


def blank_to_null(series: pl.Series, keep: tuple[str, ...] = ()) -> pl.Series:
    """Return text with the usual ways to write a missing value as null, except those in ``keep``."""
    blanks = [text for text in MISSING_TEXT if text not in keep]
    return series.set(series.is_in(blanks), None)


def rows(n: int) -> str:
    """Return ``n`` as words: ``1 row``, ``2 rows``."""
    return f"{n:,} row" if n == 1 else f"{n:,} rows"


def _whole(series: pl.Series) -> tuple[pl.Series, int]:
    whole = series.cast(pl.Int64, strict=False)
    n_bad = int((series.is_not_null() & (whole.is_null() | (whole != series))).sum())
    return whole, n_bad


def _parse_number(text: pl.Series) -> Converted:
    text = text.str.strip_chars()
    integers = text.cast(pl.Int64, strict=False)
    if integers.null_count() == text.null_count():
        return Converted(integers if text.null_count() < len(text) else integers.cast(pl.Float64))
    floats = text.cast(pl.Float64, strict=False)
    n_bad = floats.null_count() - text.null_count()
    if n_bad:
        return Converted(text, f"{rows(n_bad)} with text that is not a number; correct them or leave them empty")
    return Converted(floats.fill_nan(None))


def _parse_date(text: pl.Series) -> Converted:
    n_missing = text.null_count()
    days = text.str.to_date("%Y-%m-%d", strict=False)
    if days.null_count() == n_missing:
        return Converted(days)
    zone = text.str.extract(r"\d[T ].*(Z|[+-]\d{2}:?\d{2})$")
    with_zone = zone.drop_nulls()
    n_present = len(text) - n_missing
    if with_zone.n_unique() > 1 or 0 < len(with_zone) < n_present:
        return Converted(text, "mixed time zones; convert them all to one zone, or leave the zone out")
    plain = text.str.replace(r"(Z|[+-]\d{2}:?\d{2})$", "") if len(with_zone) else text
    times = (
        plain.str.replace(" ", "T", literal=True)
        .to_frame("t")
        .select(
            pl.coalesce(pl.col("t").str.to_datetime(form, strict=False, time_unit="us") for form in _DATETIME_FORMATS)
        )
        .to_series()
        .alias(text.name)
    )
    n_bad = times.null_count() - n_missing
    if n_bad:
        return Converted(
            text, f"{rows(n_bad)} with text that is not an ISO date (2024-01-31); correct them or leave them empty"
        )
    return Converted(times.dt.replace_time_zone("UTC") if len(with_zone) else times)


_DATETIME_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")


def _type_name(dtype: pl.DataType) -> str:
    names = {pl.String: "text", pl.Boolean: "boolean", pl.Date: "date"}
    return names.get(dtype.base_type(), str(dtype).lower())
