"""Alignments of all pairs of patients at once: dynamic time warping, its soft form, and the kernel that sums over them.

What an alignment of the first visits of two patients is worth follows from those of one visit less. tslearn takes that
recursion through one pair after the other; here each step is made for all pairs that have so many visits, patients
lying in order of their length. As pairs have no order, only steps with a >= b are made.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.paths import Paths, paired_paths
from longsynth.evaluation.visit_arrays import Array

Step = Callable[[Array, list[Array]], Array]
"""From squared distances of two visits, and the up to three arrays of what leads there, to what is reached."""


def paired_points(
    sample: Cohort, reference: Cohort, rng: np.random.Generator, most_patients: int, most_visits: int
) -> tuple[Array, NDArray[np.int64], int]:
    """Return what is aligned: points and number of visits of both cohorts' patients, and how many of each there are.

    Parameters are those of `longsynth.evaluation.paths.paired_paths`. Points have the columns of `Paths` and the share
    of channels observed, shape (2 N, L, D); the sample's patients come first, and NaN is beyond a patient's visits.
    """
    both = paired_paths(sample, reference, rng, most_patients, most_visits)
    length = np.concatenate([one.length for one in both])
    return _padded(list(both), int(length.max())), length, len(both[0].length)


def alignment_kernel(points: Array, length: NDArray[np.int64], sigma: float) -> Array:
    """Return the normalised global alignment kernel between all pairs of patients, as tslearn's `cdist_gak`.

    Parameters
    ----------
    points : array, shape (N, L, D)
        Of each visit; what lies beyond a patient's visits is not read.
    length : array of int, shape (N,)
        Number of visits, at least 1.
    sigma : float
        Bandwidth.

    Returns
    -------
    array, shape (N, N)
        In [0, 1], 1 on the diagonal.
    """

    def summed(squared: Array, before: list[Array]) -> Array:
        alike = np.exp(squared / (-2 * sigma**2))
        alike /= 2 - alike
        return alike * sum(before[1:], before[0]) if before else alike

    sums = _reached(points, length, summed)
    own = np.sqrt(sums.diagonal())  # at least 1, and with 30 visits no more than 1e23: nothing overflows
    return np.asarray(sums / own[:, None] / own)


def warping_distances(points: Array, length: NDArray[np.int64]) -> Array:
    """Return the distances under dynamic time warping between all pairs of patients, as tslearn's `cdist_dtw`.

    The square root of the least sum of squared distances along an alignment. Parameters as of `alignment_kernel`.
    """

    def cheapest(squared: Array, before: list[Array]) -> Array:
        return squared + _least(before) if before else squared

    return np.asarray(np.sqrt(_reached(points, length, cheapest)))


def soft_warping(points: Array, length: NDArray[np.int64], gamma: float = 1.0) -> Array:
    """Return soft dynamic time warping between all pairs of patients, as tslearn's `cdist_soft_dtw`.

    ``-gamma log sum exp(-cost / gamma)`` over all alignments, the cost the sum of squared distances; it can be
    negative. Other parameters as of `alignment_kernel`.
    """

    def soft(squared: Array, before: list[Array]) -> Array:
        if not before:
            return squared
        least = _least(before)
        ways = sum(np.exp((least - one) / gamma) for one in before)
        return squared + least - gamma * np.log(ways)  # at least one of the ways is exp(0)

    return _reached(points, length, soft)


def squared_discrepancy(alike: Array, n: int) -> float:
    """Return how much more alike patients are within than between the first n of a square matrix and the others.

    ``mean_{i != j} a(s_i, s_j) + mean_{i != j} a(r_i, r_j) - 2 mean_ij a(s_i, r_j)``: of a kernel the unbiased squared
    maximum mean discrepancy, of distances minus the energy statistic.
    """
    own = [(part.sum() - np.trace(part)) / (len(part) * (len(part) - 1)) for part in (alike[:n, :n], alike[n:, n:])]
    return float(own[0] + own[1] - 2 * alike[:n, n:].mean())


def _least(arrays: list[Array]) -> Array:
    least = arrays[0]
    for one in arrays[1:]:
        least = np.minimum(least, one)
    return least


def _reached(points: Array, length: NDArray[np.int64], step: Step) -> Array:
    """Return what `step` reaches at the last visits of all pairs of patients, shape (N, N)."""
    order = np.argsort(-length, kind="stable")
    points, length = points[order], length[order]
    counts = [int((length > visit).sum()) for visit in range(int(length[0]) + 1)]
    last = np.empty((len(length), len(length)))
    above: list[Array] = []
    for a, rows in enumerate(counts[:-1]):
        row: list[Array] = []
        for b, columns in enumerate(counts[: a + 1]):
            before = []
            if b:
                before += [row[b - 1][:, :columns], above[b - 1][:rows, :columns]]
            if a:
                before.append(above[b][:rows] if b < a else row[b - 1].T[:rows])
            row.append(step(cdist(points[:rows, a], points[:columns, b], "sqeuclidean"), before))
            ended = row[b][counts[a + 1] :, counts[b + 1] :]
            last[counts[a + 1] : rows, counts[b + 1] : columns] = ended
            last[counts[b + 1] : columns, counts[a + 1] : rows] = ended.T
        above = row
    back = np.argsort(order)
    return last[np.ix_(back, back)]


def _padded(both: list[Paths], longest: int) -> Array:
    """Return points and share of channels observed of all patients, shape (N, L, D); NaN beyond their visits."""
    points = np.full((sum(len(one.length) for one in both), longest, both[0].points.shape[2] + 1), np.nan)
    start = 0
    for one in both:
        share = one.observed.mean(axis=2, keepdims=True) - 0.5
        n, own = one.inside.shape
        columns = np.concatenate([one.points, share], axis=2)
        points[start : start + n, :own] = np.where(one.inside[:, :, None], columns, np.nan)
        start += n
    return points
