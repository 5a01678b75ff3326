"""Dates as numbers: days or seconds since 1970, or since the date that they are counted from."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from longsynth.cohort.dates import visit_dates
from longsynth.schema.types import Column, Ordered, Schema

Bounds = tuple[float | None, float | None]
SECONDS_PER_DAY = 86_400.0
_DAYS_PER_YEAR = 365.25
_EPOCH = dt.datetime(1970, 1, 1)


@dataclass(frozen=True)
class ReferenceDate:
    """The date that the dates of an item are counted from.

    Attributes
    ----------
    column : str
        A static date column; for a channel also the column of the visit times, each value's own visit.
    typical : float
        Stands in where ``column`` is missing: days or seconds since 1970, as the item counts.
    limits : (float or None, float or None)
        Limits of the time since ``column``, where that is not missing.
    bounds : (float or None, float or None)
        Limits of the dates themselves, since 1970.
    """

    column: str
    typical: float
    limits: Bounds
    bounds: Bounds

    def since(self, numbers: np.ndarray, references: pl.Series, dtype: str) -> np.ndarray:
        """Return days or seconds since 1970, shape (n,), as those since the reference dates, shape (n,)."""
        known = date_numbers(references, dtype)
        return numbers - np.where(np.isnan(known), self.typical, known)

    def restored(self, since: np.ndarray, references: pl.Series, dtype: str) -> np.ndarray:
        """Return days or seconds since the reference dates as those since 1970, inside all limits."""
        known = date_numbers(references, dtype)
        missing = np.isnan(known)
        since = np.where(missing, since, _clipped(since, self.limits))
        return self.conform(since + np.where(missing, self.typical, known))

    def conform(self, dates: np.ndarray) -> np.ndarray:
        """Move dates, in days or seconds since 1970, inside their bounds."""
        return _clipped(dates, self.bounds)

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> ReferenceDate:
        """Rebuild it from :meth:`to_json`."""
        return cls(state["column"], state["typical"], tuple(state["limits"]), tuple(state["bounds"]))


class ReferenceColumns:
    """The columns that dates may be counted from, one date a patient or one a visit.

    Parameters
    ----------
    schema : Schema
    static : polars.DataFrame
        Static columns, N rows.
    times : polars.Series or None
        Visit times since baseline, shape (V,); None without visits.
    owner : ndarray of int, shape (V,)
        Row in ``static`` of each visit's patient.
    """

    def __init__(self, schema: Schema, static: pl.DataFrame, times: pl.Series | None, owner: np.ndarray) -> None:
        self.schema, self.static, self.times, self.owner = schema, static, times, owner

    def of(self, column: str | None, role: str) -> pl.Series | None:
        """Return a column at every visit (V,) for the role ``channel``, else of every patient (N,); None for None."""
        if column is None or role != "channel":
            return None if column is None else self.static[column]
        time = self.schema.visit_time
        return self._visits if time is not None and column == time.column else self.static[column].gather(self.owner)

    @cached_property
    def _visits(self) -> pl.Series:
        assert self.schema.visit_time is not None and self.times is not None  # for the type checker
        return visit_dates(self.static[str(self.schema.visit_time.origin)].gather(self.owner), self.times, self.schema)


def typical_date(dates: pl.Series, dtype: str) -> float:
    """Return the median date, as a column of ``dtype`` counts, to whole years, so that it is no patient's own.

    0 if all dates are missing.
    """
    numbers = date_numbers(dates, dtype)
    numbers = numbers[~np.isnan(numbers)]
    year = _DAYS_PER_YEAR * per_day(dtype)
    return float(np.round(np.round(np.median(numbers) / year) * year)) if len(numbers) else 0.0


def per_day(dtype: str) -> float:
    """Return how many a day a column of this type counts: days or seconds."""
    return 1.0 if dtype == "Date" else SECONDS_PER_DAY


def date_numbers(dates: pl.Series, dtype: str) -> np.ndarray:
    """Return dates as a column of type ``dtype`` counts them.

    Parameters
    ----------
    dates : polars.Series
        Dates or datetimes, shape (n,).
    dtype : str
        ``Date`` counts days since 1970, by the clock on the wall; ``Datetime(...)`` seconds.

    Returns
    -------
    ndarray, shape (n,)
        Whole numbers; NaN where missing.
    """
    if dtype == "Date":
        days = local_days(dates).to_physical()
    else:
        days = dates.cast(pl.Datetime("us", getattr(dates.dtype, "time_zone", None))).to_physical()
    numbers = days.cast(pl.Float64).to_numpy().copy()
    return numbers if dtype == "Date" else np.round(numbers / 1e6)


def local_days(dates: pl.Series) -> pl.Series:
    """Return the calendar days of dates or datetimes by the clock on the wall."""
    return dates if dates.dtype == pl.Date else dates.dt.replace_time_zone(None).cast(pl.Date)


def zone_of(dtype: str) -> str | None:
    """Return the time zone of a ``Datetime(...)`` type."""
    zone = dtype.rpartition("time_zone=")[2].strip("')")
    return None if zone == "None" else zone


def calendar_bounds(column: Column, dtype: str) -> Bounds:
    """Return a date column's bounds as its type counts them; a day as upper bound of datetimes lasts to its end."""
    lower, upper = column.bounds or (None, None)
    return _bound(lower, dtype, is_upper=False), _bound(upper, dtype, is_upper=True)


def _bound(bound: Any, dtype: str, *, is_upper: bool) -> float | None:
    if bound is None:
        return None
    if not isinstance(bound, dt.datetime):
        last_second = is_upper and dtype != "Date"
        bound = dt.datetime.combine(bound, dt.time(23, 59, 59) if last_second else dt.time())
    zone = None if dtype == "Date" else zone_of(dtype)
    if zone is not None:
        moment = bound if bound.tzinfo is not None else bound.replace(tzinfo=ZoneInfo(zone))
        bound = moment.astimezone(dt.UTC)
    counted = (bound.replace(tzinfo=None) - _EPOCH) / dt.timedelta(days=1) * per_day(dtype)
    return float(math.floor(counted + 1e-6) if is_upper else math.ceil(counted - 1e-6))


def _clipped(values: np.ndarray, bounds: Bounds) -> np.ndarray:
    return values if bounds == (None, None) else np.clip(values, *bounds)


def order_limits(schema: Schema, name: str, reference: str) -> Bounds:
    """Return the limits that ``ordered`` constraints with its reference put on the time of a static date since it."""
    pairs = {(rule.lower, rule.upper) for rule in schema.constraints if isinstance(rule, Ordered)}
    return 0.0 if (reference, name) in pairs else None, 0.0 if (name, reference) in pairs else None
