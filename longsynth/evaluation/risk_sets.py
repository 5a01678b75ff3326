"""Sums over the patients at risk at each time of an event, from which partial likelihoods and rank tests are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]


class RiskSets:
    """Who is at risk at the times of events, with ties.

    Parameters
    ----------
    stop : array, shape (N,)
        End of each row: of a patient's follow-up, or of an interval of it.
    happened : array of bool, shape (N,)
        True if the event happened at its end.
    start : array, shape (N,), optional
        Beginning of the row, which is at risk after it. None: from the first.

    Attributes
    ----------
    times : array, shape (M,)
        Distinct times of events, ascending.
    dying : array of int, shape (K,)
        The rows that end in an event, by time.
    time_of : array of int, shape (K,)
        Position of their time among ``times``.
    since, until : arrays of int, shape (N,)
        Each row is at risk at ``times[since:until]``.
    """

    def __init__(self, stop: Floats, happened: NDArray[np.bool_], start: Floats | None = None) -> None:
        dying = np.flatnonzero(happened)
        self.dying = dying[np.argsort(stop[dying], kind="stable")]
        self.times, self._first, self.time_of = np.unique(stop[self.dying], return_index=True, return_inverse=True)
        self.until = np.searchsorted(self.times, stop, side="right")
        self.since = np.searchsorted(self.times, np.full(len(stop), -np.inf) if start is None else start, side="right")
        rows = np.flatnonzero(self.until > self.since)
        ones, shape = np.ones(len(rows)), (len(self.times) + 1, len(stop))
        leaving = csr_array((ones, (self.until[rows], rows)), shape=shape)
        self._leaving = leaving - csr_array((ones, (self.since[rows], rows)), shape=shape)

    def at_risk(self, values: Floats) -> Floats:
        """Return the sums of ``values`` (N, ...) over the rows at risk at each time, shape (M, ...)."""
        return np.cumsum((self._leaving @ values)[:0:-1], axis=0)[::-1]

    def of_dying(self, values: Floats) -> Floats:
        """Return the sums of ``values`` (N, ...) over the rows that end in an event at each time, shape (M, ...)."""
        return np.add.reduceat(values[self.dying], self._first, axis=0)

    def share(self, counted: Floats) -> Floats:
        """Return Efron's share of those who die at one time: l / d for the l-th of d, counting from 0.

        Parameters
        ----------
        counted : array, shape (N, ...)
            1 for the rows that count, 0 for the others.

        Returns
        -------
        array, shape (K, ...)
        """
        before = np.cumsum(counted[self.dying], axis=0) - counted[self.dying]
        return (before - before[self._first][self.time_of]) / np.maximum(self.of_dying(counted), 1)[self.time_of]

    def faced(self, values: Floats, share: Floats) -> Floats:
        """Return the sums of ``values`` (N, ...) that each death faces: at risk, less its share of those who die.

        Shape (K, ...), in the order of ``dying``; ``share`` as `share` returns it, of a shape that fits.
        """
        return self.at_risk(values)[self.time_of] - share * self.of_dying(values)[self.time_of]
