"""A cohort as arrays: one row a patient, one row a visit, and where each patient's visits start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EncodedCohort:
    """N patients with V visits in all, S static items and C channels; visits of a patient are consecutive rows.

    Every variable is a class code and a position inside the class. Missing is a code of its own (the last one of the
    item); padding does not occur; censoring is event type 0.

    Attributes
    ----------
    static_codes, static_positions : ndarray, shape (N, S)
        Static attributes, channels that are constant within a patient, event type, duration, first visit time
        and, without a terminal event, steps from the first to the last visit.
    codes, positions : ndarray, shape (V, C)
        Channel values.
    gap_codes, gap_positions : ndarray, shape (V,)
        Gap to the visit before; -1 at a patient's first visit.
    steps : ndarray of int64, shape (V,)
        Whole time steps since the patient's first visit.
    offsets : ndarray of int64, shape (N + 1,)
        Rows ``offsets[i]`` to ``offsets[i + 1]`` are the visits of patient i.
    start : ndarray, shape (N,)
        First visit time in the schema's time unit; NaN without visits.
    duration : ndarray, shape (N,)
        End of follow-up in the schema's time unit; without a terminal event the last visit, NaN if there is none.
    event : ndarray of int64, shape (N,)
        Event type, 0 = censored; 0 without a terminal event.
    ends_at_visit : ndarray of bool, shape (N,)
        Whether the last visit is at the end of follow-up.
    """

    static_codes: np.ndarray
    static_positions: np.ndarray
    codes: np.ndarray
    positions: np.ndarray
    gap_codes: np.ndarray
    gap_positions: np.ndarray
    steps: np.ndarray
    offsets: np.ndarray
    start: np.ndarray
    duration: np.ndarray
    event: np.ndarray
    ends_at_visit: np.ndarray

    @property
    def n_patients(self) -> int:
        """Number of patients N."""
        return len(self.static_codes)

    @property
    def n_visits(self) -> np.ndarray:
        """Visits of each patient, shape (N,)."""
        return np.diff(self.offsets)

    def take(self, patients: np.ndarray) -> EncodedCohort:
        """Return the cohort of these patient rows, in this order, repeats allowed."""
        counts = self.n_visits[patients]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        rows = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[:-1][patients], counts)
        by_visit = ("codes", "positions", "gap_codes", "gap_positions", "steps")
        by_patient = ("static_codes", "static_positions", "start", "duration", "event", "ends_at_visit")
        return EncodedCohort(
            **{name: getattr(self, name)[rows] for name in by_visit},
            **{name: getattr(self, name)[patients] for name in by_patient},
            offsets=offsets,
        )


def concatenate(parts: list[EncodedCohort]) -> EncodedCohort:
    """Return the patients of all parts, one part after the other."""
    fields = [name for name in EncodedCohort.__dataclass_fields__ if name != "offsets"]
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}
    counts = np.concatenate([part.n_visits for part in parts])
    return EncodedCohort(**arrays, offsets=np.concatenate([[0], np.cumsum(counts)]))
