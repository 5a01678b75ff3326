"""Cox's proportional hazards model in a few lines of NumPy, since metrics fit it hundreds of times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longsynth.exceptions import NotComputableError

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]
MOST_STEPS = 60
MOST_HALVINGS = 30
PRECISION = 1e-11
LARGEST_ERROR = 1e3
LARGEST_LOG_HAZARD = 300.0


@dataclass(frozen=True)
class CoxFit:
    """A fitted proportional hazards model.

    Attributes
    ----------
    coefficients, standard_errors : arrays, shape (P,)
        Log hazard ratio a unit of each covariate, and its standard error (with a ridge: of the penalised fit).
    centre : array, shape (P,)
        Means of the covariates: the baseline is the hazard of a patient who has them.
    times, hazard : arrays, shape (M,)
        Distinct times of events, and the cumulative baseline hazard (Breslow) from each of them on.
    """

    coefficients: Floats
    standard_errors: Floats
    centre: Floats
    times: Floats
    hazard: Floats


def fit_cox(
    covariates: Floats,
    stop: Floats,
    happened: NDArray[np.bool_],
    start: Floats | None = None,
    ridge: float = 0.0,
) -> CoxFit:
    """Fit the proportional hazards model ``h(t | x) = h_0(t) exp(x beta)`` by maximum partial likelihood.

    Parameters
    ----------
    covariates : array, shape (N, P)
        One row a patient, or one row an interval of a patient during which the covariates stay the same.
    stop : array, shape (N,)
        End of the interval.
    happened : array of bool, shape (N,)
        True if the event happened at its end.
    start : array, shape (N,), optional
        Beginning of the interval, before its end; a row is at risk after it. None: at risk from the first.
    ridge : float
        Penalty: ``N ridge / 2`` times the sum of squares of the coefficients of the standardised covariates.

    Returns
    -------
    CoxFit
        Coefficients on the scale of the covariates.

    Raises
    ------
    NotComputableError
        If there is no event, a covariate does not vary, or the coefficients are not determined: covariates depend on
        each other, or no patient with (or without) some value has an event.

    Notes
    -----
    Assumes proportional hazards, and censoring that is independent of the event given the covariates. Ties by Efron's
    method.

    References
    ----------
    Cox (1972), Regression models and life-tables, doi:10.1111/j.2517-6161.1972.tb00899.x.
    Efron (1977), The efficiency of Cox's likelihood function for censored data, doi:10.1080/01621459.1977.10480613.
    """
    if not happened.any():
        raise NotComputableError("a Cox model needs events, and there are none")
    centre = covariates.mean(axis=0)
    scale = covariates.std(axis=0, ddof=1) if len(covariates) > 1 else np.zeros_like(centre)
    if not (scale > 1e-12 * np.abs(centre)).all():
        raise NotComputableError("a Cox model needs covariates that vary")
    likelihood = _PartialLikelihood((covariates - centre) / scale, stop, happened, start, ridge * len(covariates))
    beta, information = _maximise(likelihood)
    variance = _variances(information)
    hazard = np.cumsum(likelihood.n_deaths / likelihood.risk(np.exp(likelihood.x @ beta)))
    return CoxFit(beta / scale, np.sqrt(variance) / scale, centre, likelihood.times, hazard)


class _PartialLikelihood:
    """Efron's partial likelihood of N rows, with its gradient and information, from sums over the sets at risk.

    K deaths at M distinct ``times``. The l-th of d deaths at one time (l = 0, ..., d - 1) meets the set at risk less
    the ``share`` l / d of those who die at this time.
    """

    def __init__(
        self, x: Floats, stop: Floats, happened: NDArray[np.bool_], start: Floats | None, penalty: float
    ) -> None:
        self.x, self.penalty = x, penalty
        self.dying = np.flatnonzero(happened)
        self.dying = self.dying[np.argsort(stop[self.dying], kind="stable")]
        self.times, first, self.time_of, self.n_deaths = np.unique(
            stop[self.dying], return_index=True, return_inverse=True, return_counts=True
        )
        self.share = (np.arange(len(self.dying)) - first[self.time_of]) / self.n_deaths[self.time_of]
        self.ends = _After(stop, self.times)
        self.starts = None if start is None else _After(start, self.times)
        self.until = np.searchsorted(self.times, stop, side="right")
        self.since = None if start is None else np.searchsorted(self.times, start, side="right")

    def risk(self, values: Floats) -> Floats:
        """Return the sums of ``values`` (N, ...) over the rows at risk at each time, shape (M, ...)."""
        at_risk = self.ends.sums(values)
        return at_risk if self.starts is None else at_risk - self.starts.sums(values)

    def value(self, beta: Floats) -> float:
        """Return the penalised log partial likelihood; minus infinity where it cannot be computed."""
        log_hazard = self.x @ beta
        if not np.abs(log_hazard).max() < LARGEST_LOG_HAZARD:
            return -np.inf
        risk = self._less_deaths(np.exp(log_hazard))
        if not (risk > 0).all():
            return -np.inf
        return float(log_hazard[self.dying].sum() - np.log(risk).sum() - self.penalty / 2 * beta @ beta)

    def derivatives(self, beta: Floats) -> tuple[Floats, Floats]:
        """Return the gradient (P,) and the information (P, P), minus the matrix of second derivatives."""
        hazard = np.exp(self.x @ beta)
        weighted = hazard[:, None] * self.x
        risk = self._less_deaths(hazard)
        means = self._less_deaths(weighted) / risk[:, None]
        gradient = self.x[self.dying].sum(axis=0) - means.sum(axis=0) - self.penalty * beta
        information = weighted.T @ (self._exposure(risk)[:, None] * self.x) - means.T @ means
        return gradient, information + self.penalty * np.eye(len(beta))

    def _less_deaths(self, values: Floats) -> Floats:
        """Return for each death the sum of ``values`` at risk, less the share of those who die at the same time."""
        dying = np.add.reduceat(values[self.dying], np.unique(self.time_of, return_index=True)[1])
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return self.risk(values)[self.time_of] - share * dying[self.time_of]

    def _exposure(self, risk: Floats) -> Floats:
        """Return how often each row counts in the sums over deaths, divided by the sums at risk, shape (N,)."""
        cumulative = np.concatenate([[0.0], np.cumsum(np.bincount(self.time_of, 1 / risk))])
        exposure = cumulative[self.until]
        if self.since is not None:
            exposure = exposure - cumulative[self.since]
        exposure[self.dying] -= np.bincount(self.time_of, self.share / risk)[self.time_of]
        return exposure


class _After:
    """Sums over the rows whose moment is at or after each of some times."""

    def __init__(self, moments: Floats, times: Floats) -> None:
        self.order = np.argsort(moments, kind="stable")
        self.first = np.searchsorted(moments[self.order], times, side="left")

    def sums(self, values: Floats) -> Floats:
        """Return the sums of ``values`` (N, ...), shape (M, ...)."""
        summed = np.cumsum(values[self.order][::-1], axis=0)
        summed = np.concatenate([np.zeros_like(summed[:1]), summed])
        return summed[len(self.order) - self.first]


def _variances(information: Floats) -> Floats:
    try:
        variance = np.diag(np.linalg.inv(information))
    except np.linalg.LinAlgError:
        variance = np.full(len(information), np.inf)
    if not ((variance > 0) & (variance < LARGEST_ERROR**2)).all():
        raise NotComputableError(
            "a log hazard ratio is not determined: covariates depend on each other, or a value comes without events"
        )
    return variance


def _maximise(likelihood: _PartialLikelihood) -> tuple[Floats, Floats]:
    """Return the maximum and the information there, by Newton's steps that are halved until they lead uphill."""
    beta = np.zeros(likelihood.x.shape[1])
    height = likelihood.value(beta)
    for _ in range(MOST_STEPS):
        gradient, information = likelihood.derivatives(beta)
        stride = np.linalg.lstsq(information, gradient, rcond=None)[0]
        gain = float(gradient @ stride)
        for halving in range(MOST_HALVINGS):
            candidate = beta + stride / 2**halving
            higher = likelihood.value(candidate)
            if higher >= height - PRECISION * abs(height):
                break
        else:
            break
        beta, height = candidate, higher
        if gain < PRECISION:
            return beta, likelihood.derivatives(beta)[1]
    raise NotComputableError("the Cox model does not converge")
