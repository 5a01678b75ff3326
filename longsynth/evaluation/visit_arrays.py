"""The visits of a cohort as arrays, and how a channel goes with another one some visits later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_visits
from longsynth.evaluation.association import FEWEST_PAIRS
from longsynth.exceptions import NotComputableError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class VisitArrays:
    """The visits of all patients, one after the other, each patient's in order of time.

    Attributes
    ----------
    names : list of str
        The C channels.
    patient : array of int, shape (V,)
        Number of the patient among those with visits, from 0.
    time : array, shape (V,)
        Visit times in ``schema.time_unit``.
    values : array, shape (V, C)
        Coded as by `longsynth.cohort.trajectory.numbers`; NaN where not observed.
    """

    names: list[str]
    patient: Integers
    time: Array
    values: Array

    @property
    def n_patients(self) -> int:
        """Number of patients with visits."""
        return int(self.patient[-1]) + 1 if len(self.patient) else 0

    def column(self, name: str) -> tuple[Integers, Array, Array]:
        """Return patient, time and value of the visits where one channel was observed, each of shape (n observed,)."""
        values = self.values[:, self.names.index(name)]
        seen = ~np.isnan(values)
        return self.patient[seen], self.time[seen], values[seen]


def visit_arrays(cohort: Cohort, names: Sequence[str]) -> VisitArrays:
    """Return the visits of a cohort as arrays.

    Parameters
    ----------
    cohort : Cohort
        With any number of visits.
    names : sequence of str
        Channels.

    Raises
    ------
    NotComputableError
        If the schema has no visit time.
    """
    schema = cohort.schema
    if schema.visit_time is None:
        raise NotComputableError("it needs visits, and the schema has no visit time")
    visits = numeric_visits(cohort)
    patient = visits[schema.patient_id].rle_id().to_numpy().astype(np.int64)
    time = visits[schema.visit_time.column].cast(pl.Float64).to_numpy()
    values = visits.select(names).to_numpy() if names else np.empty((visits.height, 0))
    return VisitArrays(list(names), patient, time, values.astype(np.float64))


def paired_arrays(sample: Cohort, reference: Cohort, names: Sequence[str]) -> tuple[VisitArrays, VisitArrays]:
    """Return `visit_arrays` of both cohorts, of the channels that the reference observes.

    Raises
    ------
    NotComputableError
        If there are none.
    """
    made, real = visit_arrays(sample, names), visit_arrays(reference, names)
    known = (~np.isnan(real.values)).sum(axis=0) > 0
    if not known.any():
        raise NotComputableError("it needs a channel of the right kind that is observed in the reference")
    kept = [name for name, is_known in zip(names, known, strict=True) if is_known]
    return replace(made, names=kept, values=made.values[:, known]), replace(
        real, names=kept, values=real.values[:, known]
    )


def rank_scores(values: Array) -> Array:
    """Return each column's ranks among its own observed values, with mean 0 and standard deviation 1.

    So a measure of order in time neither depends on units or tails, nor sees that a marginal distribution differs.

    Parameters
    ----------
    values : array, shape (n, C)
        NaN where missing.

    Returns
    -------
    array, shape (n, C)
        NaN where missing; 0 in a column that does not vary.
    """
    scores = np.full(values.shape, np.nan)
    for c, column in enumerate(values.T):
        seen = ~np.isnan(column)
        ranks = rankdata(column[seen])
        ranks -= ranks.mean() if ranks.size else 0
        spread = np.sqrt((ranks**2).mean()) if ranks.size else 0
        scores[seen, c] = ranks / spread if spread > 0 else 0.0
    return scores


def patient_means(values: Array, patient: Integers, n_patients: int) -> tuple[Array, Array]:
    """Return each patient's mean of the observed values of each column, and how many there are.

    Returns
    -------
    means : array, shape (P, C)
        0 where a patient has none.
    counts : array, shape (P, C)
    """
    seen = ~np.isnan(values)
    filled = np.where(seen, values, 0.0)
    counts = _sums(seen.astype(float), patient, n_patients)
    return _sums(filled, patient, n_patients) / np.maximum(counts, 1), counts


def deviations(values: Array, patient: Integers, n_patients: int, fewest: int = 3) -> Array:
    """Return what is left of each column when the patient's mean is taken away.

    Returns
    -------
    array, shape (n, C)
        NaN where missing, and for patients with less than ``fewest`` values: of one nothing is left, and two values
        lie opposite each other whatever they are.
    """
    means, counts = patient_means(values, patient, n_patients)
    means = np.where(counts >= fewest, means, np.nan)
    return values - means[patient]


def lagged_correlations(values: Array, patient: Integers, lag: int) -> Array:
    """Return the correlations between the columns at one visit and those ``lag`` visits later in the same patient.

    Parameters
    ----------
    values : array, shape (V, C)
        NaN where missing; of a size near 1, as sums of squares are used.
    patient : array of int, shape (V,)
        Whose visit it is.
    lag : int
        0 or more.

    Returns
    -------
    array, shape (C, C)
        Entry (a, b): column a at the earlier visit, b at the later one, over the pairs of visits with both. NaN with
        fewer than 20 pairs, or where one of them does not vary.
    """
    size = len(values) - lag
    if size <= 0:
        return np.full((values.shape[1], values.shape[1]), np.nan)
    same = patient[:size] == patient[lag:]
    x, y = values[:size][same], values[lag:][same]
    x_seen, y_seen = (~np.isnan(table) for table in (x, y))
    x, y = np.where(x_seen, x, 0.0), np.where(y_seen, y, 0.0)
    m, k = x_seen.astype(float), y_seen.astype(float)
    n = np.maximum(m.T @ k, 1)
    x_mean, y_mean = (x.T @ k) / n, (m.T @ y) / n
    covariance = (x.T @ y) / n - x_mean * y_mean
    spread = ((x**2).T @ k / n - x_mean**2) * (m.T @ y**2 / n - y_mean**2)
    usable = (n >= FEWEST_PAIRS) & (spread > 1e-18)
    return np.where(usable, covariance / np.sqrt(np.where(usable, spread, 1)), np.nan)


def carried_forward(values: Array, patient: Integers) -> Array:
    """Return each column with missing values replaced by the patient's last observed one before.

    Returns
    -------
    array, shape (V, C)
        NaN where a patient has not been observed yet.
    """
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows), axis=0)
    known = (last >= 0) & (patient[np.maximum(last, 0)] == patient[:, None])
    filled = np.take_along_axis(values, np.maximum(last, 0), axis=0) if len(values) else values
    return np.where(known, filled, np.nan)


def _sums(values: Array, patient: Integers, n_patients: int) -> Array:
    sums = [np.bincount(patient, column, minlength=n_patients) for column in values.T]
    return np.stack(sums, axis=1) if sums else np.zeros((n_patients, 0))
