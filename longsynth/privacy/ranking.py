"""The statistics of attack scores: how well they rank members before control patients, above all at the very top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import rankdata

from longsynth.privacy.rates import N_RESAMPLES, PRIOR, Estimate, Z

Floats = NDArray[np.float64]

FALSE_POSITIVE_RATE = 0.01


def auc(members: Floats, control: Floats) -> Estimate:
    """Return the chance that a member has a higher score than a control patient; ties count one half.

    Parameters
    ----------
    members, control : ndarray, shape (number of patients,)
        Scores; a higher one says "member" louder.

    Returns
    -------
    Estimate
        0.5 without a leak, 1 if all members are recognised. The interval holds the areas A at which the one observed
        is no further than 1.96 standard errors away, with Hanley and McNeil's error at A: it has a width at 1, too.

    References
    ----------
    Hanley, McNeil (1982), doi:10.1148/radiology.143.1.7063747; Newcombe (2006), method 5, doi:10.1002/sim.2324.
    """
    n, m = len(members), len(control)
    area = float((rankdata(np.concatenate([members, control]))[:n].sum() - n * (n + 1) / 2) / (n * m))

    def beyond(other: float) -> float:
        return (area - other) ** 2 - (Z * _standard_error(other, n, m)) ** 2

    low = 0.0 if beyond(0.0) <= 0 else float(brentq(beyond, 0.0, min(area, 1 - 1e-9)))
    high = 1.0 if beyond(1.0) <= 0 else float(brentq(beyond, max(area, 1e-9), 1.0))
    return Estimate(area, low, high)


def false_positive_rate(n_control: int) -> float:
    """Return the false-positive rate that a number of control patients can show: 1 %, or 1 / (n + 1) below 99."""
    return max(FALSE_POSITIVE_RATE, 1 / (n_control + 1))


def true_positive_rate(members: Floats, control: Floats) -> float:
    """Return the share of members above the score that the stated share of control patients exceeds.

    Parameters
    ----------
    members, control : ndarray, shape (number of patients,)
        Scores.

    Returns
    -------
    float
        At `false_positive_rate` of the control patients, interpolated between their scores so that without a leak its
        expectation is just that rate. A member that ties with a control patient counts as no better than it.
    """
    rank = false_positive_rate(len(control)) * (len(control) + 1)
    descending = np.sort(control)[::-1]
    whole = min(int(rank + 1e-9), len(control))
    above = float((members > descending[whole - 1]).mean())
    if whole == len(control) or rank - whole < 1e-9:
        return above
    return above + (rank - whole) * (float((members > descending[whole]).mean()) - above)


def resampled_true_positive_rate(members: Floats, control: Floats, rng: np.random.Generator) -> Floats:
    """Return true-positive rates that spread as the true one may around that observed.

    Parameters
    ----------
    members, control : ndarray, shape (number of patients,)
        Scores.
    rng : numpy.random.Generator
        Source of the spread.

    Returns
    -------
    ndarray, shape (4000,)
        In [0, 1].

    Notes
    -----
    The number of control patients above the true threshold is binomial. Each resample draws it, places the threshold
    at random between the two neighbouring scores, and draws the share of members above it from Jeffreys' posterior.
    Above the highest control score it goes on as an exponential tail does: by about the distance of the two highest.
    """
    n, m = len(members), len(control)
    n_above = np.minimum(rng.binomial(m, false_positive_rate(m), N_RESAMPLES), m - 1)
    descending = np.sort(control)[::-1]
    tail = descending[0] - descending[min(1, m - 1)]
    upper = np.where(n_above > 0, descending[n_above - 1], descending[0] + tail * rng.exponential(size=N_RESAMPLES))
    share = np.where(n_above > 0, rng.random(N_RESAMPLES), 1.0)
    thresholds = descending[n_above] + share * (upper - descending[n_above])
    hits = n - np.searchsorted(np.sort(members), thresholds, side="right")
    return rng.beta(hits + PRIOR, n - hits + PRIOR)


def _standard_error(area: float, n: int, m: int) -> float:
    both_above, both_below = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (n - 1) * (both_above - area**2) + (m - 1) * (both_below - area**2)
    return float(np.sqrt(max(variance, 0.0) / (n * m)))
