"""How much privacy noisy sums cost together, and how much noise a budget asks for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache

from opacus.accountants import PRVAccountant
from scipy.optimize import brentq

from longsynth.budget import ANEW, rounded_up
from longsynth.exceptions import PrivacyError

Event = tuple[float, float, int]
"""Noise multiplier, sample rate and number of steps of one mechanism."""

_LEAST_NOISE, _MOST_NOISE = 0.05, 1e5
_TOLERANCE = 1e-3
_RELATIVE_ERROR = 0.01
_ERRORS = (5e-4, 0.01)


def epsilon_of(events: Sequence[Event], delta: float) -> float:
    """Return the epsilon of all events together at ``delta``; smaller is stronger privacy.

    Numerical composition of privacy loss distributions, as an upper bound. What the numerics add to it is 1 % of
    epsilon, but at least 0.0005 and at most 0.01.

    Parameters
    ----------
    events : sequence of (float, float, int)
        Noise multiplier, sample rate (1: all patients take part) and number of steps of each mechanism.
    delta : float
        Probability that the bound may fail.

    Returns
    -------
    float
        Infinite if any event has no noise.

    References
    ----------
    Gopi, Lee and Wutschitz, Numerical Composition of Differential Privacy, 2021, doi:10.48550/arXiv.2106.02848.
    """
    if any(noise <= 0 for noise, _, n_steps in events if n_steps):
        return float("inf")
    history = [event for event in events if event[2]]
    if not history:
        return 0.0
    least, most = _ERRORS
    rough = _upper_bound(history, delta, most)
    error = max(_RELATIVE_ERROR * rough, least)
    return rough if error >= most else _upper_bound(history, delta, error)


def _upper_bound(history: list[Event], delta: float, error: float) -> float:
    accountant = PRVAccountant()
    accountant.history = history
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the orders of a looser bound that only sets the range of the numbers
        try:
            return float(accountant.get_epsilon(delta, eps_error=error))
        except ValueError as caught:  # it says so where rounding would be more than delta
            raise PrivacyError("delta is too small to be computed with at this epsilon; give a larger one") from caught


def noise_for(epsilon: float, delta: float, events: Callable[[float], Sequence[Event]]) -> float:
    """Return the least noise multiplier s with ``epsilon_of(events(s), delta) <= epsilon``, within 0.1 %.

    Raises
    ------
    PrivacyError
        If no noise is enough, because the other events alone spend the budget or next to no epsilon is asked for.
    """

    @cache
    def excess(log_noise: float) -> float:
        return math.log(epsilon_of(events(math.exp(log_noise)), delta) / epsilon)

    low, high = _bracket(excess)
    if excess(high) > 0:
        least = rounded_up(epsilon * math.exp(excess(high)))
        raise PrivacyError(
            f"no noise is enough for epsilon {epsilon:g}: it takes more than {least:g}, which is weaker privacy. "
            "Earlier fits that the budget covers (after=, --after) are part of it, and stay so. What a fit that is "
            f"carried on has paid for is part of it too; one {ANEW} pays once more instead"
        )
    found = float(brentq(excess, low, high, xtol=_TOLERANCE / 4)) if low < high else high
    while excess(found) > 0:
        found += _TOLERANCE / 4
    return math.exp(found)


def _bracket(excess: Callable[[float], float]) -> tuple[float, float]:
    """Return two logarithms of noise multipliers: too little, enough; twice the same if the least one is enough.

    The second one is the most noise there is where that is not enough either.
    """
    low, step, most = 0.0, 0.0, math.log(_MOST_NOISE)
    if excess(low) > 0:
        while True:
            step = max(1.1 * excess(low), 2 * step)  # epsilon falls about as the noise rises
            high = min(low + step, most)
            if excess(high) <= 0 or high == most:
                return low, high
            low = high
    while excess(low) <= 0:
        high = low
        low += max(1.1 * excess(low) - _TOLERANCE, -math.log(2))
        if low < math.log(_LEAST_NOISE):
            return high, high
    return low, high
