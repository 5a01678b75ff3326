"""Patients as sequences of numbers without gaps: what sequence classifiers, alignments and clusters work on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.visit_arrays import Array, VisitArrays, carried_forward, patient_means, visit_arrays
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Schema

MOST_LEVELS = 20
FEWEST_PATIENTS = 10


@dataclass(frozen=True)
class Paths:
    """Patients with visits, each a sequence of points; rows beyond a patient's length are 0.

    Attributes
    ----------
    points : array, shape (N, L, D)
        Channels, in ranks among the reference's values scaled to variance 1, 0 the median; then the visit time, in the
        reference's standard deviations. Categorical channels give one column a level. Missing values are the last
        observed one, or 0 before the first.
    observed : array, shape (N, L, C)
        1 where the channel was observed, else 0.
    length : array of int, shape (N,)
        Number of visits, at least 1.
    """

    points: Array
    observed: Array
    length: NDArray[np.int64]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which rows are visits, shape (N, L)."""
        return np.arange(self.points.shape[1]) < self.length[:, None]

    def of(self, patient: int) -> Array:
        """Return the points of one patient, shape (length, D)."""
        return self.points[patient, : self.length[patient]]


def paired_paths(
    sample: Cohort, reference: Cohort, rng: np.random.Generator, most_patients: int, most_visits: int
) -> tuple[Paths, Paths]:
    """Return both cohorts' patients as paths, as many of each.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    rng : numpy.random.Generator
        Draws the patients, whose order and ids do not matter.
    most_patients : int
        More patients than this are sub-sampled, as is the larger cohort to the smaller one's number of patients.
    most_visits : int
        Records of more visits are thinned to as many at even steps.

    Raises
    ------
    NotComputableError
        If the schema has no channel, or one of the cohorts fewer than 10 patients with visits.
    """
    names = list(reference.schema.channels)
    if not names:
        raise NotComputableError("it needs a channel, and the schema has none")
    arrays = visit_arrays(sample, names), visit_arrays(reference, names)
    n = min(most_patients, *(one.n_patients for one in arrays))
    if n < FEWEST_PATIENTS:
        raise NotComputableError(f"one of the two cohorts has {n} patients with visits; it needs {FEWEST_PATIENTS}")
    made, real = (_paths(one, arrays[1], reference.schema, rng, n, most_visits) for one in arrays)
    return made, real


def _paths(
    arrays: VisitArrays, reference: VisitArrays, schema: Schema, rng: np.random.Generator, n: int, most_visits: int
) -> Paths:
    chosen = _canonical_order(arrays)[rng.permutation(arrays.n_patients)[:n]]
    starts = np.searchsorted(arrays.patient, np.arange(arrays.n_patients + 1))
    rows = [_thinned(starts[patient], starts[patient + 1], most_visits) for patient in chosen]
    length = np.array([len(one) for one in rows])
    points = _points(arrays, reference, schema)
    seen = (~np.isnan(arrays.values)).astype(np.float64)
    padded = np.zeros((n, length.max(), points.shape[1]))
    observed = np.zeros((n, length.max(), seen.shape[1]))
    inside = np.arange(length.max()) < length[:, None]
    padded[inside], observed[inside] = points[np.concatenate(rows)], seen[np.concatenate(rows)]
    return Paths(padded, observed, length)


def _canonical_order(arrays: VisitArrays) -> NDArray[np.int64]:
    """Return the patients in an order that their visits alone decide."""
    table = np.column_stack([arrays.time, arrays.values])
    means, counts = patient_means(table, arrays.patient, arrays.n_patients)
    squares, _ = patient_means(table**2 * (1 + arrays.time[:, None]), arrays.patient, arrays.n_patients)
    return np.lexsort(np.hstack([squares, means, counts]).T)


def _thinned(start: int, stop: int, most: int) -> NDArray[np.int64]:
    if stop - start <= most:
        return np.arange(start, stop)
    return np.linspace(start, stop - 1, most).round().astype(np.int64)


def _points(arrays: VisitArrays, reference: VisitArrays, schema: Schema) -> Array:
    """Return channels and time as the columns that `Paths.points` describes, shape (V, D)."""
    columns = []
    for c, name in enumerate(reference.names):
        column, real, channel = arrays.values[:, c], reference.values[:, c], schema.channels[name]
        if channel.kind == "categorical":
            levels = range(min(len(channel.levels or ()), MOST_LEVELS))
            columns += [_standardised(_level(column, level), _level(real, level)) for level in levels]
        else:
            columns.append(_ranked(column, real))
    time = _standardised(arrays.time, reference.time)
    filled = carried_forward(np.column_stack(columns), arrays.patient)
    return np.column_stack([np.nan_to_num(filled), time])


def _level(values: Array, level: int) -> Array:
    return np.where(np.isnan(values), np.nan, (values == level).astype(np.float64))


def _ranked(values: Array, reference: Array) -> Array:
    """Return the mean rank of values among the reference's, from -sqrt(3) to sqrt(3); NaN where missing."""
    known = np.sort(reference[~np.isnan(reference)])
    if not len(known):
        return np.where(np.isnan(values), np.nan, 0.0)
    below, up_to = (np.searchsorted(known, values, side=side) for side in ("left", "right"))
    share = (below + up_to) / (2 * len(known))
    return np.where(np.isnan(values), np.nan, np.sqrt(12) * (share - 0.5))


def _standardised(values: Array, reference: Array) -> Array:
    known = reference[~np.isnan(reference)]
    spread = known.std() if len(known) else 0.0
    return (values - (known.mean() if len(known) else 0.0)) / (spread if spread > 0 else 1.0)
