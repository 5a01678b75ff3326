"""A cohort as flat arrays for attacks, with patients in an order that their data alone decide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits, patient_features


@dataclass(frozen=True, eq=False)
class Records:
    """N patients with V visits of C channels and S static columns.

    Patients stand in an order made from their values (a hash), so that nothing random falls differently when ids or
    rows change. Patients with equal values are interchangeable.

    Attributes
    ----------
    cohort : Cohort
        Where they come from.
    rows : ndarray of int, shape (N,)
        Row of each patient in ``cohort.static``.
    static : ndarray of float, shape (N, S)
        The static row as numbers, NaN where missing; columns as in ``static_names``.
    static_names : tuple of str
        ``static.<name>``, then ``event.duration`` and ``event.type`` if there is a terminal event.
    start : ndarray of int, shape (N + 1,)
        First visit of each patient; ``start[i + 1] - start[i]`` visits, which may be 0.
    time : ndarray of float, shape (V,)
        Visit times since baseline, not falling within a patient.
    values : ndarray of float, shape (V, C)
        Channels in schema order as numbers, NaN where not observed.
    """

    cohort: Cohort
    rows: NDArray[np.int64]
    static: NDArray[np.float64]
    static_names: tuple[str, ...]
    start: NDArray[np.int64]
    time: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len(self.rows)

    @property
    def n_visits(self) -> NDArray[np.int64]:
        """Number of visits of each patient, shape (N,)."""
        return np.diff(self.start)

    def only(self, chosen: NDArray[np.int64]) -> Records:
        """Return the records of some patients, in the order given."""
        start = np.concatenate([[0], np.cumsum(self.n_visits[chosen])])
        visits = np.repeat(self.start[chosen] - start[:-1], np.diff(start)) + np.arange(start[-1])
        return replace(
            self, rows=self.rows[chosen], static=self.static[chosen], start=start,
            time=self.time[visits], values=self.values[visits],
        )  # fmt: skip

    @cached_property
    def features(self) -> NDArray[np.float64]:
        """`patient_features` of each patient, shape (N, features), NaN where one has no value."""
        table = patient_features(self.cohort).drop(self.cohort.schema.patient_id)
        return table.to_numpy().astype(np.float64)[self.rows]


def records_of(cohort: Cohort) -> Records:
    """Return a cohort's records.

    Parameters
    ----------
    cohort : Cohort
        Any cohort, also one without visits or channels.
    """
    schema = cohort.schema
    table = numeric_static(cohort).drop(schema.patient_id)
    static = table.to_numpy().astype(np.float64).reshape(cohort.n_patients, table.width) + 0.0
    time, values = _visits(cohort)
    counts = _visit_counts(cohort)
    start = np.concatenate([[0], np.cumsum(counts)])
    order = _order(static, start, np.column_stack([time, values]))
    visits = np.concatenate([np.arange(start[i], start[i + 1]) for i in order]).astype(np.int64)
    new_start = np.concatenate([[0], np.cumsum(counts[order])])
    return Records(cohort, order, static[order], tuple(table.columns), new_start, time[visits], values[visits])


def _visits(cohort: Cohort) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the visit times (V,) and the channels (V, C) in the order of ``cohort.visits``."""
    schema = cohort.schema
    if schema.visit_time is None:
        return np.zeros(0), np.zeros((0, 0))
    table = numeric_visits(cohort)
    values = table.select(*schema.channels).to_numpy() if schema.channels else np.zeros((table.height, 0))
    return table[schema.visit_time.column].to_numpy() + 0.0, values.astype(np.float64) + 0.0


def _visit_counts(cohort: Cohort) -> NDArray[np.int64]:
    """Return the number of visits of each patient of ``cohort.static``; both tables are sorted by patient id."""
    name = cohort.schema.patient_id
    counts = cohort.visits.group_by(name).len()
    joined = cohort.static.select(name).join(counts, on=name, how="left", maintain_order="left")
    return joined["len"].fill_null(0).to_numpy().astype(np.int64)


def _order(static: NDArray[np.float64], start: NDArray[np.int64], visits: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the patients sorted by a hash of their values."""
    static, visits = (np.where(np.isnan(table), np.nan, table) for table in (static, visits))  # one NaN, not several
    keys = [
        blake2b(static[i].tobytes() + visits[start[i] : start[i + 1]].tobytes(), digest_size=16).digest()
        for i in range(len(static))
    ]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
