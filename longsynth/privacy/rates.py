"""The statistics of attack success: rates, residual risk, what a sample could have shown, and many attacks at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from longsynth.exceptions import NotComputableError

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
POWER = 0.8
N_RESAMPLES = 4000
PRIOR = 0.5  # of a success and of a failure: Jeffreys
Z = float(norm.ppf(0.5 + CONFIDENCE / 2))


class Estimate(NamedTuple):
    """A value with its 95 % interval; the chance of a value above ``high``, and of one below ``low``, is 2.5 %."""

    value: float
    low: float
    high: float


class Residual(NamedTuple):
    """How much more often an attack succeeds on members than on control patients.

    Attributes
    ----------
    attack, control : Estimate
        Rates of success with Wilson intervals.
    risk : Estimate
        Residual risk ``(attack - control) / (1 - control)``: the share of members on whom the attack succeeds because
        they are members, if it succeeds on all others as often as on control patients. At most 1; around 0 without a
        leak, hence also negative; 0 is best.
    p_value : float
        One-sided, of no residual risk.
    minimum_detectable_risk : float
        See `minimum_detectable_risk`.
    """

    attack: Estimate
    control: Estimate
    risk: Estimate
    p_value: float
    minimum_detectable_risk: float


def wilson(rate: float, n: float) -> Estimate:
    """Return a rate with its Wilson interval.

    Parameters
    ----------
    rate : float
        Share of successes.
    n : float
        Number of independent trials; see `effective_n` for trials in clusters.

    References
    ----------
    Wilson (1927), doi:10.1080/01621459.1927.10502953.
    """
    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return Estimate(rate, float(min(max(centre - half, 0.0), rate)), float(max(min(centre + half, 1.0), rate)))


def newcombe(first: Estimate, second: Estimate) -> Estimate:
    """Return the difference of two independent rates with Newcombe's interval.

    Parameters
    ----------
    first, second : Estimate
        As `wilson` returns them.

    Returns
    -------
    Estimate
        Of ``first - second``, in [-1, 1].

    References
    ----------
    Newcombe (1998), method 10, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
    """
    difference = first.value - second.value
    below = np.hypot(first.value - first.low, second.high - second.value)
    above = np.hypot(first.high - first.value, second.value - second.low)
    return Estimate(difference, float(max(difference - below, -1.0)), float(min(difference + above, 1.0)))


def patient_means(success: Floats, patients: NDArray[np.int64]) -> Floats:
    """Return each patient's mean success.

    Parameters
    ----------
    success : ndarray, shape (n,)
        Of each attempt, in [0, 1].
    patients : ndarray, shape (n,)
        The patient of each attempt; several attempts on one patient are one piece of evidence, not several.

    Returns
    -------
    ndarray, shape (number of patients,)
        In the order of the patients' numbers.
    """
    _, rows = np.unique(patients, return_inverse=True)
    return np.bincount(rows, success) / np.bincount(rows)


def effective_n(means: Floats) -> float:
    """Return the number of independent trials that would give a rate as precise as these patients do.

    Parameters
    ----------
    means : ndarray, shape (number of patients,)
        Success of each patient.

    Returns
    -------
    float
        The number of patients if each is 0 or 1, more if they are means over several attempts that differ.
    """
    rate, spread = float(means.mean()), float(means.var())
    return len(means) * (rate * (1 - rate) / spread if spread > 1e-12 else 1.0)


def resampled_rate(means: Floats, rng: np.random.Generator) -> Floats:
    """Return rates under random weights of the patients, which spread as the true rate may around the observed one.

    Parameters
    ----------
    means : ndarray, shape (number of patients,)
        Success of each patient.
    rng : numpy.random.Generator
        Source of the weights.

    Returns
    -------
    ndarray, shape (4000,)
        In [0, 1].

    Notes
    -----
    The Bayesian bootstrap over patients, with one patient added that is half a success and half a failure: where every
    patient is 0 or 1 the rates follow Jeffreys' posterior, and where no attempt succeeded they still leave room for
    what a larger sample could have shown. The plain bootstrap would call the risk exactly zero.

    References
    ----------
    Rubin (1981), doi:10.1214/aos/1176345338; Brown, Cai, DasGupta (2001), doi:10.1214/ss/1009213286.
    """
    values, counts = np.unique(np.concatenate([[0.0, 1.0], means]), return_counts=True)
    shapes = counts.astype(float)
    shapes[[0, -1]] -= 1 - PRIOR
    weights = rng.standard_gamma(shapes, size=(N_RESAMPLES, len(shapes)))
    return np.asarray(weights @ values / weights.sum(axis=1))


def residual(members: Floats, control: Floats, rng: np.random.Generator) -> Residual:
    """Return the residual risk of an attack on members.

    Parameters
    ----------
    members, control : ndarray, shape (number of patients,)
        Success of each patient, in [0, 1]; at least one each.
    rng : numpy.random.Generator
        Source of the patient bootstrap.

    Returns
    -------
    Residual
        The interval of the risk spans quantiles of `resampled_rate` of both groups.

    Raises
    ------
    NotComputableError
        If the attack succeeds on every control patient: being a member can then add nothing.
    """
    if control.min() == 1:
        raise NotComputableError("the attack succeeds on every control patient, so that a leak could not add to it")
    n_members, n_control = effective_n(members), effective_n(control)
    rates = float(members.mean()), float(control.mean())
    attack, reference = wilson(rates[0], n_members), wilson(rates[1], n_control)
    spread = excess(resampled_rate(members, rng), resampled_rate(control, rng))
    risk = with_interval(float(excess(np.array(rates[0]), np.array(rates[1]))), spread)
    detectable = minimum_detectable_risk(n_members, n_control, rates[1])
    return Residual(attack, reference, risk, p_value(spread), detectable)


def excess(attack: Floats, control: Floats) -> Floats:
    """Return ``(attack - control) / (1 - control)`` of rates of success; ``control`` is below 1."""
    return np.asarray((attack - control) / (1 - control))


def with_interval(value: float, spread: Floats) -> Estimate:
    """Return a value with the 95 % interval of its resampled values, widened to hold the value itself."""
    low, high = np.quantile(spread, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return Estimate(value, float(min(low, value)), float(max(high, value)))


def pooled(draws: Sequence[Estimate], together: Estimate) -> Estimate:
    """Return the risk of a further draw of the same generator, from the risk in several.

    Parameters
    ----------
    draws : sequence of Estimate
        The risk in each synthetic cohort, on the same patients.
    together : Estimate
        Their mean risk, its interval over patients only.

    Returns
    -------
    Estimate
        ``variance = within + (1 + 1/m) between``: the variance of the risk over m draws is added to both arms of the
        interval. One draw gives ``together``, which then holds for this draw alone.
    """
    if len(draws) < 2:
        return together
    between = float(np.var([draw.value for draw in draws], ddof=1)) * (1 + 1 / len(draws))
    arms = [np.sqrt(arm**2 + Z**2 * between) for arm in (together.value - together.low, together.high - together.value)]
    return Estimate(together.value, float(together.value - arms[0]), float(min(together.value + arms[1], 1.0)))


def p_value(spread: Floats) -> float:
    """Return the one-sided p-value of no residual risk: the share of resampled risks that are not above zero.

    Where none is, the p-value lies below what so many resamples can show, and the normal tail says how far.
    """
    smallest = 1 / (len(spread) + 1)
    n_below = int(np.sum(spread <= 0))
    if n_below:
        return (n_below + 1) * smallest
    return min(smallest, float(norm.sf(spread.mean() / spread.std())))


def holm(p_values: Floats, weights: Floats | None = None) -> Floats:
    """Return p-values adjusted by Holm: the chance that any of them falls below a level by luck is at most that level.

    Parameters
    ----------
    p_values : ndarray, shape (n,)
        Of any dependence.
    weights : ndarray, shape (n,), optional
        Positive shares of the level, chosen without looking at the p-values. None: equal ones.

    References
    ----------
    Holm (1979), https://www.jstor.org/stable/4615733.
    """
    weights = np.ones(len(p_values)) if weights is None else weights
    order = np.argsort(p_values / weights)
    left = np.cumsum(weights[order][::-1])[::-1]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate((p_values / weights)[order] * left), 1.0)
    return adjusted


def minimum_detectable_risk(n_members: float, n_control: float, control_rate: float) -> float:
    """Return the residual risk that would be found above zero with a chance of 80 %.

    Parameters
    ----------
    n_members, n_control : float
        Numbers of independent trials.
    control_rate : float
        Rate of success on control patients; one half success is added, so that no success leaves some doubt.

    Returns
    -------
    float
        In (0, 1], smaller is better; 1 if even a certain success could not be told from chance.

    Notes
    -----
    The risk r at which ``p - q = (1.96 + 0.84) sqrt(p (1 - p) / n_members + q (1 - q) / n_control)`` with the control
    rate q and ``p = q + r (1 - q)``.
    """
    q = (control_rate * n_control + PRIOR) / (n_control + 2 * PRIOR)
    z = Z + float(norm.ppf(POWER))

    def lacking(risk: float) -> float:
        p = q + risk * (1 - q)
        return z * float(np.sqrt(p * (1 - p) / n_members + q * (1 - q) / n_control)) - (p - q)

    return 1.0 if lacking(1.0) >= 0 else float(brentq(lacking, 0.0, 1.0))


def patients_needed(risk: float, control_rate: float) -> int:
    """Return how many members, and as many control patients, find a residual risk with a chance of 80 %.

    Parameters
    ----------
    risk : float
        Residual risk to find, in (0, 1].
    control_rate : float
        Rate of success on control patients.
    """
    p = control_rate + risk * (1 - control_rate)
    variance = p * (1 - p) + control_rate * (1 - control_rate)
    return int(np.ceil((Z + float(norm.ppf(POWER))) ** 2 * variance / (p - control_rate) ** 2))
