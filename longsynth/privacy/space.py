"""Whole patients as points in one space, and how near they are to each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longsynth.privacy.records import Records

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FURTHEST = 10.0
_BLOCK = 256


def standardised(records: Records, by: Records) -> Floats:
    """Return patient features on the scale of a synthetic draw, which is all that an attacker has.

    Parameters
    ----------
    records : Records
        N patients.
    by : Records
        The draw.

    Returns
    -------
    ndarray, shape (N, features)
        `patient_features` less their median in ``by``, over their standard deviation there between the 1 % and the
        99 % quantile; within ±10. Features that are constant there are left out; a missing one counts as the median.
    """
    made, table = by.features, records.features
    with np.errstate(all="ignore"):
        known = ~np.isnan(made).all(axis=0)
        low, centre, high = np.nanquantile(made[:, known], [0.01, 0.5, 0.99], axis=0)
        spread = np.nanstd(np.clip(made[:, known], low, high), axis=0)
    varies = spread > 1e-9 * np.maximum(1.0, np.abs(centre))
    scaled = (table[:, known][:, varies] - centre[varies]) / spread[varies]
    return np.clip(np.nan_to_num(scaled), -FURTHEST, FURTHEST)


def nearest(targets: Floats, points: Floats, n: int, own: Integers | None = None) -> Floats:
    """Return the distances of each target to the nearest points, the smallest first.

    Parameters
    ----------
    targets : ndarray, shape (T, features)
        From where.
    points : ndarray, shape (N, features)
        Where to.
    n : int
        How many; fewer points than that give infinity.
    own : ndarray of int, shape (T,), optional
        A point for each target that does not count: the target itself, say; -1: all count.

    Returns
    -------
    ndarray, shape (T, n)
        Euclidean.
    """
    found = np.full((len(targets), n), np.inf)
    n_there = min(n, len(points) - (own is not None))
    if n_there < 1:
        return found
    norms = (points**2).sum(axis=1)
    for start in range(0, len(targets), _BLOCK):
        block = targets[start : start + _BLOCK]
        squares = norms - 2 * block @ points.T  # but for the norm of the target
        if own is not None:
            has_own = own[start : start + _BLOCK] >= 0
            squares[has_own, own[start : start + _BLOCK][has_own]] = np.inf
        if n_there == 1:
            index = squares.argmin(axis=1)[:, None]  # many times as fast as a partition
        else:
            index = np.argpartition(squares, n_there - 1, axis=1)[:, :n_there]
        exact = np.sqrt(((block[:, None, :] - points[index]) ** 2).sum(axis=2))
        found[start : start + _BLOCK, :n_there] = np.sort(exact, axis=1)
    return found
