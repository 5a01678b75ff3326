"""Numbers as classes: heaped values become atoms, the rest equal-mass intervals; each is an interval of scores."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

N_KNOTS = 17
KNOT_PATIENTS = 5
MAX_DECIMALS = 6
TAIL_SIZE = 5
_EXTREME_SCORE = 1000.0
_ATOM_PATIENTS = 3


@dataclass(frozen=True)
class NumericCodec:
    """One numeric column, cut into classes that are intervals of the column's normal scores.

    A value is a class and a position inside it. Only the class is learned by a network; the position is uniform on
    [0, 1] by construction. Positions outside [0, 1] stand for values that no class covers, so encoding loses nothing.

    Attributes
    ----------
    cumulative : ndarray, shape (n_classes + 1,)
        Cumulative train mass of the classes, from 0 to 1.
    knots : ndarray, shape (n_classes, N_KNOTS)
        Values at equally spaced positions inside each class; all equal for an atom.
    missing_share : float
        Share of missing values in train; 0 if the column has none.
    decimals : int or None
        Decoded values are rounded to this many places.
    bounds : (float or None, float or None)
        Decoded values stay inside.
    scale : float
        Size of one unit of position outside [0, 1], in value units.
    """

    cumulative: np.ndarray
    knots: np.ndarray
    missing_share: float
    decimals: int | None
    bounds: tuple[float | None, float | None]
    scale: float

    @property
    def n_classes(self) -> int:
        """Number of classes, the missing one not counted; a missing value has this number as its code."""
        return len(self.knots)

    @property
    def edges(self) -> np.ndarray:
        """Normal scores of the class borders, shape (n_classes + 1,); the outermost are far out."""
        inner = ndtri(np.clip(self.cumulative[1:-1], 1e-12, 1 - 1e-12))
        return np.concatenate([[-_EXTREME_SCORE], inner, [_EXTREME_SCORE]])

    @property
    def centres(self) -> np.ndarray:
        """Normal score at the middle of each class, shape (n_classes,), within +-3.2."""
        return np.clip(ndtri((self.cumulative[1:] + self.cumulative[:-1]) / 2), -3.2, 3.2)

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return codes (int16, missing = ``n_classes``) and positions (float64) of ``values``, NaN where missing."""
        values = np.asarray(values, dtype=np.float64)
        missing = np.isnan(values)
        filled = np.where(missing, self.knots[0, 0], values)
        upper = self.knots[:, -1]
        codes = np.minimum(np.searchsorted(upper, filled, side="left"), self.n_classes - 1)
        below = np.maximum(codes - 1, 0)
        nearer_below = (filled < self.knots[codes, 0]) & (filled - upper[below] < self.knots[codes, 0] - filled)
        codes = np.where(nearer_below, below, codes)
        positions = self._positions(filled, codes)
        return np.where(missing, self.n_classes, codes).astype(np.int16), np.where(missing, 0.5, positions)

    def _positions(self, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
        knots = self.knots[codes]
        segment = np.clip((knots <= values[:, None]).sum(1) - 1, 0, N_KNOTS - 2)
        rows = np.arange(len(values))
        left, right = knots[rows, segment], knots[rows, segment + 1]
        width = np.where(right > left, right - left, 1.0)
        inside = (segment + np.clip((values - left) / width, 0.0, 1.0)) / (N_KNOTS - 1)
        inside = np.where(knots[:, 0] == knots[:, -1], 0.5, inside)
        over = (values - knots[:, -1]) / self.scale
        under = (knots[:, 0] - values) / self.scale
        return np.where(over > 0, 1 + over, np.where(under > 0, -under, inside))

    def decode(self, codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the values, shape of ``codes``, NaN where missing, rounded and within bounds."""
        missing = codes >= self.n_classes
        knots = self.knots[np.where(missing, 0, codes)]
        inside = np.clip(positions, 0.0, 1.0) * (N_KNOTS - 1)
        segment = np.minimum(inside.astype(np.int64), N_KNOTS - 2)
        rows = np.arange(len(codes))
        left, right = knots[rows, segment], knots[rows, segment + 1]
        values = left + (inside - segment) * (right - left)
        values = values + (np.maximum(positions - 1, 0.0) + np.minimum(positions, 0.0)) * self.scale
        return np.where(missing, np.nan, self.conform(values))

    def conform(self, values: np.ndarray) -> np.ndarray:
        """Round to the column's precision and move inside its bounds, without leaving the precision's grid."""
        lower, upper = self.bounds
        if self.decimals is not None:
            values = np.round(values, self.decimals)
            step = 10.0**self.decimals
            lower = None if lower is None else np.round(np.ceil(lower * step - 1e-6) / step, self.decimals)
            upper = None if upper is None else np.round(np.floor(upper * step + 1e-6) / step, self.decimals)
        return (values if lower is None and upper is None else np.clip(values, lower, upper)) + 0.0  # never -0.0

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return asdict(self) | {"cumulative": self.cumulative.tolist(), "knots": self.knots.tolist()}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> NumericCodec:
        """Rebuild a codec from :meth:`to_json`."""
        arrays = {"cumulative": np.array(state["cumulative"], float), "knots": np.array(state["knots"], float)}
        return cls(**(state | arrays | {"bounds": tuple(state["bounds"])}))


def fit_numeric(
    values: np.ndarray,
    patients: np.ndarray,
    *,
    n_bins: int,
    decimals: int | None = None,
    bounds: tuple[float | None, float | None] = (None, None),
) -> NumericCodec:
    """Cut one column into atoms and equal-mass intervals.

    A value that holds enough mass, and belongs to at least three patients, is an atom. Stretches in between are cut
    into intervals of mass ``1 / n_bins``, finer in the outer tails. The outermost values are replaced by an
    exponential tail with the mean excess of the five most extreme ones, so that no patient's extreme is kept.

    Parameters
    ----------
    values : ndarray, shape (V,)
        Train values, NaN where missing.
    patients : ndarray, shape (V,)
        Patient number of each value.
    n_bins : int
        Wanted number of intervals.
    decimals : int or None
        Declared precision; None: found from the data.
    bounds : pair of float or None
        Declared or inferred limits.
    """
    observed = ~np.isnan(values)
    data, owners = values[observed], patients[observed]
    missing_share = 1.0 - observed.mean() if len(values) else 0.0
    if len(data) == 0:
        data, owners = np.zeros(1), np.zeros(1, dtype=int)
    order = np.argsort(data, kind="stable")
    data, owners = data[order], owners[order]
    if decimals is None:
        decimals = find_decimals(data)
    starts = _class_starts(data, owners, n_bins)
    stops = np.append(starts[1:], len(data))
    knots = np.stack([_knots(data[a:b], owners[a:b]) for a, b in zip(starts, stops, strict=True)])
    knots[0], knots[-1] = _tail(data, stops[0], -1, knots[0]), _tail(data, len(data) - starts[-1], 1, knots[-1])
    spread = float(data[-1] - data[0])
    cumulative = np.append(starts, len(data)) / len(data)
    codec = NumericCodec(cumulative, knots, missing_share, decimals, bounds, spread if spread > 0 else 1.0)
    return NumericCodec(cumulative, _inside(knots, bounds), missing_share, decimals, bounds, codec.scale)


def find_decimals(values: np.ndarray) -> int | None:
    """Return the fewest decimal places that 97 % of ``values`` are recorded with, or None above six."""
    for decimals in range(MAX_DECIMALS + 1):
        tolerance = 1e-9 * np.maximum(1.0, np.abs(values))
        if np.mean(np.abs(np.round(values, decimals) - values) <= tolerance) >= 0.97:
            return decimals
    return None


def _inside(knots: np.ndarray, bounds: tuple[float | None, float | None]) -> np.ndarray:
    return knots if bounds == (None, None) else np.clip(knots, *bounds)


def _class_starts(data: np.ndarray, owners: np.ndarray, n_bins: int) -> np.ndarray:
    """Return the first index of each class in the sorted ``data``."""
    _, first, counts = np.unique(data, return_index=True, return_counts=True)
    if len(first) <= n_bins:
        return first
    n = len(data)
    starts: list[int] = []
    open_start: int | None = None
    for index, count in zip(first, counts, strict=True):
        is_atom = count >= 0.6 * n / n_bins and len(np.unique(owners[index : index + count])) >= _ATOM_PATIENTS
        if is_atom:
            starts.append(index)
            open_start = None
            continue
        if open_start is None:
            starts.append(index)
            open_start = index
        middle = min(index, n - index) / n
        mass = n / n_bins / (3 if middle < 1.5 / n_bins else 1)
        if index + count - open_start >= mass:
            open_start = None
    return np.array(starts)


def _knots(data: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return the quantiles of a class, no finer than a few patients apart, so that it holds no patient's own value."""
    n_segments = int(np.clip(len(np.unique(owners)) // KNOT_PATIENTS, 1, N_KNOTS - 1))
    places = np.linspace(0, 1, n_segments + 1)
    return np.interp(np.linspace(0, 1, N_KNOTS), places, np.quantile(data, places))


def _tail(data: np.ndarray, size: int, side: int, knots: np.ndarray) -> np.ndarray:
    """Replace the outermost values of an outer class by a smooth tail; an atom stays as it is."""
    if knots[0] == knots[-1]:
        return knots
    ordered = np.sort(side * data)[::-1]
    extremes = ordered[: min(TAIL_SIZE, size)]
    start, excess = extremes[-1], float(np.mean(extremes - extremes[-1]))
    share = len(extremes) / size
    grid = np.linspace(0, 1, N_KNOTS) if side > 0 else np.linspace(1, 0, N_KNOTS)
    into_tail = np.clip((grid - (1 - share)) / share, 0.0, 1 - 0.5 / len(extremes))
    inner = np.minimum(side * knots, start)
    outer = start - excess * np.log1p(-into_tail)
    smooth = side * np.where(grid > 1 - share, outer, inner)
    return np.sort(smooth)
