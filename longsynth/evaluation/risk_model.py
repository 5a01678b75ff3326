"""A prognostic model learnt from one cohort and tried on another: risk from what is known at baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from lifelines.utils import concordance_index
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.evaluation.columns import observed, ordered_channels
from longsynth.evaluation.cox import CoxFit, fit_cox
from longsynth.evaluation.survival import censoring_curve, outcome, step
from longsynth.exceptions import NotComputableError

Floats = NDArray[np.float64]
PENALTY = 0.1
FEWEST_EVENTS = 5


@dataclass(frozen=True)
class RiskModel:
    """A Cox model of the event (of any type) on what is known at baseline.

    Attributes
    ----------
    medians : dict of str to float
        Value that stands in for a missing one, by covariate.
    fit : CoxFit
        The model, covariates in the order of ``medians``.
    """

    medians: dict[str, float]
    fit: CoxFit

    def log_hazard(self, cohort: Cohort) -> Floats:
        """Return the patients' log hazards relative to the baseline, shape (N,), in the order of ``cohort.static``."""
        covariates = _filled(baseline_covariates(cohort), self.medians)
        return (covariates - self.fit.centre) @ self.fit.coefficients

    def survival(self, cohort: Cohort, times: Floats) -> Floats:
        """Return the patients' probabilities of no event until each time, shape (N, T).

        After the last event that the model has seen they stay as they are.
        """
        baseline = step((self.fit.times, self.fit.hazard), times, 0.0)
        return np.exp(-np.exp(self.log_hazard(cohort))[:, None] * baseline)


def fit_risk_model(sample: Cohort) -> RiskModel:
    """Fit a proportional hazards model of the event on static attributes and the channels' first values.

    Parameters
    ----------
    sample : Cohort
        N patients with a terminal event. Categorical columns are left out; missing values become the median.

    Returns
    -------
    RiskModel
        With a ridge penalty of 0.1 (see `longsynth.evaluation.cox.fit_cox`).

    Raises
    ------
    NotComputableError
        If the schema has no terminal event or no covariate, if there are fewer than 5 events, or if the model does not
        converge.

    Notes
    -----
    Assumes that censoring is independent given the covariates.
    """
    durations, types = outcome(sample)
    require_events(types, "cohort that the model is trained on")
    table = baseline_covariates(sample)
    varying = [name for name in table.columns if table[name].drop_nulls().n_unique() > 1]
    medians = {name: float(np.median(observed(table[name]))) for name in varying}
    if not medians:
        raise NotComputableError("it needs covariates that vary, and the cohort that the model is trained on has none")
    return RiskModel(medians, fit_cox(_filled(table, medians), durations, types > 0, ridge=PENALTY))


def require_events(types: NDArray[np.int64], cohort: str) -> None:
    """Raise `NotComputableError` unless at least 5 events happened in a cohort, which the message calls ``cohort``."""
    n_events = int((types > 0).sum())
    if n_events < FEWEST_EVENTS:
        raise NotComputableError(f"the {cohort} has {n_events} events; a Cox model needs {FEWEST_EVENTS}")


def baseline_covariates(cohort: Cohort) -> pl.DataFrame:
    """Return static attributes and the channels' values at the first visit, those with an order, N rows.

    Columns ``static.<name>`` and ``first.<channel>``; Float64, null where missing.
    """
    schema = cohort.schema
    static = numeric_static(cohort)
    names = [f"static.{name}" for name, column in schema.static.items() if column.kind != "categorical"]
    channels = ordered_channels(schema)
    first = numeric_visits(cohort).group_by(schema.patient_id, maintain_order=True).first()
    first = first.select(schema.patient_id, pl.col(channels).name.prefix("first."))
    both = static.join(first, on=schema.patient_id, how="left", maintain_order="left")
    return both.select(*names, *(f"first.{name}" for name in channels))


def brier_score(predicted: Floats, durations: Floats, happened: NDArray[np.bool_], times: Floats) -> Floats:
    """Return the mean squared error of predicted survival at some times, weighted for censoring.

    ``mean(S_i(t)^2 1[T_i <= t, event] / G(T_i-) + (1 - S_i(t))^2 1[T_i > t] / G(t))`` with the probability G of not yet
    being censored, from the same patients.

    Parameters
    ----------
    predicted : array, shape (N, T)
        Probability of no event until each time.
    durations : array, shape (N,)
        Time to the event or to censoring.
    happened : array of bool, shape (N,)
        True if the event happened.
    times : array, shape (T,)
        Before the last duration.

    Returns
    -------
    array, shape (T,)
        In [0, 1] but for noise of the weights; lower is better, 0.25 for a prediction of one half throughout.

    Notes
    -----
    Assumes that censoring is independent of event and covariates.

    References
    ----------
    Graf, Schmoor, Sauerbrei and Schumacher (1999), Assessment and comparison of prognostic classification schemes for
    survival data, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.
    """
    uncensored = censoring_curve(durations, happened)
    at_end = step((uncensored[0], np.append(1.0, uncensored[1])[:-1]), durations, 1.0)
    before = (durations[:, None] <= times) & happened[:, None]
    after = durations[:, None] > times
    remaining = step(uncensored, times, 1.0)
    weights_after = after / np.where(remaining > 0, remaining, 1.0)
    return (predicted**2 * before / at_end[:, None] + (1 - predicted) ** 2 * weights_after).mean(axis=0)


def cindex_tstr(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the concordance on the holdout of a Cox model trained on the synthetic cohort.

    The model is that of `fit_risk_model`: baseline attributes and first values, ridge penalty 0.1.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema. Give the train cohort as ``synthetic`` to learn what real data would give.

    Returns
    -------
    float
        Harrell's C in [0, 1], higher is better, 0.5 for no information.

    Raises
    ------
    NotComputableError
        If the schema has no terminal event or no covariate, if a cohort has too few events, or if the model does not
        converge.

    Notes
    -----
    Assumes that censoring is independent given the covariates.

    References
    ----------
    Harrell et al. (1982), Evaluating the yield of medical tests, doi:10.1001/jama.1982.03320430047030.
    """
    durations, types = outcome(holdout)
    require_events(types, "holdout")
    risk = fit_risk_model(synthetic).log_hazard(holdout)
    return float(concordance_index(durations, -risk, types > 0))


def _filled(covariates: pl.DataFrame, medians: dict[str, float]) -> Floats:
    """Return the covariates that have a median, those missing filled with it, shape (N, P)."""
    return covariates.select(pl.col(name).fill_null(value) for name, value in medians.items()).to_numpy()
