"""Trajectories compared under dynamic time warping: by nearest neighbours, and by all distances."""

from __future__ import annotations

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.alignment import paired_points, soft_warping, squared_discrepancy, warping_distances
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.visit_arrays import Array
from longsynth.seeding import stream

MOST_PATIENTS = 100
MOST_VISITS = 30
GAMMA = 1.0
ROUNDING = 1e-9


@metric(
    block="detection", level="trajectory", title="Detection by the nearest patient under time warping (DTW)", best=0.5,
    is_share=True, most_patients=MOST_PATIENTS, most_visits=MOST_VISITS,
)  # fmt: skip
def dtw_neighbour(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return how often the nearest other patient under dynamic time warping comes from the same cohort.

    ``mean_i 1[nearest patient to i is of i's cohort]`` over the patients of both, a tie counting half: the accuracy of
    a nearest neighbour classifier that leaves one out.

    Sees: patients repeated, columns permuted, times stretched, visits dealt across patients. Weakly: visit order
    shuffled, values missing for other reasons, event times of other patients. Not: gaps made equal, arms swapped.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Seeds the sub-sample.

    Returns
    -------
    dict of str to float
        The whole, in [0, 1]: 0.5 cannot be told apart, 1 always told apart. Lower is better, but well below 0.5 the
        sample's patients are nearer to real ones than these to each other, as copies are.

    Raises
    ------
    NotComputableError
        If the schema has no channel, or one of the cohorts fewer than 10 patients with visits.

    Notes
    -----
    Patients, columns and missing values as in `longsynth.evaluation.metrics.alignment.alignment_mmd`. The distance is
    the square root of the least sum of squared differences over all alignments of two patients' visits.

    References
    ----------
    Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, doi:10.48550/arXiv.1610.06545. Sakoe and Chiba
    (1978), Dynamic programming algorithm optimization for spoken word recognition, doi:10.1109/TASSP.1978.1163055.
    """
    rng = stream(setting.seed, "dtw_neighbour")
    points, length, n = paired_points(sample, reference, rng, MOST_PATIENTS, MOST_VISITS)
    return {WHOLE: _told_apart(warping_distances(points, length), n)}


@metric(
    block="distance", level="trajectory", title="Distance of warped trajectories (soft-DTW)",
    most_patients=MOST_PATIENTS, most_visits=MOST_VISITS,
)  # fmt: skip
def soft_dtw_divergence(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return the energy statistic between trajectories under the divergence of soft dynamic time warping.

    ``2 mean_ij d(s_i, r_j) - mean_{i != j} d(s_i, s_j) - mean_{i != j} d(r_i, r_j)`` with
    ``d(x, y) = w(x, y) - (w(x, x) + w(y, y)) / 2`` and w the soft minimum of costs over all alignments.

    Sees: times stretched, event times of other patients, which cut records. Weakly: patients repeated (by luck of which
    ones), last visits dropped, values missing for other reasons. Not: visit order shuffled, visits dealt across
    patients, columns permuted, gaps made equal, arms swapped.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Seeds the sub-sample.

    Returns
    -------
    dict of str to float
        The whole; 0 on average for a fresh real sample (a little below or above by chance), lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no channel, or one of the cohorts fewer than 10 patients with visits.

    Notes
    -----
    Patients, columns and missing values as in `longsynth.evaluation.metrics.alignment.alignment_mmd`; the smoothing is
    tslearn's, gamma = 1. Unlike that kernel the divergence is not proven to be of negative type: cohorts that differ
    may have 0 or less.

    References
    ----------
    Blondel, Mensch and Vert (2021), Differentiable divergences between time series, doi:10.48550/arXiv.2010.08354.
    Szekely and Rizzo (2013), Energy statistics: a class of statistics based on distances,
    doi:10.1016/j.jspi.2013.03.018.
    """
    rng = stream(setting.seed, "soft_dtw_divergence")
    points, length, n = paired_points(sample, reference, rng, MOST_PATIENTS, MOST_VISITS)
    cost = soft_warping(points, length, GAMMA)
    own = cost.diagonal() / 2
    return {WHOLE: -squared_discrepancy(cost - own[:, None] - own, n)}


def _told_apart(distances: Array, n: int) -> float:
    """Return the share of patients whose nearest other one is of their cohort, the first n or the others."""
    others = np.where(np.eye(len(distances), dtype=bool), np.inf, distances)
    nearest = np.column_stack([others[:, :n].min(axis=1), others[:, n:].min(axis=1)])
    nearest[n:] = nearest[n:, ::-1]
    own, other = nearest.T
    is_tie = np.isclose(own, other, rtol=ROUNDING, atol=ROUNDING)
    return float(np.where(is_tie, 0.5, own < other).mean())
