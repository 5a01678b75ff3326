"""Two attackers who guess a secret from a stretch of visits; both have seen the synthetic cohort only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from longsynth.privacy.coded import NOT_OBSERVED, Coded
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.secrets import Secret
from longsynth.privacy.windows import Choice, Windows, nearest_stretches, windows_at
from longsynth.seeding import child_seed, stream

MOST_ROWS = 5000
MOST_LEVELS = 20
N_TREES = 30
LEARNING_RATE = 0.2
Guesser = Callable[[Windows], NDArray[np.float64]]


def of_the_nearest_patient(
    secrets: list[Secret], stretches: list[NDArray[np.int64]], windows: Windows, synthetic: Coded, seed: int
) -> list[NDArray[np.float64]]:
    """Return the secrets behind windows as those of the nearest synthetic stretch of visits.

    Parameters
    ----------
    secrets : list of Secret
        What to guess.
    stretches : list of ndarray of int
        For each the synthetic stretches that have it, at least one.
    windows : Windows
        What is known of n targets.
    synthetic : Coded
        The draw.
    seed : int
        For ties.

    Returns
    -------
    list of ndarray, shape (n,)
        A guess for each window, by secret.
    """
    choices = [
        Choice(some, secret.column if secret.table == "static" else None)
        for secret, some in zip(secrets, stretches, strict=True)
    ]
    nearest = nearest_stretches(windows, synthetic, choices, stream(seed, "nearest"))
    k = windows.values.shape[1]
    return [secret.values(synthetic, first, k) for secret, first in zip(secrets, nearest, strict=True)]


def learned(
    secret: Secret,
    stretches: NDArray[np.int64],
    static: NDArray[np.int64],
    synthetic: Coded,
    knowledge: Knowledge,
    seed: int,
) -> Guesser | None:
    """Return an attacker who guesses a secret by gradient-boosted trees of what is known.

    Parameters
    ----------
    secret : Secret
        What to guess.
    stretches : ndarray of int
        Synthetic stretches that have it; up to 5,000 of them, drawn at random, are learned from.
    static : ndarray of int
        Known static columns; the secret is left out if it is one of them.
    synthetic : Coded
        The draw.
    knowledge : Knowledge
        What is known; its errors are made in what is learned from, too.
    seed : int
        For draw, errors and model.

    Returns
    -------
    callable or None
        Gives the median or most probable level for each of n windows, shape (n,); None for a secret of more than 20
        levels.
    """
    rng = stream(seed, "model")
    chosen = np.sort(rng.permutation(stretches)[:MOST_ROWS])
    patient = synthetic.patient[chosen]
    first = chosen - synthetic.records.start[patient]
    known = _table(windows_at(synthetic, patient, first, knowledge, rng, static=static), secret)
    truth = secret.values(synthetic, chosen, knowledge.k)
    levels = np.unique(truth)
    seen = ~np.isnan(known).all(axis=0)
    if len(levels) == 1 or not seen.any():
        return lambda windows: np.full(len(windows.patient), secret.typical)
    if not secret.is_number and len(levels) > MOST_LEVELS:
        return None
    settings: dict[str, Any] = {"max_iter": N_TREES, "learning_rate": LEARNING_RATE, "early_stopping": False}
    settings["random_state"] = child_seed(seed, "trees")
    model = (
        HistGradientBoostingRegressor(loss="absolute_error", **settings)
        if secret.is_number
        else HistGradientBoostingClassifier(**settings)
    )
    with threadpool_limits(1, "openmp"):  # sums of several threads differ in the last digit from run to run
        model.fit(known[:, seen], truth)
    return lambda windows: np.asarray(model.predict(_table(windows, secret)[:, seen]), dtype=np.float64)


def _table(windows: Windows, secret: Secret) -> NDArray[np.float64]:
    """Return what is known of n windows as n rows without the secret, NaN where not observed."""
    n = len(windows.patient)
    is_known = (secret.table != "static") | (windows.static_columns != secret.column)
    parts = [windows.values.reshape(n, -1), windows.static[:, is_known]]
    if windows.gaps is not None:
        parts.append(windows.gaps)
    if windows.time is not None:
        parts.append(windows.time[:, None])
    table = np.concatenate(parts, axis=1).astype(np.float64)
    return np.where(table == np.float32(NOT_OBSERVED), np.nan, table)
