"""Metrics of what makes patients be seen and channels be measured: what was found at the visits before.

Most joint models assume that visiting and missingness are explained by the past; here is whether the past explains as
much as in real patients. Values enter as ranks within the own cohort, carried forward.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.association import FEWEST_PAIRS
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.columns import ordered_channels, with_whole
from longsynth.evaluation.visit_arrays import (
    Array,
    VisitArrays,
    carried_forward,
    lagged_correlations,
    paired_arrays,
    rank_scores,
    visit_arrays,
)
from longsynth.exceptions import NotComputableError

RIDGE = 0.01
RAREST = 0.02


@metric(block="missingness", level="transition", title="Missing values that depend on the values before")
def missing_on_values(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of how much the last values and time tell about whether a channel is measured.

    ``mean_c sqrt(mean_p (b_S,cp - b_R,cp)^2)`` with b the coefficients of a linear regression of "c is observed at this
    visit" on p: the last observed value of each channel that is not categorical, and the visit time, in standard
    deviations of ranks.

    Sees: values missing at random that in real patients are missing by what was found before. Not: how often values are
    missing, and which are missing together.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``) that is observed at 2 to 98 % of the reference's visits after
        the first; in probability per standard deviation, at least 0, lower is better.

    Raises
    ------
    NotComputableError
        If there is no such channel, one of the cohorts has fewer than 20 visits after a patient's first, or none of
        these channels is ever observed in the sample.

    Notes
    -----
    A linear probability model: unlike a logistic one it always has a solution, also where a channel is never missing
    under some condition, and its coefficients compare between common and rare channels. A small ridge (1 % of the
    number of visits) keeps the coefficients of channels that go together apart.

    References
    ----------
    Hellevik (2009), Linear versus logistic regression when the dependent variable is a dichotomy,
    doi:10.1007/s11135-007-9077-3. Rubin (1976), Inference and missing data, doi:10.1093/biomet/63.3.581.
    """
    made, real = _all_channels(sample, reference)
    chosen = _sometimes_missing(real)
    _require_observed(made, chosen)
    coefficients = [_missing_coefficients(arrays, reference) for arrays in (made, real)]
    errors = np.sqrt(((coefficients[0] - coefficients[1]) ** 2).mean(axis=0))
    parts = {f"visits.{name}": float(errors[c]) for c, name in enumerate(real.names) if chosen[c]}
    return with_whole(parts, "channel that is sometimes missing")


@metric(block="missingness", level="transition", title="Channels missing again at the next visit")
def missing_again(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of the correlation between "observed" at one visit and at the next.

    ``mean_c |phi_S(c) - phi_R(c)|`` with ``phi = corr(m_c(k), m_c(k+1))`` of the observed indicators m.

    Sees: values missing at random that in real patients are missing on and on, or every other time. Not: how often
    values are missing.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``) that is observed at 2 to 98 % of the reference's visits after
        the first; in [0, 2], lower is better. A correlation that the sample lacks counts as 0.

    Raises
    ------
    NotComputableError
        As `missing_on_values`.

    References
    ----------
    Rubin (1976), Inference and missing data, doi:10.1093/biomet/63.3.581.
    """
    made, real = _all_channels(sample, reference)
    chosen = _sometimes_missing(real)
    _require_observed(made, chosen)
    phi = []
    for arrays in (made, real):
        seen = (~np.isnan(arrays.values)).astype(np.float64)
        found = [lagged_correlations(column[:, None], arrays.patient, 1)[0, 0] for column in (seen - 0.5).T]
        phi.append(np.nan_to_num(found))
    parts = {f"visits.{name}": float(abs(phi[0][c] - phi[1][c])) for c, name in enumerate(real.names) if chosen[c]}
    return with_whole(parts, "channel that is sometimes missing")


@metric(block="visit_process", level="transition", title="Time to the next visit that depends on the values")
def visiting_on_values(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of how much the values of a visit and its time tell about the time to the next visit.

    ``sqrt(mean_p (b_S,p - b_R,p)^2)`` with b the coefficients of a linear regression of the logarithm of the gap to the
    next visit on p: the last observed value of each channel that is not categorical, and the visit time, in standard
    deviations of ranks.

    Sees: visits that no longer come sooner in sicker patients, gaps made equal or dealt. Not: how long gaps are.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole, and the absolute error of each channel (``visits.<channel>``) and of ``time``; in log gap per
        standard deviation, at least 0, lower is better.

    Raises
    ------
    NotComputableError
        If there is no such channel, or one of the cohorts has fewer than 20 gaps.

    Notes
    -----
    Gaps that the end of follow-up cut off are left out, in both cohorts. A log-linear regression of uncensored gaps
    has the direction of an Andersen-Gill model of the visit rate with the sign turned round.

    References
    ----------
    Lin, Scharfstein and Rosenheck (2004), Analysis of longitudinal data with irregular, outcome-dependent follow-up,
    doi:10.1111/j.1467-9868.2004.b5543.x. Andersen and Gill (1982), doi:10.1214/aos/1176345976.
    """
    names = ordered_channels(reference.schema)
    made, real = paired_arrays(sample, reference, names)
    for arrays, whose in ((real, "reference"), (made, "sample")):
        if (arrays.patient[1:] == arrays.patient[:-1]).sum() < FEWEST_PAIRS:
            raise NotComputableError(f"it needs {FEWEST_PAIRS} gaps between visits in the {whose}")
    errors = np.abs(_visiting_coefficients(made) - _visiting_coefficients(real))
    parts = {f"visits.{name}": float(error) for name, error in zip(real.names, errors, strict=False)}
    return {WHOLE: float(np.sqrt((errors**2).mean())), **parts, "time": float(errors[-1])}


def _all_channels(sample: Cohort, reference: Cohort) -> tuple[VisitArrays, VisitArrays]:
    names = list(reference.schema.channels)
    return visit_arrays(sample, names), visit_arrays(reference, names)


def _sometimes_missing(arrays: VisitArrays) -> NDArray[np.bool_]:
    """Return which channels are sometimes missing after the first visit."""
    share = _shares_observed(arrays, "reference")
    return (share >= RAREST) & (share <= 1 - RAREST)


def _require_observed(made: VisitArrays, chosen: NDArray[np.bool_]) -> None:
    """Raise `NotComputableError` if none of the chosen channels is ever observed in the sample."""
    if chosen.any() and not _shares_observed(made, "sample")[chosen].any():
        raise NotComputableError(
            "channels that are sometimes missing in real patients are never observed in the sample"
        )


def _shares_observed(arrays: VisitArrays, cohort: str) -> Array:
    """Return the shares of visits after a patient's first at which channels are observed, shape (C,)."""
    later = arrays.patient[1:] == arrays.patient[:-1]
    if later.sum() < FEWEST_PAIRS:
        raise NotComputableError(f"it needs {FEWEST_PAIRS} visits after a patient's first in the {cohort}")
    return np.asarray((~np.isnan(arrays.values[1:][later])).mean(axis=0))


def _missing_coefficients(arrays: VisitArrays, reference: Cohort) -> Array:
    """Return the coefficients of "observed" on the past, shape (predictors, C)."""
    ordered = [c for c, name in enumerate(arrays.names) if reference.schema.channels[name].kind != "categorical"]
    later = arrays.patient[1:] == arrays.patient[:-1]
    before = carried_forward(rank_scores(arrays.values[:, ordered]), arrays.patient)[:-1][later]
    seen = (~np.isnan(arrays.values[1:][later])).astype(np.float64)
    return _regression(before, arrays.time[1:][later], seen)


def _visiting_coefficients(arrays: VisitArrays) -> Array:
    """Return the coefficients of the log gap on the past, shape (predictors,)."""
    gap = np.diff(arrays.time)
    chosen = (arrays.patient[1:] == arrays.patient[:-1]) & (gap > 0)
    now = carried_forward(rank_scores(arrays.values), arrays.patient)[:-1][chosen]
    return _regression(now, arrays.time[:-1][chosen], np.log(gap[chosen])[:, None])[:, 0]


def _regression(before: Array, time: Array, outcomes: Array) -> Array:
    """Return ridge coefficients of outcomes, shape (n, K), on values (n, P; NaN = 0) and ranked time, (P + 1, K)."""
    predictors = np.column_stack([np.nan_to_num(before), rank_scores(time[:, None])])
    if not len(predictors):
        return np.zeros((predictors.shape[1], outcomes.shape[1]))
    predictors = predictors - predictors.mean(axis=0)
    gram = predictors.T @ predictors + RIDGE * len(predictors) * np.eye(predictors.shape[1])
    return np.linalg.solve(gram, predictors.T @ (outcomes - outcomes.mean(axis=0)))
