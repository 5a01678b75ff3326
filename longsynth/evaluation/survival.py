"""Estimators of when the terminal event happens: survival, restricted mean, cumulative incidence; and distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static
from longsynth.exceptions import NotComputableError

HORIZON_QUANTILE = 0.95
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def outcome(cohort: Cohort) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the durations and the event types (0 = censored) of a cohort, each of shape (N,).

    Raises
    ------
    NotComputableError
        If the schema has no terminal event.
    """
    if cohort.schema.terminal_event is None:
        raise NotComputableError("it needs a terminal event, and the schema has none")
    static = numeric_static(cohort)
    return static["event.duration"].to_numpy(), static["event.type"].to_numpy().astype(np.int64)


def at_risk(durations: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many patients are still followed just before each time, those that end at it included."""
    return (len(durations) - np.searchsorted(np.sort(durations), times, side="left")).astype(np.float64)


def step(curve: Curve, times: NDArray[np.float64], start: float) -> NDArray[np.float64]:
    """Return the value of a step function at some times; ``start`` is its value before its first time."""
    return np.concatenate([[start], curve[1]])[np.searchsorted(curve[0], times, side="right")]


def kaplan_meier(durations: NDArray[np.float64], happened: NDArray[np.bool_]) -> Curve:
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

    References
    ----------
    Kaplan and Meier (1958), Nonparametric estimation from incomplete observations,
    doi:10.1080/01621459.1958.10501452.
    """
    times, index = np.unique(durations, return_inverse=True)
    events = np.bincount(index, happened, len(times))
    return times, np.cumprod(1 - events / at_risk(durations, times), dtype=np.float64)


def cumulative_incidence(durations: NDArray[np.float64], types: NDArray[np.int64], code: int) -> Curve:
    """Return the Aalen-Johansen curve ``F_k(t) = sum_{t_i <= t} S(t_i-) d_ki / n_i`` of one event type.

    Parameters
    ----------
    durations : array, shape (N,)
        Time to the event, of whatever type, or to censoring.
    types : array of int, shape (N,)
        Event types, 0 = censored.
    code : int
        The type k.

    Returns
    -------
    times : array, shape (M,)
        Distinct durations, ascending.
    incidence : array, shape (M,)
        Probability that an event of this type has happened, from each of these times on; it is 0 before the first.

    Notes
    -----
    Assumes that censoring is independent of the events; the types may depend on each other in any way. Ties are kept
    as they are.

    References
    ----------
    Aalen and Johansen (1978), An empirical transition matrix for non-homogeneous Markov chains based on censored
    observations, https://www.jstor.org/stable/4615704.
    """
    times, survival = kaplan_meier(durations, types > 0)
    events = np.bincount(np.searchsorted(times, durations), types == code, len(times))
    before = np.concatenate([[1.0], survival[:-1]])
    return times, np.cumsum(before * events / at_risk(durations, times))


def restricted_mean(durations: NDArray[np.float64], happened: NDArray[np.bool_], horizon: float) -> tuple[float, float]:
    """Return the restricted mean survival time ``int_0^tau S(t) dt`` and its standard error.

    Parameters
    ----------
    durations : array, shape (N,)
        Time to the event or to censoring.
    happened : array of bool, shape (N,)
        True if the event happened, False if censored.
    horizon : float
        tau, above 0 and not beyond the last follow-up unless that ends in an event.

    Returns
    -------
    value : float
        In units of time, from 0 to tau.
    standard_error : float
        Greenwood's: the root of ``sum_{t_i <= tau} (int_{t_i}^tau S dt)^2 d_i / (n_i (n_i - d_i))``.

    Raises
    ------
    NotComputableError
        If tau is not above 0, or lies beyond the follow-up, where the curve is not known.

    Notes
    -----
    Assumes that censoring is independent of the event. The variance of ``min(T, tau)``, which some packages return
    under this name, is that of one patient's time and not of the estimate.

    References
    ----------
    Royston and Parmar (2013), Restricted mean survival time, doi:10.1186/1471-2288-13-152.
    """
    if horizon <= 0:
        raise NotComputableError("a restricted mean needs a horizon above 0")
    times, survival = kaplan_meier(durations, happened)
    if horizon > known_until((times, survival)):
        raise NotComputableError("the horizon lies beyond the last follow-up; take an earlier one")
    inside = (times > 0) & (times < horizon)
    edges = np.concatenate([[0.0], times[inside], [horizon]])
    areas = np.diff(edges) * step((times, survival), edges[:-1], 1.0)
    value = areas.sum()
    n = at_risk(durations, times)
    events = np.bincount(np.searchsorted(times, durations), happened, len(times))
    counted = (events > 0) & (times < horizon) & (n > events)  # where all at risk die the area that remains is 0
    remaining = value - np.concatenate([[0.0], np.cumsum(areas)])[np.searchsorted(edges, times[counted])]
    n, events = n[counted], events[counted]
    return float(value), float(np.sqrt((remaining**2 * events / (n * (n - events))).sum()))


def censoring_curve(durations: NDArray[np.float64], happened: NDArray[np.bool_]) -> Curve:
    """Return the reverse Kaplan-Meier curve: the probability of not yet being censored, as a step function.

    Parameters
    ----------
    durations : array, shape (N,)
        Time to the event or to censoring.
    happened : array of bool, shape (N,)
        True if the event happened, False if censored.

    Returns
    -------
    times, uncensored : arrays, shape (M,)
        As `kaplan_meier`. An event comes before a censoring at the same time, so that its patient is no longer at risk
        of being censored.

    References
    ----------
    Schemper and Smith (1996), A note on quantifying follow-up in studies of failure time,
    doi:10.1016/0197-2456(96)00075-X.
    """
    times, index = np.unique(durations, return_inverse=True)
    events = np.bincount(index, happened, len(times))
    censored = np.bincount(index, ~happened, len(times))
    at_risk_of_it = np.maximum(at_risk(durations, times) - events, 1)
    return times, np.cumprod(1 - censored / at_risk_of_it, dtype=np.float64)


def known_until(curve: Curve) -> float:
    """Return the time until which a Kaplan-Meier curve is known: its last time, or for ever if it ends at 0."""
    return np.inf if curve[1][-1] == 0 else float(curve[0][-1])


def common_horizon(durations: NDArray[np.float64], *curves: Curve) -> float:
    """Return a time until which all of some Kaplan-Meier curves are known and real patients are followed.

    Parameters
    ----------
    durations : array, shape (N,)
        Of the reference; the horizon is their 95th percentile at most.
    *curves : (times, survival)
        One that ends above 0 sets a limit at its last time.

    Returns
    -------
    float
        In units of time, above 0.

    Raises
    ------
    NotComputableError
        If nearly nobody is followed for longer than 0.
    """
    tau = min(float(np.quantile(durations, HORIZON_QUANTILE)), *map(known_until, curves))
    if tau <= 0:
        raise NotComputableError("it needs follow-up, and nearly every duration is 0")
    return tau


def step_differences(first: Curve, second: Curve, horizon: float, start: float = 1.0) -> Curve:
    """Return the differences ``first - second`` of two step functions and how long each lasts, from 0 to a horizon."""
    starts = np.union1d(first[0], second[0])
    starts = np.concatenate([[0.0], starts[(starts > 0) & (starts < horizon)]])
    return step(first, starts, start) - step(second, starts, start), np.diff(np.append(starts, horizon))


def area_between(first: Curve, second: Curve, horizon: float, start: float = 1.0) -> float:
    """Return the mean distance between two curves, ``int_0^tau |S_1 - S_2| dt / tau``, exactly.

    Parameters
    ----------
    first, second : (times, values)
        As `kaplan_meier` and `cumulative_incidence` return them; after its last time a curve stays where it is.
    horizon : float
        tau, above 0.
    start : float
        Value of both before their first time.

    Returns
    -------
    float
        In [0, 1], 0 best.
    """
    differences, widths = step_differences(first, second, horizon, start)
    return float((np.abs(differences) * widths).sum() / horizon)


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


def _curve_distance(synthetic: Cohort, holdout: Cohort, *, reverse: bool) -> float:
    (made_end, made_type), (real_end, real_type) = outcome(synthetic), outcome(holdout)
    horizon = float(np.quantile(real_end, HORIZON_QUANTILE))
    if horizon <= 0:
        raise NotComputableError("it needs follow-up, and nearly every duration of the holdout is 0")
    made, real = (
        kaplan_meier(end, (kind > 0) ^ reverse) for end, kind in ((made_end, made_type), (real_end, real_type))
    )
    return area_between(made, real, horizon)
