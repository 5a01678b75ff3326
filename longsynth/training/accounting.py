"""How much privacy noisy sums cost together, and how much noise a budget asks for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from opacus.accountants import PRVAccountant

from longsynth.exceptions import PrivacyError

Event = tuple[float, float, int]
"""Noise multiplier, sample rate and number of steps of one mechanism."""

_MOST_NOISE = 1e5
_TOLERANCE = 1e-3


def epsilon_of(events: Sequence[Event], delta: float) -> float:
    """Return the epsilon of all events together at ``delta``; smaller is stronger privacy.

    Numerical composition of privacy loss distributions, as an upper bound.

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
    accountant = PRVAccountant()
    accountant.history = [event for event in events if event[2]]
    if not accountant.history:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the orders of a looser bound that only sets the range of the numbers
        return float(accountant.get_epsilon(delta))


def noise_for(epsilon: float, delta: float, events: Callable[[float], Sequence[Event]]) -> float:
    """Return the least noise multiplier s with ``epsilon_of(events(s), delta) <= epsilon``, within 0.1 %.

    Raises
    ------
    PrivacyError
        If no noise is enough, because the other events alone spend the budget.
    """
    high = 1.0
    while epsilon_of(events(high), delta) > epsilon:
        high *= 2
        if high > _MOST_NOISE:
            raise PrivacyError("the budget is spent before the training; give a larger epsilon, or declare more")
    low = high / 2 if high > 1 else 0.0
    while high - low > _TOLERANCE * high:
        middle = (low + high) / 2
        if middle > 0.05 and epsilon_of(events(middle), delta) <= epsilon:
            high = middle
        else:
            low = middle
    return high
