"""One column at a time: from what a table holds to the type that its kind asks for."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import polars as pl

from longsynth.schema.kinds import MISSING_TEXT
from longsynth.schema.types import LEVEL_KINDS, Column, Level

_DATETIME_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_ZONE = r"(Z|[+-]\d{2}:?\d{2})$"


class Converted(NamedTuple):
    """A column in its canonical type, or as it was with the reason why it has none."""

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


def to_id(series: pl.Series) -> Converted:
    """Convert patient ids: text stays text, whole numbers become integers."""
    if series.dtype == pl.String:
        return Converted(blank_to_null(series))
    if series.dtype.is_integer() or series.dtype == pl.Null:
        return Converted(series)
    if series.dtype.is_float():
        values, n_bad = _whole(series)
        if not n_bad:
            return Converted(values)
    return Converted(series, f"patient ids of type {_type_name(series.dtype)}; make them text or integers")


def to_time(series: pl.Series, *, kind: str, numbers_for_dates: bool) -> Converted:
    """Convert a visit time or duration to a number, or to a date where ``kind`` says so."""
    if kind == "number" or (numbers_for_dates and series.dtype.is_numeric()):
        values, problem = to_number(series)
        return Converted(values.cast(pl.Float64) if values.dtype == pl.Float32 else values, problem)
    values, problem = to_date(series, with_time=kind == "datetime")
    if kind == "datetime" and values.dtype == pl.Date:
        values = values.cast(pl.Datetime("us"))
    return Converted(values, problem)


def to_event(series: pl.Series) -> Converted:
    """Convert event codes to 64-bit integers."""
    values, problem = to_number(series)
    if problem is not None:
        return Converted(series, problem)
    whole, n_bad = _whole(values)
    if n_bad:
        return Converted(
            series, f"{counted(n_bad)} with no whole number; write 0 for censored and 1, 2, ... for events"
        )
    return Converted(whole)


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
    return Converted(series, f"is of type {_type_name(dtype)}, not a number; convert it, or change its kind")


def to_levels(series: pl.Series, levels: tuple[Level, ...]) -> Converted:
    """Convert to text where the levels are text, and to numbers or booleans where they are not."""
    text_levels = tuple(level for level in levels if isinstance(level, str))
    dtype = series.dtype
    if text_levels:
        if dtype == pl.String or _is_never_observed(series):
            return Converted(blank_to_null(series.cast(pl.String), keep=text_levels))
        return Converted(series, f"is of type {_type_name(dtype)}, but its levels are text; make both alike")
    if dtype == pl.Boolean:
        return Converted(series)
    if dtype == pl.String:
        text = blank_to_null(series).str.strip_chars()
        lower = text.str.to_lowercase()
        if text.null_count() < len(text) and lower.drop_nulls().is_in(["true", "false"]).all():
            return Converted(lower == "true")
        return _parse_number(text)
    return to_number(series)


def to_date(series: pl.Series, *, with_time: bool) -> Converted:
    """Convert to ``Date``, or keep ``Datetime`` (in microseconds) where times of day are allowed."""
    if _is_never_observed(series) and not series.dtype.is_temporal():
        return Converted(pl.Series(series.name, [None] * len(series), dtype=pl.Date))
    if series.dtype == pl.String:
        series, problem = _parse_date(blank_to_null(series).str.strip_chars())
        if problem is not None:
            return Converted(series, problem)
    if series.dtype == pl.Date:
        return Converted(series)
    if not isinstance(series.dtype, pl.Datetime):
        return Converted(series, f"is of type {_type_name(series.dtype)}, not a date; convert it, or change its kind")
    if with_time:
        return Converted(series.dt.cast_time_unit("us"))
    n_with_time = int((series.dt.time() != dt.time()).sum())
    if n_with_time:
        remedy = "take it off, or declare the visit times as datetime"
        return Converted(series, f"{counted(n_with_time)} with a time of day; {remedy}")
    return Converted(series.dt.date())


def blank_to_null(text: pl.Series, keep: tuple[str, ...] = ()) -> pl.Series:
    """Return text with the usual ways to write a missing value as null, except those in ``keep``."""
    blanks = [blank for blank in MISSING_TEXT if blank not in keep]
    return text.set(text.is_in(blanks), None)


def counted(n: int, noun: str = "row") -> str:
    """Return how many: ``1 row``, ``2 rows``, ``1,000 patients``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _is_never_observed(series: pl.Series) -> bool:
    return series.null_count() == len(series)


def _whole(series: pl.Series) -> tuple[pl.Series, int]:
    """Return the values as integers, and how many are none."""
    whole = series.cast(pl.Int64, strict=False)
    n_bad = (series.is_not_null() & (whole.is_null() | (whole != series))).sum()
    return whole, int(n_bad)


def _parse_number(text: pl.Series) -> Converted:
    text = text.str.strip_chars()
    n_missing = text.null_count()
    integers = text.cast(pl.Int64, strict=False)
    if integers.null_count() == n_missing < len(text):
        return Converted(integers)
    floats = text.cast(pl.Float64, strict=False)
    n_bad = floats.null_count() - n_missing
    if n_bad:
        return Converted(text, f"{counted(n_bad)} with text that is not a number; correct it, or leave it empty")
    return Converted(floats.fill_nan(None))


def _parse_date(text: pl.Series) -> Converted:
    n_missing = text.null_count()
    days = text.str.to_date("%Y-%m-%d", strict=False)
    if days.null_count() == n_missing:
        return Converted(days)
    zones = text.str.extract(r"\d[T ].*" + _ZONE).drop_nulls()
    if zones.n_unique() > 1 or 0 < len(zones) < len(text) - n_missing:
        return Converted(text, "mixed time zones; convert them all to one zone, or leave the zone out")
    local = (text.str.replace(_ZONE, "") if len(zones) else text).str.replace(" ", "T", literal=True)
    parsed = [pl.col(text.name).str.to_datetime(form, strict=False, time_unit="us") for form in _DATETIME_FORMATS]
    times = local.to_frame().select(pl.coalesce(parsed)).to_series()
    n_bad = times.null_count() - n_missing
    if n_bad:
        return Converted(text, f"{counted(n_bad)} with text that is not an ISO date such as 2024-01-31; correct them")
    if not len(zones):
        return Converted(times)
    return Converted((times - _offset(zones[0])).dt.replace_time_zone("UTC"))


def _offset(zone: str) -> dt.timedelta:
    if zone == "Z":
        return dt.timedelta()
    size = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -size if zone[0] == "-" else size


def _type_name(dtype: pl.DataType) -> str:
    names = {pl.String: "text", pl.Boolean: "boolean", pl.Date: "date", pl.Datetime: "date and time"}
    return names.get(dtype.base_type(), str(dtype).lower())
