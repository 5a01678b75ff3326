"""What one fit with planted patients proves about its epsilon: a lower bound from the number of right guesses."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from longsynth.exceptions import ConfigError

_MOST_EPSILON = 50.0


def right_guesses(scores: np.ndarray, included: np.ndarray, n_guesses: int) -> int:
    """Return how many guesses are right if the highest scores are guessed to be in, as many of the lowest to be out.

    Parameters
    ----------
    scores : ndarray, shape (M,)
        A higher one says "in" louder. Equal scores are taken in the order of the canaries, which knows nothing of the
        coins.
    included : ndarray of bool, shape (M,)
        How the coins fell.
    n_guesses : int
        Even, at most M; about the other canaries nothing is guessed.
    """
    order = np.argsort(-scores, kind="stable")
    half = n_guesses // 2
    return int(included[order[:half]].sum() + (~included[order[len(order) - half :]]).sum())


def p_value(n_canaries: int, n_guesses: int, n_right: int, epsilon: float, delta: float) -> float:
    """Return the most that the chance of so many right guesses can be for an (epsilon, delta)-private fit.

    ``P[W >= v] + 2 m delta max_i P[v - i <= W < v] / i`` for ``W ~ Binomial(r, e^epsilon / (1 + e^epsilon))``, with m
    canaries, r guesses, v of them right, and i from 1 to v.

    References
    ----------
    Steinke, Nasr and Jagielski, Privacy auditing with one (1) training run, 2023, doi:10.48550/arXiv.2305.08846.
    """
    if not 0 <= n_right <= n_guesses <= n_canaries:
        raise ConfigError("there cannot be more right guesses than guesses, or more guesses than canaries")
    rate = float(expit(epsilon))
    tail = float(binom.sf(n_right - 1, n_guesses, rate))
    depths = np.arange(1, n_right + 1)
    below = np.cumsum(binom.pmf(n_right - depths, n_guesses, rate)) / depths
    return min(tail + 2 * n_canaries * delta * float(below.max(initial=0.0)), 1.0)


def epsilon_at_least(n_canaries: int, n_guesses: int, n_right: int, delta: float, level: float = 0.05) -> float:
    """Return the lower bound on epsilon that one fit with planted patients proves.

    The largest epsilon at which :func:`p_value` is at most ``level``: a fit of a smaller epsilon is right so often with
    at most that chance.

    Parameters
    ----------
    n_canaries : int
        Planted patients m, each included by the toss of a fair coin of its own.
    n_guesses : int
        Guesses r; their number is set before looking.
    n_right : int
        Right ones v.
    delta : float
        Of the claim.
    level : float
        Chance that the bound lies above the true epsilon; 0.05 for a confidence of 95 %.

    Returns
    -------
    float
        0 or more; smaller epsilon is stronger privacy. A small bound is no proof of privacy: a better attack, or more
        canaries, may give a larger one.

    References
    ----------
    Steinke, Nasr and Jagielski, Privacy auditing with one (1) training run, 2023, doi:10.48550/arXiv.2305.08846.

    Examples
    --------
    >>> round(epsilon_at_least(100, 100, 100, delta=0.0), 1), epsilon_at_least(100, 100, 55, delta=0.0)
    (3.5, 0.0)
    """

    def beyond(epsilon: float) -> float:
        return p_value(n_canaries, n_guesses, n_right, epsilon, delta) - level

    if beyond(0.0) > 0:
        return 0.0
    if beyond(_MOST_EPSILON) <= 0:
        return _MOST_EPSILON
    return float(brentq(beyond, 0.0, _MOST_EPSILON, xtol=1e-6))
