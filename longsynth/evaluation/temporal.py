"""Whether what happens at one visit follows from the visits before, as in a real cohort."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_visits, patient_features, transition_features
from longsynth.evaluation.association import Matrix, above_diagonal, mean_correlation_error, spearman
from longsynth.evaluation.columns import observed, ordered_channels, require
from longsynth.evaluation.marginal import kolmogorov_smirnov
from longsynth.exceptions import NotComputableError


def corr_lag1(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean absolute error of the Spearman correlations between one visit and the next.

    ``mean_{a,b} |rho_S(x_a(k), x_b(k+1)) - rho_H(...)|`` over all ordered pairs of channels that are not categorical.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or the holdout too few consecutive values of every pair.
    """
    return mean_correlation_error(_lag1(synthetic), _lag1(holdout))


def auto_lag1(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean absolute error of each channel's Spearman correlation with itself at the next visit.

    ``mean_a |rho_S(x_a(k), x_a(k+1)) - rho_H(...)|``: the diagonal of `corr_lag1`.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        As `corr_lag1`.
    """
    correlations = []
    for cohort in (synthetic, holdout):
        before, after = _consecutive(cohort)
        pairs = [spearman(before[:, [c]], after[:, [c]])[0, 0] for c in range(before.shape[1])]
        correlations.append(np.array(pairs))
    return mean_correlation_error(correlations[0], correlations[1])


def corr_change(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean absolute error of the Spearman correlations between changes of channels.

    ``mean_{a<b} |rho_S(d_a, d_b) - rho_H(d_a, d_b)|`` with ``d_a = x_a(k+1) - x_a(k)``, over pairs of channels that are
    not categorical, pairs of visits pooled.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has fewer than two such channels, or the holdout too few changes.
    """
    require(ordered_channels(holdout.schema), at_least=2)
    correlations = []
    for cohort in (synthetic, holdout):
        before, after = _consecutive(cohort)
        correlations.append(above_diagonal(spearman(after - before, after - before)))
    return mean_correlation_error(correlations[0], correlations[1])


def intraclass_correlation(values: NDArray[np.float64], patients: NDArray[np.int64]) -> float:
    """Return the share of a channel's variance that lies between patients.

    ``s_b^2 / (s_b^2 + s_w^2)``, where ``s_w^2`` is the pooled variance within patients and
    ``s_b^2 = var(patient means) - s_w^2 / mean(n_i)``; of patients with two or more values.

    Parameters
    ----------
    values : array, shape (n,)
        Without missing ones.
    patients : array of int, shape (n,)
        Whose value it is.

    Returns
    -------
    float
        At most 1; below 0 if patients differ less than their visits do; NaN with fewer than two such patients, or
        if nothing varies.

    Notes
    -----
    Unbiased when all patients have as many values; with unequal numbers ``1 / mean(n_i)`` is a little below
    ``mean(1 / n_i)``, in the real and the synthetic cohort alike.
    """
    _, index, counts = np.unique(patients, return_inverse=True, return_counts=True)
    values, index = values[counts[index] >= 2], index[counts[index] >= 2]
    _, index, counts = np.unique(index, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return float("nan")
    means = np.bincount(index, values) / counts
    within = ((values - means[index]) ** 2).sum() / (len(values) - len(counts))
    between = means.var(ddof=1) - within / counts.mean()
    total = between + within
    return float(between / total) if total > 0 else float("nan")


def icc_diff(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean absolute error of the channels' intraclass correlations, ``mean_c |ICC_S(c) - ICC_H(c)|``.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema; channels that are not categorical.

    Returns
    -------
    float
        At least 0, lower is better. A channel that never varies, or never twice in a patient, in the synthetic cohort
        counts with a correlation of 0.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or none varies within and between patients of the holdout.

    References
    ----------
    Shrout and Fleiss (1979), Intraclass correlations: uses in assessing rater reliability,
    doi:10.1037/0033-2909.86.2.420.
    """
    real = _intraclass_correlations(holdout)
    if np.isnan(real).all():
        raise NotComputableError("no channel has two values in each of two patients of the holdout")
    return mean_correlation_error(_intraclass_correlations(synthetic), real)


def ks_slope(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean Kolmogorov-Smirnov distance between the patients' slopes, over channels that are not categorical.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema. A patient's slope is the least-squares slope over two or more observed values.

    Returns
    -------
    float
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or no patient of the holdout a slope.
    """
    names = ordered_channels(holdout.schema)
    require(names)
    features = [patient_features(cohort) for cohort in (synthetic, holdout)]
    slopes = [[observed(table[f"{name}.slope"]) for table in features] for name in names]
    distances = [kolmogorov_smirnov(made, real) for made, real in slopes if real.size]
    if not distances:
        raise NotComputableError("no patient of the holdout has two values of a channel")
    return float(np.mean(distances))


def _consecutive(cohort: Cohort) -> tuple[Matrix, Matrix]:
    """Return the channels at the first and at the second visit of each pair, shape (pairs, C); NaN where missing."""
    names = ordered_channels(cohort.schema)
    require(names)
    pairs = transition_features(cohort)
    before, after = (pairs.select(f"{when}.{name}" for name in names).to_numpy() for when in ("before", "after"))
    return before, after


def _lag1(cohort: Cohort) -> Matrix:
    before, after = _consecutive(cohort)
    return spearman(before, after)


def _intraclass_correlations(cohort: Cohort) -> NDArray[np.float64]:
    names = ordered_channels(cohort.schema)
    require(names)
    visits = numeric_visits(cohort)
    patients = visits[cohort.schema.patient_id].rank("dense").cast(pl.Int64).to_numpy()
    found = []
    for name in names:
        seen = visits[name].is_not_null().to_numpy()
        found.append(intraclass_correlation(visits[name].to_numpy()[seen], patients[seen]))
    return np.array(found)
