"""Coded visits in an order in which stretches of visits of many patients lie side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Piece(NamedTuple):
    """The stretches of visits of some patients that begin with the same visit of theirs, the first, say.

    Attributes
    ----------
    patients : slice
        Whose they are, in the order of `Ranked`.
    visits : list of slice
        Their first visits, their second ones, and so on, each as many as there are patients.
    """

    patients: slice
    visits: list[slice]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Coded records with all first visits before all second ones and so on, the patients with most visits first.

    The k-th visits of many patients are one slice, and so are the visits that follow them: sums over stretches need no
    look-up, and the least of all stretches of a patient is an elementwise minimum.

    Attributes
    ----------
    patient : ndarray of int, shape (N,)
        Rows of the records.
    visit : ndarray of int, shape (V,)
        Visits of the records.
    start : ndarray of int, shape (L + 1,)
        Where first, second and later visits begin; L is the largest number of visits of a patient.
    values, static, gap, time : ndarray of float32, shape (C, V), (S, N), (V,) and (V,)
        As in `Coded`.
    """

    patient: Integers
    visit: Integers
    start: Integers
    values: Floats
    static: Floats
    gap: Floats
    time: Floats

    def pieces(self, k: int, size: int) -> list[Piece]:
        """Return all stretches of k visits, for so many patients at a time."""
        start, n_patients = self.start.tolist(), np.diff(self.start).tolist()
        found = []
        for first in range(0, n_patients[0] if n_patients else 0, size):
            for number in range(len(n_patients) - k + 1):
                n = min(first + size, n_patients[number + k - 1]) - first
                if n > 0:
                    places = [start[number + t] + first for t in range(k)]
                    found.append(Piece(slice(first, first + n), [slice(place, place + n) for place in places]))
        return found


def ranked(first: Integers, values: Floats, static: Floats, gap: Floats, time: Floats) -> Ranked:
    """Return coded records in that order; ``first``, shape (N + 1,), is the first visit of each patient."""
    n_visits = np.diff(first)
    patient = np.argsort(-n_visits, kind="stable")
    n_patients = np.cumsum(np.bincount(n_visits, minlength=1)[::-1])[::-1][1:]  # with at least 1, 2, ... visits
    start = np.concatenate([[0], np.cumsum(n_patients)]).astype(np.int64)
    visits = [first[patient[:n]] + number for number, n in enumerate(n_patients)]
    visit = np.concatenate([np.zeros(0, dtype=np.int64), *visits])
    values, static = values.take(visit, axis=1), static.take(patient, axis=1)
    return Ranked(patient, visit, start, values, static, gap[visit], time[visit])
