"""Cox's proportional hazards model in a few lines of NumPy, since metrics fit it hundreds of times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longsynth.evaluation.risk_sets import RiskSets
from longsynth.exceptions import NotComputableError

Floats = NDArray[np.float64]
MOST_STEPS = 60
MOST_HALVINGS = 30
PRECISION = 1e-11
LARGEST_ERROR = 1e3
LARGEST_LOG_HAZARD = 300.0
SMALLEST_SPREAD = 1e-12


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
    if not (scale > SMALLEST_SPREAD * np.abs(centre)).all():
        raise NotComputableError("a Cox model needs covariates that vary")
    likelihood = _PartialLikelihood(
        (covariates - centre) / scale, RiskSets(stop, happened, start), ridge * len(covariates)
    )
    beta, information = _maximise(likelihood)
    variance = _variances(information)
    deaths = likelihood.sets.of_dying(np.ones(len(stop)))
    hazard = np.cumsum(deaths / likelihood.sets.at_risk(np.exp(likelihood.x @ beta)))
    return CoxFit(beta / scale, np.sqrt(variance) / scale, centre, likelihood.sets.times, hazard)


def fit_cox_each(
    covariates: Floats, stop: Floats, happened: NDArray[np.bool_], start: Floats | None = None
) -> tuple[Floats, Floats]:
    """Fit a proportional hazards model to each covariate alone, to all of them at once.

    Parameters
    ----------
    covariates : array, shape (N, P)
        As `fit_cox` takes them; NaN where missing, which leaves the row out of the model of this covariate.
    stop, happened, start : arrays, shape (N,)
        As `fit_cox` takes them.

    Returns
    -------
    coefficients, standard_errors : arrays, shape (P,)
        What `fit_cox` would return for each covariate; NaN where it would raise.
    """
    known = (~np.isnan(covariates)).astype(np.float64)
    filled, n = np.nan_to_num(covariates), np.maximum(known.sum(axis=0), 1)
    centre = filled.sum(axis=0) / n
    centred = (filled - centre) * known
    scale = np.sqrt((centred**2).sum(axis=0) / n)
    usable = np.flatnonzero((scale > SMALLEST_SPREAD * np.abs(centre)) & (known[happened].sum(axis=0) > 0))
    coefficients, errors = np.full((2, covariates.shape[1]), np.nan)
    if len(usable):
        sets = RiskSets(stop, happened, start)
        rows = sets.until > sets.since  # the others are never at risk when somebody has the event
        sets = RiskSets(stop[rows], happened[rows], None if start is None else start[rows])
        x = centred[np.ix_(rows, usable)] / scale[usable]
        beta, information = _maximise_each(_EachLikelihood(x, known[np.ix_(rows, usable)], sets))
        coefficients[usable] = beta / scale[usable]
        errors[usable] = 1 / np.sqrt(information) / scale[usable]
    return coefficients, errors


class _PartialLikelihood:
    """Efron's partial likelihood of N rows of P standardised covariates, with its gradient and information."""

    def __init__(self, x: Floats, sets: RiskSets, penalty: float) -> None:
        self.x, self.sets, self.penalty = x, sets, penalty
        self.share = sets.share(np.ones(len(x)))

    def value(self, beta: Floats) -> float:
        """Return the penalised log partial likelihood; minus infinity where it cannot be computed."""
        log_hazard = self.x @ beta
        if not np.abs(log_hazard).max() < LARGEST_LOG_HAZARD:
            return -np.inf
        risk = self.sets.faced(np.exp(log_hazard), self.share)
        if not (risk > 0).all():
            return -np.inf
        return float(log_hazard[self.sets.dying].sum() - np.log(risk).sum() - self.penalty / 2 * beta @ beta)

    def derivatives(self, beta: Floats) -> tuple[Floats, Floats]:
        """Return the gradient (P,) and the information (P, P), minus the matrix of second derivatives."""
        hazard = np.exp(self.x @ beta)
        weighted = hazard[:, None] * self.x
        risk = self.sets.faced(hazard, self.share)
        means = self.sets.faced(weighted, self.share[:, None]) / risk[:, None]
        gradient = self.x[self.sets.dying].sum(axis=0) - means.sum(axis=0) - self.penalty * beta
        information = weighted.T @ (self._exposure(risk)[:, None] * self.x) - means.T @ means
        return gradient, information + self.penalty * np.eye(len(beta))

    def _exposure(self, risk: Floats) -> Floats:
        """Return the sum over the deaths that a row is at risk of, each divided by the sum it faces, shape (N,)."""
        time_of = self.sets.time_of
        cumulative = np.concatenate([[0.0], np.cumsum(np.bincount(time_of, 1 / risk))])
        exposure: Floats = cumulative[self.sets.until] - cumulative[self.sets.since]
        exposure[self.sets.dying] -= np.bincount(time_of, self.share / risk)[time_of]
        return exposure


class _EachLikelihood:
    """The partial likelihoods of P models, each with one standardised covariate (0 where not known)."""

    def __init__(self, x: Floats, known: Floats, sets: RiskSets) -> None:
        self.x, self.known, self.sets = x, known, sets
        self.share = sets.share(known)
        self.dying = known[sets.dying]

    def value(self, beta: Floats) -> Floats:
        """Return the log partial likelihoods, shape (P,); minus infinity where they cannot be computed."""
        log_hazard = self.x * beta
        possible = np.abs(log_hazard).max(axis=0) < LARGEST_LOG_HAZARD
        risk = self.sets.faced(np.exp(log_hazard * possible) * self.known, self.share)
        possible &= ((risk > 0) | (self.dying == 0)).all(axis=0)
        logarithms = np.log(np.where((self.dying > 0) & (risk > 0), risk, 1.0))
        return np.where(possible, log_hazard[self.sets.dying].sum(axis=0) - logarithms.sum(axis=0), -np.inf)

    def derivatives(self, beta: Floats) -> tuple[Floats, Floats]:
        """Return the gradients and the informations, each of shape (P,)."""
        hazard = np.exp(self.x * beta) * self.known
        weighted = hazard * self.x
        risk = np.where(self.dying > 0, self.sets.faced(hazard, self.share), 1.0)
        means = self.sets.faced(weighted, self.share) / risk * self.dying
        squares = self.sets.faced(weighted * self.x, self.share) / risk * self.dying
        gradient = self.x[self.sets.dying].sum(axis=0) - means.sum(axis=0)
        return gradient, (squares - means**2).sum(axis=0)


def _maximise_each(likelihood: _EachLikelihood) -> tuple[Floats, Floats]:
    """Return the P maxima and the informations there, NaN where there is none; steps as in `_maximise`."""
    beta = np.zeros(likelihood.x.shape[1])
    height = likelihood.value(beta)
    for _ in range(MOST_STEPS):
        gradient, information = likelihood.derivatives(beta)
        determined = information > 1 / LARGEST_ERROR**2
        stride = np.where(determined, gradient / np.where(determined, information, 1.0), 0.0)
        gain = gradient * stride
        for _ in range(MOST_HALVINGS):
            higher = likelihood.value(beta + stride)
            downhill = higher < height - PRECISION * np.abs(height)
            if not downhill.any():
                break
            stride = np.where(downhill, stride / 2, stride)
        beta, height = beta + stride, higher
        if (gain < PRECISION).all():
            break
    information = likelihood.derivatives(beta)[1]
    found = (information > 1 / LARGEST_ERROR**2) & (gain < PRECISION)
    return np.where(found, beta, np.nan), np.where(found, information, np.nan)


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
