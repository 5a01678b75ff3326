"""Metrics of order in time: how a channel goes with itself and with others some time, or some visits, later.

All but `visit_change` work on ranks within the own cohort, so they see order and not the marginal distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.association import FEWEST_PAIRS
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.columns import ordered_channels, require, with_whole
from longsynth.evaluation.marginal import kolmogorov_smirnov
from longsynth.evaluation.visit_arrays import (
    Array,
    Integers,
    VisitArrays,
    deviations,
    lagged_correlations,
    paired_arrays,
    rank_scores,
)
from longsynth.exceptions import NotComputableError

LAGS = (1, 2, 3)
CROSS_LAGS = (1, 2)
VARIOGRAM_PAIRS_APART = 8
VARIOGRAM_BINS = 6
CHANGE_DECIMALS = 9  # a difference carries rounding errors, which must not break ties


@metric(block="temporal", level="transition", title="How values drift apart with time (variogram)", by_stratum=True)
def variogram(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean distance between the channels' variograms in continuous time.

    ``mean_b |gamma_S(b) - gamma_R(b)|`` with ``gamma(b) = mean (r(t) - r(t'))^2 / 2`` over pairs of observed values of
    one patient whose distance ``|t - t'|`` in time lies in bin b, r being the channel's ranks scaled to variance 1. So
    gamma is 0 if values never change and 1 if they are unrelated.

    Sees: visit order shuffled, visits dealt across patients, times stretched. Not: marginal distributions.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean over channels, and each channel (``visits.<channel>``) that is not categorical. At least 0, lower is
        better, in shares of the channel's variance.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, the reference fewer than 20 pairs of values of each, or the sample no pair.

    Notes
    -----
    Pairs are up to 8 observed values apart. The 6 bins hold equally many of the reference's pairs; a bin that is empty
    in the sample counts as unrelated.

    References
    ----------
    Diggle, Heagerty, Liang and Zeger (2002), Analysis of Longitudinal Data, 2nd edition, section 3.4,
    ISBN 978-0-19-852484-7. Cressie and Hawkins (1980), Robust estimation of the variogram, doi:10.1007/BF01035243.
    """
    made, real = _both(sample, reference)
    if not any(len(_pairs(made, name)[0]) for name in made.names):
        raise NotComputableError("no patient of the sample has two values of a channel")
    parts = {}
    for name in real.names:
        distances, squares = _pairs(real, name)
        if len(distances) < FEWEST_PAIRS:
            continue
        edges = np.unique(np.quantile(distances, np.linspace(0, 1, VARIOGRAM_BINS + 1)))
        curves = [_binned(*pairs, edges) for pairs in (_pairs(made, name), (distances, squares))]
        known = ~np.isnan(curves[1])
        parts[f"visits.{name}"] = float(np.abs(np.nan_to_num(curves[0], nan=1.0) - curves[1])[known].mean())
    return with_whole(parts, "channel with 20 pairs of consecutive values")


@metric(block="temporal", level="transition", title="Correlation of a channel with itself 1 to 3 visits later")
def autocorrelation(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean error of the channels' rank correlations with themselves 1, 2 and 3 visits later.

    ``mean_{c,l} |rho_S(x_c(k), x_c(k+l)) - rho_R(...)|``, visits of all patients pooled, so that both what patients
    are and how they change counts.

    Sees: visits dealt across patients, and visit order shuffled where values change within patients. Not: marginal
    distributions, visit times.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, each channel (``visits.<channel>``) that is not categorical, and each ``lag <l>``. In [0, 2], lower
        is better. A correlation that the sample lacks counts as 0.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or one of the cohorts fewer than 20 pairs of values of each.
    """
    made, real = _both(sample, reference)
    found = [_autocorrelations(arrays.values, arrays.patient) for arrays in (made, real)]
    return _lag_errors(found[0], found[1], real.names)


@metric(block="temporal", level="transition", title="The same within patients (own mean taken away)")
def autocorrelation_within(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean error of the channels' correlations with themselves 1, 2 and 3 visits later, within patients.

    ``mean_{c,l} |rho_S(d_c(k), d_c(k+l)) - rho_R(...)|`` with d the ranks minus the patient's mean rank, of patients
    with three or more values.

    Sees: visit order shuffled, visits dealt across patients. Not: marginal distributions, what differs between
    patients, visit times.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        As `autocorrelation`.

    Raises
    ------
    NotComputableError
        As `autocorrelation`.

    Notes
    -----
    Taking away the mean of n values biases these correlations by about ``-1 / (n - 1)``. It is the same bias in both
    cohorts only if numbers of visits agree: read `visit_count` first.

    References
    ----------
    Marriott and Pope (1954), Bias in the estimation of autocorrelations, doi:10.1093/biomet/41.3-4.390.
    """
    made, real = _both(sample, reference)
    found = [_autocorrelations(_within(arrays), arrays.patient) for arrays in (made, real)]
    return _lag_errors(found[0], found[1], real.names)


@metric(block="temporal", level="transition", title="Correlation of a channel with another one 1 or 2 visits later")
def cross_lag(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean error of the correlations between each channel and every other one 1 and 2 visits later.

    ``mean_{a != b, l} |C_S(a, b, l) - C_R(a, b, l)|`` with ``C(a, b, l) = corr(d_a(k), d_b(k+l))`` of ranks minus the
    patient's mean rank, of patients with three or more values.

    Sees: visit order shuffled, a channel that no longer leads another one. Not: marginal distributions, what differs
    between patients.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and for each channel (``visits.<channel>``) that over its pairs. In [0, 2], lower is better. A
        correlation that the sample lacks counts as 0.

    Raises
    ------
    NotComputableError
        If the schema has fewer than two channels that are not categorical, or one of the cohorts fewer than 20
        pairs.
    """
    require(ordered_channels(reference.schema), at_least=2)
    made, real = _both(sample, reference)
    matrices = []
    for arrays in (made, real):
        within = _within(arrays)
        matrices.append(np.stack([lagged_correlations(within, arrays.patient, lag) for lag in CROSS_LAGS]))
    return _pair_errors(matrices[0], matrices[1], real.names)


@metric(
    block="temporal", level="transition", title="Changes from one visit to the next", by_stratum=True, is_share=True
)
def visit_change(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean Kolmogorov-Smirnov distance between changes from one observed value to the next.

    ``mean_c sup_u |F_c(u) - G_c(u)|`` of ``x_c(k+1) - x_c(k)``, all patients pooled.

    Sees: visit order shuffled, visits dealt across patients, noise added to each visit. Not: a shift of all values.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``) that is not categorical. In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or the reference fewer than 20 changes of each.
    """
    made, real = _scaled(sample, reference)
    parts = {}
    for name in real.names:
        changes = [_changes(arrays, name) for arrays in (made, real)]
        if len(changes[1]) >= FEWEST_PAIRS:
            parts[f"visits.{name}"] = kolmogorov_smirnov(changes[0], changes[1])
    return with_whole(parts, "channel with 20 pairs of consecutive values")


@metric(block="temporal", level="transition", title="Correlation between changes of two channels")
def change_correlation(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean error of the rank correlations between two channels' changes from one visit to the next.

    ``mean_{a<b} |rho_S(D_a, D_b) - rho_R(D_a, D_b)|`` with ``D_a = x_a(k+1) - x_a(k)``, pairs of visits pooled.

    Sees: channels that no longer change together. Not: the order of visits as such, marginal distributions.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and for each channel (``visits.<channel>``) that over its pairs. In [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has fewer than two channels that are not categorical, or one of the cohorts fewer than 20
        changes.
    """
    require(ordered_channels(reference.schema), at_least=2)
    made, real = _scaled(sample, reference)
    matrices = []
    for arrays in (made, real):
        same = arrays.patient[1:] == arrays.patient[:-1]
        changes = rank_scores(np.diff(arrays.values, axis=0)[same].round(CHANGE_DECIMALS))
        matrices.append(lagged_correlations(changes, np.zeros(len(changes), dtype=np.int64), lag=0)[None])
    return _pair_errors(matrices[0], matrices[1], real.names)


def _both(sample: Cohort, reference: Cohort) -> tuple[VisitArrays, VisitArrays]:
    """Return both cohorts' channels whose values have an order, as ranks."""
    names = ordered_channels(reference.schema)
    require(names)
    made, real = paired_arrays(sample, reference, names)
    return replace(made, values=rank_scores(made.values)), replace(real, values=rank_scores(real.values))


def _scaled(sample: Cohort, reference: Cohort) -> tuple[VisitArrays, VisitArrays]:
    """Return both cohorts' channels whose values have an order, in the reference's standard deviations."""
    names = ordered_channels(reference.schema)
    require(names)
    made, real = paired_arrays(sample, reference, names)
    spread = np.nanstd(real.values, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return replace(made, values=made.values / spread), replace(real, values=real.values / spread)


def _within(arrays: VisitArrays) -> Array:
    return deviations(arrays.values, arrays.patient, arrays.n_patients)


def _pairs(arrays: VisitArrays, name: str) -> tuple[Array, Array]:
    """Return distance in time and half the squared difference of all pairs of a patient's near-by observed values."""
    patient, time, value = arrays.column(name)
    distances, squares = [np.empty(0)], [np.empty(0)]
    for apart in range(1, min(VARIOGRAM_PAIRS_APART, len(value) - 1) + 1):
        same = patient[apart:] == patient[:-apart]
        distances.append((time[apart:] - time[:-apart])[same])
        squares.append(((value[apart:] - value[:-apart])[same] ** 2) / 2)
    return np.concatenate(distances), np.concatenate(squares)


def _binned(distances: Array, squares: Array, edges: Array) -> Array:
    """Return the mean of ``squares`` in each bin of distance; NaN where it is empty. The last bin is closed."""
    inside = (distances >= edges[0]) & (distances <= edges[-1])
    n_bins = max(len(edges) - 1, 1)
    bins = np.clip(np.searchsorted(edges, distances[inside], side="right") - 1, 0, n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    sums = np.bincount(bins, squares[inside], minlength=n_bins)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _autocorrelations(values: Array, patient: Integers) -> Array:
    """Return the correlation of each column with itself at each lag, shape (lags, C)."""
    columns = [values[:, [c]] for c in range(values.shape[1])]
    return np.array([[lagged_correlations(column, patient, lag)[0, 0] for column in columns] for lag in LAGS])


def _changes(arrays: VisitArrays, name: str) -> Array:
    patient, _, value = arrays.column(name)
    return np.diff(value)[patient[1:] == patient[:-1]].round(CHANGE_DECIMALS)


def _lag_errors(made: Array, real: Array, names: Sequence[str]) -> dict[str, float]:
    """Return the mean error of correlations, shape (lags, C), and that of each channel and each lag."""
    errors = _errors(made, real)
    parts = {WHOLE: float(np.nanmean(errors))}
    parts |= {f"visits.{name}": float(np.nanmean(column)) for name, column in zip(names, errors.T, strict=True)
              if not np.isnan(column).all()}  # fmt: skip
    return parts | {f"lag {lag}": float(np.nanmean(row)) for lag, row in zip(LAGS, errors, strict=True)
                    if not np.isnan(row).all()}  # fmt: skip


def _pair_errors(made: Array, real: Array, names: Sequence[str]) -> dict[str, float]:
    """Return the mean error of correlations between two channels, shape (lags, C, C), and that of each channel."""
    itself = np.eye(len(names), dtype=bool)
    errors = _errors(np.where(itself, np.nan, made), np.where(itself, np.nan, real))
    parts = {WHOLE: float(np.nanmean(errors))}
    for c, name in enumerate(names):
        own = np.concatenate([errors[:, c].ravel(), errors[:, :, c].ravel()])
        if not np.isnan(own).all():
            parts[f"visits.{name}"] = float(np.nanmean(own))
    return parts


def _errors(made: Array, real: Array) -> Array:
    """Return absolute errors; NaN where there is no real value. A correlation that the sample lacks counts as 0."""
    if np.isnan(real).all():
        raise NotComputableError(f"nothing varies over {FEWEST_PAIRS} pairs of visits of the reference")
    if np.isnan(made[~np.isnan(real)]).all():
        raise NotComputableError(f"nothing varies over {FEWEST_PAIRS} pairs of visits of the sample")
    return np.abs(np.nan_to_num(made) - real)
