"""Whether patients drop out and die as in a real cohort, and whether the same would be learnt about why."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError, ConvergenceWarning
from lifelines.utils import concordance_index
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.evaluation.columns import ordered_channels
from longsynth.exceptions import NotComputableError

HORIZON_QUANTILE = 0.95
PENALIZER = 0.1
FEWEST_EVENTS = 5


def kaplan_meier(
    durations: NDArray[np.float64], happened: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Kaplan-Meier curve ``S(t) = prod_{t_i <= t} (1 - d_i / n_i)`` as a step function.

    Parameters
    ----------
    durations : array, shape (N,)
        Time to the event or to censoring.
    happened : array of bool, shape (N,)
        True if the event happened, False if censored.

    Returns
    -------
    times : array, shape (M,)
        Distinct durations, ascending.
    survival : array, shape (M,)
        The curve from each of these times on; it is 1 before the first.

    Notes
    -----
    Assumes that censoring is independent of the event. Patients censored at an event's time count as at risk for it.
    """
    times, index = np.unique(durations, return_inverse=True)
    events = np.bincount(index, happened.astype(np.float64), len(times))
    at_risk = len(durations) - np.concatenate([[0], np.cumsum(np.bincount(index, minlength=len(times)))[:-1]])
    return times, np.cumprod(1 - events / at_risk)


def area_between(
    first: tuple[NDArray[np.float64], NDArray[np.float64]],
    second: tuple[NDArray[np.float64], NDArray[np.float64]],
    horizon: float,
) -> float:
    """Return the mean distance between two Kaplan-Meier curves, ``int_0^tau |S_1 - S_2| dt / tau``, exactly.

    Parameters
    ----------
    first, second : (times, survival)
        As `kaplan_meier` returns them; after its last time a curve stays where it is.
    horizon : float
        tau, above 0.

    Returns
    -------
    float
        In [0, 1], 0 best.
    """
    starts = np.union1d(first[0], second[0])
    starts = np.concatenate([[0.0], starts[(starts > 0) & (starts < horizon)]])
    widths = np.diff(np.append(starts, horizon))
    heights = []
    for times, survival in (first, second):
        heights.append(np.concatenate([[1.0], survival])[np.searchsorted(times, starts, side="right")])
    return float((np.abs(heights[0] - heights[1]) * widths).sum() / horizon)


def km_area(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean distance between the Kaplan-Meier curves of the event (of any type).

    ``int_0^tau |S_S(t) - S_H(t)| dt / tau``, tau the 95th percentile of the holdout's durations: the range in which
    the real curve still rests on patients.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no terminal event.
    """
    return _curve_distance(synthetic, holdout, reverse=False)


def cens_area(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean distance between the Kaplan-Meier curves of censoring; as `km_area`, with censoring the event.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no terminal event.
    """
    return _curve_distance(synthetic, holdout, reverse=True)


def cindex_tstr(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the concordance on the holdout of a Cox model trained on the synthetic cohort.

    A proportional hazards model (ridge penalty 0.1) of the event of any type on the static attributes and on the
    channels' values at the first visit; those that are not categorical. Missing values become the training median.

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
    for name, cohort in (("synthetic", synthetic), ("holdout", holdout)):
        n_events = int(_outcome(cohort)[1].sum())
        if n_events < FEWEST_EVENTS:
            raise NotComputableError(f"the {name} cohort has {n_events} events; a Cox model needs {FEWEST_EVENTS}")
    train, test = _covariates(synthetic), _covariates(holdout)
    medians = {name: train[name].median() for name in train.columns if train[name].drop_nulls().n_unique() > 1}
    if not medians:
        raise NotComputableError("it needs covariates that vary, and the synthetic cohort has none")
    train, test = (table.select(pl.col(name).fill_null(medians[name]) for name in medians) for table in (train, test))
    durations, happened = _outcome(synthetic)
    table = train.with_columns(pl.Series("(duration)", durations), pl.Series("(event)", happened)).to_pandas()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = CoxPHFitter(penalizer=PENALIZER).fit(table, "(duration)", "(event)")
    except ConvergenceError as error:
        raise NotComputableError("the Cox model does not converge on the synthetic cohort") from error
    risk = model.predict_log_partial_hazard(test.to_pandas()).to_numpy()
    durations, happened = _outcome(holdout)
    return float(concordance_index(durations, -risk, happened))


def _outcome(cohort: Cohort) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return durations and whether the event happened, each of shape (N,)."""
    if cohort.schema.terminal_event is None:
        raise NotComputableError("it needs a terminal event, and the schema has none")
    static = numeric_static(cohort)
    return static["event.duration"].to_numpy(), static["event.type"].to_numpy() > 0


def _curve_distance(synthetic: Cohort, holdout: Cohort, *, reverse: bool) -> float:
    (made_end, made_event), (real_end, real_event) = _outcome(synthetic), _outcome(holdout)
    horizon = float(np.quantile(real_end, HORIZON_QUANTILE))
    if horizon <= 0:
        raise NotComputableError("it needs follow-up, and nearly every duration of the holdout is 0")
    made, real = kaplan_meier(made_end, made_event ^ reverse), kaplan_meier(real_end, real_event ^ reverse)
    return area_between(made, real, horizon)


def _covariates(cohort: Cohort) -> pl.DataFrame:
    """Return static attributes and the channels' values at the first visit, those with an order, N rows."""
    schema = cohort.schema
    static = numeric_static(cohort)
    names = [f"static.{name}" for name, column in schema.static.items() if column.kind != "categorical"]
    channels = ordered_channels(schema)
    first = numeric_visits(cohort).group_by(schema.patient_id, maintain_order=True).first()
    first = first.select(schema.patient_id, pl.col(channels).name.prefix("first."))
    both = static.join(first, on=schema.patient_id, how="left", maintain_order="left")
    return both.select(*names, *(f"first.{name}" for name in channels))
