"""Metrics of how much patients differ from each other, and from themselves at other visits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import Setting, metric
from longsynth.evaluation.columns import ordered_channels, require, with_whole
from longsynth.evaluation.forecasting import CLIPPED_SHARE
from longsynth.evaluation.visit_arrays import Array, VisitArrays, paired_arrays, patient_means
from longsynth.exceptions import NotComputableError

LEAST_SHARE = 0.01
FEWEST_REPEATED = 5


@metric(block="temporal", level="trajectory", title="Share of variance between patients (ICC)", by_stratum=True)
def icc(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean error of the channels' intraclass correlations, ``mean_c |ICC_S(c) - ICC_R(c)|``.

    ``ICC = s_b^2 / (s_b^2 + s_w^2)`` of the components that `variance_components` estimates.
    Values are clipped to the reference's 1st and 99th percentile, since a variance hangs on the few most extreme ones.

    Sees: visits dealt across patients. Not: visit order shuffled inside patients, visit times.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``) that is not categorical. At least 0, lower is better. A
        channel that does not vary in the sample counts with an ICC of 0.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or none varies over 5 patients of the reference with two values, or the
        sample has no 5 such patients.

    References
    ----------
    Shrout and Fleiss (1979), Intraclass correlations: uses in assessing rater reliability,
    doi:10.1037/0033-2909.86.2.420. Donner (1986), A review of inference procedures for the intraclass correlation
    coefficient in the one-way random effects model, doi:10.2307/1403259.
    """
    parts = {}
    for name, (made, real) in _components(sample, reference).items():
        total = float(made.sum())
        parts[f"visits.{name}"] = float(abs((made[0] / total if total > 0 else 0.0) - real[0] / real.sum()))
    return with_whole(parts, "channel that varies over repeated visits of 5 patients")


@metric(block="temporal", level="trajectory", title="Spread between patients, log ratio to real", worse="both")
def between_sd(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return by how much patients differ from each other more or less than in the reference.

    ``mean_c log(s_b,S(c) / s_b,R(c))`` with s_b the standard deviation between patients of `variance_components`;
    values are clipped as in `icc`.

    Sees: visits dealt across patients, patients alike. Not: visit order shuffled inside patients, visit times.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``) that is not categorical; 0 is best, above 0: patients differ
        too much, below: too little. A variance below 1 % of the reference's total counts as that.

    Raises
    ------
    NotComputableError
        As `icc`.

    References
    ----------
    Searle, Casella and McCulloch (1992), Variance Components, doi:10.1002/9780470316856.
    """
    return _log_ratios(sample, reference, 0)


@metric(block="temporal", level="trajectory", title="Spread within patients, log ratio to real", worse="both")
def within_sd(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return by how much a patient's values differ from each other more or less than in the reference.

    ``mean_c log(s_w,S(c) / s_w,R(c))`` with s_w the standard deviation within patients of `variance_components`;
    values are clipped as in `icc`.

    Sees: visits dealt across patients, trajectories too smooth or too noisy. Not: visit order shuffled inside patients,
    visit times.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``) that is not categorical; 0 is best, above 0: patients vary
        too much from visit to visit, below: too little. A variance below 1 % of the reference's total counts as that.

    Raises
    ------
    NotComputableError
        As `icc`.

    References
    ----------
    As `between_sd`.
    """
    return _log_ratios(sample, reference, 1)


def variance_components(arrays: VisitArrays) -> Array:
    """Return the variances of each channel between and within patients.

    ``s_w^2 = sum (x_ij - m_i)^2 / sum (n_i - 1)`` and ``s_b^2 = var(m_i) - s_w^2 mean(1 / n_i)``, with m_i the mean of
    the n_i values of patient i, over patients with two or more: both unbiased, and each patient counts as much as
    another one however many visits it has.

    Parameters
    ----------
    arrays : VisitArrays
        With C channels.

    Returns
    -------
    array, shape (C, 2)
        Between and within; the first may be below 0. NaN with fewer than 5 such patients.

    Notes
    -----
    Values of a patient are taken as equally correlated; where they are autocorrelated, s_w^2 is the spread within
    records as long as these, and drifts count as spread within patients.
    """
    means, counts = patient_means(arrays.values, arrays.patient, arrays.n_patients)
    squares = patient_means((arrays.values - means[arrays.patient]) ** 2, arrays.patient, arrays.n_patients)[0] * counts
    found = np.full((len(arrays.names), 2), np.nan)
    for c in range(len(arrays.names)):
        several = counts[:, c] >= 2
        if several.sum() < FEWEST_REPEATED:
            continue
        n = counts[several, c]
        within = squares[several, c].sum() / (n - 1).sum()
        found[c] = means[several, c].var(ddof=1) - within * (1 / n).mean(), within
    return found


def _components(sample: Cohort, reference: Cohort) -> dict[str, tuple[Array, Array]]:
    """Return the components of both cohorts, of the channels that vary over repeated visits of the reference."""
    names = ordered_channels(reference.schema)
    require(names)
    arrays = paired_arrays(sample, reference, names)
    low, high = (np.nanquantile(arrays[1].values, share, axis=0) for share in (CLIPPED_SHARE, 1 - CLIPPED_SHARE))
    low, high = np.where(low < high, low, -np.inf), np.where(low < high, high, np.inf)
    made, real = (variance_components(replace(one, values=one.values.clip(low, high))) for one in arrays)
    known = ~np.isnan(real).any(axis=1) & (real.sum(axis=1) > 0)
    if known.any() and np.isnan(made[known]).all():
        raise NotComputableError(f"no channel has repeated values in {FEWEST_REPEATED} patients of the sample")
    return {name: (np.nan_to_num(made[c]), real[c]) for c, name in enumerate(arrays[1].names) if known[c]}


def _log_ratios(sample: Cohort, reference: Cohort, which: int) -> dict[str, float]:
    parts = {}
    for name, (made, real) in _components(sample, reference).items():
        least = LEAST_SHARE * float(real.sum())
        ratio = max(float(made[which]), least) / max(float(real[which]), least)
        parts[f"visits.{name}"] = float(np.log(ratio) / 2)
    return with_whole(parts, "channel that varies over repeated visits of 5 patients")
