"""Cells of an item that are known without looking at any patient, and classes from noisy counts of them."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from longsynth.encoding.levels import MAX_CLASSES, LevelCodec
from longsynth.encoding.numeric import N_KNOTS, NumericCodec
from longsynth.schema.types import Level

MAX_CELLS = 512
_N_EVEN, _N_LOG = 160, 352
_BRANCHES = 4
_SIGNIFICANT = 8.0
_LEAST_SHARE, _LEAST_NOISE = 1e-5, 0.2

Bounds = tuple[float | None, float | None]


def numeric_cells(
    lower: float, upper: float, decimals: int, bounds: Bounds, fine_at: float | None = None
) -> NumericCodec:
    """Return one class a recordable value if these are few; else classes of equal width, finer ones near a value.

    Parameters
    ----------
    lower, upper : float
        Declared range; values beyond it go to the outer classes.
    decimals : int
        Declared precision; negative for tens, hundreds.
    bounds : pair of float or None
        Decoded values stay inside.
    fine_at : float or None
        Value with finer classes on both sides; None: ``lower``.
    """
    step = 10.0**-decimals
    n_values = int(np.floor((upper - lower) / step + 1e-6)) + 1
    borders = np.arange(min(n_values, MAX_CELLS) + 1.0)  # floats: a declared range may hold more values than integers
    if n_values > MAX_CELLS:
        even, away = np.linspace(0, float(n_values), _N_EVEN + 1), np.geomspace(1, float(n_values), _N_LOG + 1)
        centre = 0 if fine_at is None else np.floor((fine_at - lower) / step + 1e-6)
        fine = np.concatenate([[centre], centre + away, centre - away])
        borders = np.unique(np.concatenate([even, fine]).round())
        borders = borders[(borders >= 0) & (borders <= n_values)]
    knots = _knots(lower + borders[:-1] * step, lower + (borders[1:] - 1) * step, step)
    cumulative = np.linspace(0, 1, len(borders))
    return NumericCodec(cumulative, knots, 0.0, decimals, bounds, n_values * step)


def level_cells(levels: tuple[Level, ...]) -> LevelCodec:
    """Return one class a declared level."""
    return LevelCodec(levels, np.arange(len(levels)), np.full(len(levels), 1 / len(levels)), 0.0)


def group_sizes(cells: NumericCodec) -> list[int]:
    """Return how many cells the counted groups hold, coarsest first; sums of few groups have less noise."""
    sizes = [1]
    while cells.n_classes / sizes[-1] > _BRANCHES * 2:
        sizes.append(sizes[-1] * _BRANCHES)
    return sizes[::-1]


def group_counts(cells: NumericCodec, codes: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Count values by group, coarsest groups first, then the missing ones; each value is once in each size of group.

    ``weight`` is what each value counts; None: 1.
    """
    counts = np.bincount(codes.astype(np.int64), weight, minlength=cells.n_classes + 1).astype(float)
    by_size = [_grouped(counts[:-1], size) for size in group_sizes(cells)]
    return np.concatenate([*by_size, counts[-1:]])


def merge_cells(
    cells: NumericCodec, counts: np.ndarray, sd: float, n_bins: int, missing_sd: float | None
) -> NumericCodec:
    """Return classes of neighbouring cells, as fine as the noise allows.

    Parameters
    ----------
    cells : NumericCodec
        From :func:`numeric_cells`.
    counts : ndarray
        Noisy :func:`group_counts`.
    sd : float
        Standard deviation of the noise of each count.
    n_bins : int
        No class is split further once it holds less than ``1 / n_bins`` of the mass.
    missing_sd : float or None
        Standard deviation of the noise of the last count, of missing values; None: no value may be missing.
    """
    starts, masses = _classes(cells, counts[:-1], sd, n_bins)
    stops = np.append(starts[1:], cells.n_classes)
    cumulative = np.append(0.0, np.cumsum(masses) / masses.sum())
    cumulative[-1] = 1.0
    step = 10.0 ** -(cells.decimals or 0)
    low, high = cells.knots[:, 0], cells.knots[:, -1]
    half = np.where(low == high, 0.0, step / 2)  # a cell of many values reaches half a step beyond its outermost
    first, last = (low + half)[starts], (high - half)[stops - 1]
    missing = 0.0 if missing_sd is None else missing_share(counts[-1], masses.sum(), missing_sd)
    return NumericCodec(cumulative, _knots(first, last, step), missing, cells.decimals, cells.bounds, cells.scale)


def _classes(cells: NumericCodec, counts: np.ndarray, sd: float, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return first cell and mass of each class: a group is split while its mass stands out of the noise."""
    sizes = group_sizes(cells)
    lengths = [-(-cells.n_classes // size) for size in sizes]
    levels = np.split(counts, np.cumsum(lengths)[:-1])
    total = max(float(levels[0].sum()), sd, 1e-9)
    smallest = max(total / n_bins, _SIGNIFICANT * sd)
    groups = list(enumerate(_on_simplex(levels[0], total)))
    found: list[tuple[int, float]] = []
    for level, size in enumerate(sizes):
        finer: list[tuple[int, float]] = []
        for group, mass in groups:
            if size == 1 or mass < smallest:
                found.append((group * size, mass))
                continue
            children = np.arange(group * _BRANCHES, min((group + 1) * _BRANCHES, lengths[level + 1]))
            finer += zip(children, _on_simplex(levels[level + 1][children], mass), strict=True)
        groups = finer
    starts, masses = zip(*sorted(found), strict=True)
    return np.array(starts), np.maximum(masses, _least_mass(total, sd))


def shares_of_part(cells: NumericCodec, all_counts: np.ndarray, part: np.ndarray, sd: float, n_bins: int) -> np.ndarray:
    """Return the shares (n_classes,) of the classes of :func:`merge_cells` in a part of the values.

    Parameters
    ----------
    cells, n_bins
        As in :func:`merge_cells`.
    all_counts, part : ndarray
        Noisy :func:`group_counts` of all values, as given to :func:`merge_cells`, and of the part.
    sd : float
        Standard deviation of the noise of ``all_counts``.
    """
    starts, _ = _classes(cells, all_counts[:-1], sd, n_bins)
    stops = np.append(starts[1:], cells.n_classes)
    masses, rest = np.zeros(len(starts)), part[:-1]
    for size in group_sizes(cells):  # coarse groups first: a class keeps the count of the finest that is as long as it
        n_groups = -(-cells.n_classes // size)
        covers = (starts % size == 0) & (stops == np.minimum(starts + size, cells.n_classes))
        masses[covers] = rest[starts[covers] // size]
        rest = rest[n_groups:]
    total = max(float(masses.sum()), 1e-9)
    masses = np.maximum(_on_simplex(masses, total), _least_mass(total, sd))
    return np.asarray(masses / masses.sum())


def _grouped(counts: np.ndarray, size: int) -> np.ndarray:
    return np.add.reduceat(counts, np.arange(0, len(counts), size))


def weigh_levels(cells: LevelCodec, counts: np.ndarray, sd: float, missing_sd: float | None) -> LevelCodec:
    """Return the levels with the shares of noisy counts (n_levels + 1,), of which each keeps a little.

    ``sd`` and ``missing_sd`` as in :func:`merge_cells`.
    """
    total = max(float(counts[:-1].sum()), sd, 1e-9)
    masses = np.maximum(_on_simplex(counts[:-1], total), _least_mass(total, sd))
    class_of_level = np.arange(len(masses))
    if len(masses) > MAX_CLASSES:
        by_mass = np.argsort(-masses, kind="stable")
        class_of_level[by_mass] = np.minimum(np.arange(len(masses)), MAX_CLASSES - 1)
    missing = 0.0 if missing_sd is None else missing_share(counts[-1], total, missing_sd)
    return LevelCodec(cells.levels, class_of_level, masses / masses.sum(), missing)


def _knots(first: np.ndarray, last: np.ndarray, step: float) -> np.ndarray:
    """Knots (n, N_KNOTS) of classes from the first to the last of their values, each value with an equal share."""
    half = np.where(first == last, 0.0, step / 2)
    return (first - half)[:, None] + np.linspace(0, 1, N_KNOTS) * (last - first + 2 * half)[:, None]


def _on_simplex(masses: np.ndarray, total: float) -> np.ndarray:
    """Return the nearest masses that sum to ``total``, none negative: all lowered by one amount, down to 0."""
    ordered = np.sort(masses)[::-1]
    lowered = (np.cumsum(ordered) - total) / np.arange(1, len(masses) + 1)
    return np.maximum(masses - lowered[ordered > lowered][-1], 0.0)


def _least_mass(total: float, sd: float) -> float:
    """Return what a class keeps whose noisy count is 0: no value is impossible, the less so the more noise there is."""
    return max(_LEAST_SHARE * total, _LEAST_NOISE * sd)


def missing_share(missing: float, seen: float, sd: float) -> float:
    """Return the expected share of missing values given its noisy count.

    Beforehand it is as likely that none is missing as that some are, any share of them as likely as another. A share of
    0 would make a record with a missing value impossible, which a noisy count of 0 does not say.
    """
    if sd > 0:
        z = missing / sd
        above = float(norm.pdf(z) / max(norm.cdf(z), 1e-300))
        missing = sd * max(z + above, 0.0) * sd / (sd + max(seen, sd) * above)
    return float(np.clip(missing / max(missing + seen, 1e-9), 0.0, 1 - 1e-6))
