"""Visit times as whole steps of the finest grid they lie on, so that gaps are counts and times never drift."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longsynth.encoding.numeric import MAX_DECIMALS, NumericCodec, find_decimals, fit_numeric
from longsynth.schema.types import DAYS_PER_UNIT, TimeUnit

_GRIDS_IN_DAYS = (30.4375, 7.0, 1.0, 1 / 24, 1 / 1440)
_MIN_END_SHARE = 0.005


@dataclass(frozen=True)
class TimeScale:
    """How visit times are counted.

    Attributes
    ----------
    step : float
        One step, in the schema's time unit.
    decimals : int
        Decimal places of a visit time.
    typical_duration, typical_gap : float
        Medians that scale the time features, in the schema's time unit.
    ends_at_visits : bool
        Whether records may end with a visit exactly at the end of follow-up.
    """

    step: float
    decimals: int
    typical_duration: float
    typical_gap: float
    ends_at_visits: bool

    @property
    def tolerance(self) -> float:
        """Two times closer than this are recorded as the same."""
        return 0.501 * 10.0**-self.decimals

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return asdict(self)


def fit_time_scale(
    times: np.ndarray,
    offsets: np.ndarray,
    duration: np.ndarray,
    unit: TimeUnit,
    decimals: int | None,
    duration_decimals: int | None,
) -> TimeScale:
    """Find the step and the typical gap and duration.

    Parameters
    ----------
    times : ndarray, shape (V,)
        Visit times in ``unit``.
    offsets : ndarray, shape (N + 1,)
        Where each patient's visits start.
    duration : ndarray, shape (N,)
        End of follow-up, or NaN.
    unit : str
        The schema's time unit.
    decimals : int or None
        Declared precision of the times.
    duration_decimals : int or None
        Precision of the durations; None: unlimited.
    """
    counts = np.diff(offsets)
    if decimals is None:
        found = find_decimals(times) if len(times) else 0
        decimals = MAX_DECIMALS if found is None else found
    first = np.repeat(offsets[:-1], counts)
    since_first = times - times[first] if len(times) else times
    has_before = np.arange(len(times)) != first
    gaps = np.diff(times, prepend=0.0)[has_before]
    typical_gap = float(np.median(gaps)) if len(gaps) else 1.0
    last = times[offsets[1:][counts > 0] - 1] if len(times) else np.ones(1)
    ends = duration[~np.isnan(duration)] if not np.isnan(duration).all() else last
    typical_duration = float(np.median(ends)) if len(ends) and np.median(ends) > 0 else max(typical_gap, 1.0)
    step = _find_step(since_first, gaps, decimals, unit)
    same_precision = duration_decimals is not None and duration_decimals <= decimals
    ends_at_visits = False
    if len(times) and same_precision:
        at_end = (np.abs(last - duration[counts > 0]) < 0.501 * 10.0**-decimals) & (counts[counts > 0] > 1)
        ends_at_visits = bool(at_end.mean() > _MIN_END_SHARE)
    return TimeScale(step, decimals, typical_duration, typical_gap, ends_at_visits)


def _find_step(since_first: np.ndarray, gaps: np.ndarray, decimals: int, unit: TimeUnit) -> float:
    tolerance = 10.0**-decimals * 1.01
    for days in _GRIDS_IN_DAYS:
        step = days / DAYS_PER_UNIT[unit]
        off_grid = np.abs(since_first - np.round(since_first / step) * step)
        if len(gaps) and step > 10 * tolerance and gaps.min() > step / 2 and np.all(off_grid <= tolerance):
            return float(step)
    return float(10.0**-decimals)


def fit_gaps(steps: np.ndarray, patients: np.ndarray, n_bins: int) -> NumericCodec:
    """Fit the codec of gaps counted in steps, shape (G,)."""
    return fit_numeric(steps.astype(float), patients, n_bins=n_bins, decimals=0, bounds=(1.0, None))
