"""What one column probably holds, told from its values."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, NamedTuple

import numpy as np
import polars as pl

MISSING_TEXT = ("", "NA", "NaN", "nan", "null")
MOST_LEVELS = 1000
MOST_ORDINAL_LEVELS = 10
FEW_PATIENTS = 5
SMALLEST_COUNT = 10
MOST_UNREADABLE = 0.2
_DATE_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_LIKE_A_DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3})[-/. ]\d{2,4})([T ].*)?$"
_READABLE = (pl.Boolean, pl.String, pl.Date, pl.Datetime, pl.Null)


class Guess(NamedTuple):
    """What a column probably holds.

    Attributes
    ----------
    facts : dict or None
        Arguments of a `Column`; None: the column should be left out.
    notes : tuple of str
        What a person should know or decide.
    """

    facts: dict[str, Any] | None
    notes: tuple[str, ...] = ()


def plain(values: pl.Series) -> pl.Series:
    """Return a column as boolean, number, text, date or datetime: dates read from text, blanks and NaN null."""
    if isinstance(values.dtype, (pl.Categorical, pl.Enum)):
        values = values.cast(pl.String)
    if isinstance(values.dtype, pl.Decimal):
        values = values.cast(pl.Float64)
    if values.dtype.is_float():
        return values.fill_nan(None)
    if values.dtype != pl.String:
        return values.dt.date() if isinstance(values.dtype, pl.Datetime) and not has_time_of_day(values) else values
    text = values.str.strip_chars()
    text = text.set(text.is_in(MISSING_TEXT), None)
    present = text.drop_nulls()
    if present.is_empty() or not present.str.contains(r"^\d{4}-\d\d-\d\d").all():
        return text
    times = text.str.replace(" ", "T", literal=True).str.replace(r"(Z|[+-]\d\d:?\d\d)$", "").to_frame("t")
    readings = [pl.col("t").str.to_datetime(form, strict=False, time_unit="us") for form in _DATE_FORMATS]
    dates = times.select(pl.coalesce(readings).alias(values.name)).to_series()
    if dates.null_count() > text.null_count():
        return text
    return dates if has_time_of_day(dates) else dates.dt.date()


def typed(values: pl.Series) -> pl.Series:
    """Return a column of a text file as numbers or booleans if that is what all its values are."""
    present = values.drop_nulls()
    if values.dtype != pl.String or present.is_empty():
        return values
    if present.str.to_lowercase().is_in(["true", "false"]).all():
        return values.str.to_lowercase() == "true"
    numbers = _numbers_in(values)
    return values if numbers is None else numbers


def _numbers_in(text: pl.Series) -> pl.Series | None:
    """Return text as numbers, unless some of it is none or has the leading zeros of a code."""
    numbers = text.cast(pl.Float64, strict=False)
    is_code = text.str.contains(r"^[-+]?0\d").any()
    return None if is_code or numbers.null_count() > text.null_count() else numbers


def has_time_of_day(values: pl.Series) -> bool:
    """Return whether any value of a column is a datetime that is not at midnight."""
    return isinstance(values.dtype, pl.Datetime) and bool((values.dt.time() != dt.time(0)).any())


def guess(values: pl.Series, patients: pl.Series) -> Guess:
    """Guess what a column holds.

    Parameters
    ----------
    values : polars.Series
        The column, as `plain` returns it.
    patients : polars.Series
        The patient of each value.

    Returns
    -------
    Guess
    """
    if not (values.dtype.is_numeric() or isinstance(values.dtype, _READABLE)):
        return Guess(None, (f"its type {values.dtype} is none that a column can have",))
    table = pl.DataFrame({"patient": patients, "value": values}).drop_nulls()
    if table.is_empty():
        return Guess(None, ("never observed",))
    counts = table.group_by("value").agg(pl.len().alias("rows"), pl.col("patient").n_unique().alias("patients"))
    counts = counts.sort("value")
    if values.dtype.is_temporal():
        return _date(counts["value"])
    if values.dtype == pl.String:
        return _text(counts)
    if values.dtype == pl.Boolean and counts.height == 2:
        return _levels("binary", counts)
    return _number(counts)


def decimals_of(values: np.ndarray) -> int | None:
    """Return the fewest decimal places (negative: tens, hundreds, thousands) that write all values; None if unclear.

    Parameters
    ----------
    values : ndarray, shape (n,)
        The distinct values. Fewer than 10, or more than 4 decimal places, are unclear.
    """
    if len(values) < 10:
        return None
    return next((places for places in range(-3, 5) if _is_written_with(values, places).all()), None)


def _is_written_with(values: np.ndarray, places: int) -> np.ndarray:
    """Return which values have no more than so many decimal places, up to floating point error."""
    rounding_error = 1e-6 if values.dtype == np.float32 else 1e-10
    exact = values.astype(float)
    return np.abs(np.round(exact, places) - exact) <= rounding_error * np.maximum(np.abs(exact), 1)


def _date(values: pl.Series) -> Guess:
    """Guess a date column; bounds are the first days of years, so that no patient's date is copied."""
    first, last = values[0], values[-1]
    lower = dt.date(max(first.year - (first.month == first.day == 1), dt.MINYEAR), 1, 1)
    upper = dt.date.max if last.year == dt.MAXYEAR else dt.date(last.year + 1, 1, 1)
    return Guess({"kind": "date", "bounds": (lower, upper), "inferred": ("kind", "bounds")})


def _text(counts: pl.DataFrame) -> Guess:
    """Guess a text column from its sorted distinct values."""
    numbers = _numbers_in(counts["value"])
    if numbers is not None and counts.height > MOST_ORDINAL_LEVELS:
        facts, notes = _number(counts.with_columns(numbers).sort("value"))
        return Guess(facts, ("numbers stored as text", *notes))
    mostly = _mostly_dates(counts) or _mostly_numbers(counts)
    if mostly is not None:
        return mostly
    n_levels, n_rows = counts.height, int(counts["rows"].sum())
    n_single = int((counts["patients"] == 1).sum())
    if n_levels > MOST_LEVELS:
        return Guess(None, (f"text of more than {MOST_LEVELS:,} different values",))
    if n_levels > 2 and (n_levels >= 0.9 * n_rows or (n_levels > 20 and n_single > n_levels / 2)):
        return Guess(
            None, ("text that differs from patient to patient (a name, an identifier, free text): it would leak",)
        )
    if n_levels > 2:
        return _levels("categorical", counts, "if the levels are ordered, put them in order and set kind: ordinal")
    return _levels("binary" if n_levels == 2 else "categorical", counts)


def _mostly_dates(counts: pl.DataFrame) -> Guess | None:
    """Leave out text that looks like dates, such as 31/01/2024, of which some are not ISO dates; else None."""
    n_rows = int(counts["rows"].sum())
    alike = counts["value"].str.contains(_LIKE_A_DATE)
    if counts.filter(alike)["rows"].sum() < (1 - MOST_UNREADABLE) * n_rows:
        return None
    wrong = counts["value"].str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).is_null()
    n_wrong = int(counts.filter(wrong)["rows"].sum())
    if not n_wrong:
        return None
    return Guess(None, (f"it looks like dates, but {counted_rows(n_wrong)} not written as 2024-01-31: correct it",))


def _mostly_numbers(counts: pl.DataFrame) -> Guess | None:
    """Guess text of which all but a few rows are numbers, such as `<5` among laboratory values; else None."""
    readable = counts.with_columns(pl.col("value").cast(pl.Float64, strict=False)).drop_nulls("value")
    n_rows, n_readable = int(counts["rows"].sum()), int(readable["rows"].sum())
    numbers = counts.filter(pl.col("value").cast(pl.Float64, strict=False).is_not_null())["value"]
    if n_rows - n_readable > MOST_UNREADABLE * n_rows or _numbers_in(numbers) is None:
        return None
    merged = readable.group_by("value").agg(pl.col("rows", "patients").sum()).sort("value")
    if merged.height <= MOST_ORDINAL_LEVELS:
        return None
    facts, notes = _number(merged)
    remedy = "correct it or leave it empty, or set kind: categorical and list the levels"
    return Guess(facts, (f"{counted_rows(n_rows - n_readable)} with text that is not a number: {remedy}", *notes))


def counted_rows(n: int) -> str:
    """Return how many rows: ``1 row``, ``2 rows``."""
    return f"{n:,} row" if n == 1 else f"{n:,} rows"


def _number(counts: pl.DataFrame) -> Guess:
    """Guess a numeric column from its sorted distinct values."""
    values, n_rows = counts["value"].to_numpy(), int(counts["rows"].sum())
    n_values = len(values)
    if not np.isfinite(values).all():
        n_infinite = int(counts.filter(pl.col("value").is_infinite())["rows"].sum())
        return Guess(None, (f"infinite in {counted_rows(n_infinite)}: correct it or leave it empty",))
    whole = bool(_is_written_with(values, 0).all())
    if whole and n_values >= 20 and n_values >= 0.99 * n_rows and _looks_like_identifier(values):
        return Guess(None, ("a whole number that differs in every row (an identifier): it would leak",))
    if n_values == 1:
        return _levels("categorical", counts)
    if n_values == 2 and (n_rows > 4 or set(values) == {0, 1}):
        return _levels("binary", counts)
    steps = np.diff(values)
    few = 2 < n_values <= MOST_ORDINAL_LEVELS and n_rows >= 3 * n_values
    if few and np.allclose(steps, steps[0]):
        notes = ("if it is a number of things, set kind: count (bounds for levels)",) if whole else ()
        return _levels("ordinal", counts, *notes, "if the numbers are codes without an order, set kind: categorical")
    if few and whole and set(values[:3]) != {0, 1, 2}:
        return _levels("categorical", counts, "if the levels are ordered, set kind: ordinal")
    return _continuous_or_count(counts, whole)


def _looks_like_identifier(values: np.ndarray) -> bool:
    """Return whether sorted, distinct whole numbers are running numbers, or have the length of record numbers."""
    return bool(values[-1] - values[0] < 2 * len(values) or values[0] >= 100_000)


def _continuous_or_count(counts: pl.DataFrame, whole: bool) -> Guess:
    """Guess a count for whole numbers that start small, and a continuous column for all others."""
    values = counts["value"].to_numpy()
    places = decimals_of(values)
    shared = counts["patients"] >= FEW_PATIENTS
    bounds = (_outwards(float(values[0]), -1, whole, shared[0]), _outwards(float(values[-1]), 1, whole, shared[-1]))
    if whole and 0 <= values[0] <= SMALLEST_COUNT and (places is None or places == 0):
        return Guess({"kind": "count", "bounds": bounds, "inferred": ("kind", "bounds")})
    facts: dict[str, Any] = {"kind": "continuous", "bounds": bounds, "inferred": ("kind", "bounds")}
    if places is not None:
        facts |= {"decimals": places, "inferred": ("kind", "bounds", "decimals")}
    return Guess(facts, _almost_rounded(counts, fewer_than=5 if places is None else places))


def _almost_rounded(counts: pl.DataFrame, fewer_than: int) -> tuple[str, ...]:
    """Return a note if nearly all values, but not all, are written with fewer decimal places."""
    values, weights = counts["value"].to_numpy(), counts["rows"].to_numpy()
    for places in range(fewer_than) if len(values) >= 10 else ():
        if weights[_is_written_with(values, places)].sum() >= 0.97 * weights.sum():
            return (f"at least 97 % of the values have {places} decimal places; set decimals: {places} to round all",)
    return ()


def _outwards(value: float, direction: int, whole: bool, shared: bool) -> float:
    """Round a column's extreme away from the data to two significant digits.

    A rounding that falls on the extreme itself is moved one unit further, unless it is zero or ``shared`` by so many
    patients that it tells nothing of any one.
    """
    if value == 0:
        return 0.0
    exponent = math.floor(math.log10(abs(value))) - 1
    if whole:
        exponent = max(exponent, 0)
    unit = 10.0**exponent
    scaled = value / unit
    nearest = round(scaled)
    if not math.isclose(scaled, nearest, rel_tol=1e-9):
        nearest = math.floor(scaled) if direction < 0 else math.ceil(scaled)
    elif not shared:
        nearest += direction
    return float(f"{nearest}e{exponent}")


def _levels(kind: str, counts: pl.DataFrame, *notes: str) -> Guess:
    values = counts["value"].to_list()
    levels = tuple(int(value) if isinstance(value, float) and value.is_integer() else value for value in values)
    if len(levels) == 1:
        notes = ("the same value wherever it is observed: add the levels it could have, or remove the column",)
    n_rare = (counts["patients"] < FEW_PATIENTS).sum()
    if n_rare:
        notes = (*notes, f"{n_rare:,} of its levels held by fewer than {FEW_PATIENTS} patients: merge or remove them")
    return Guess({"kind": kind, "levels": levels, "inferred": ("kind", "levels")}, notes)
