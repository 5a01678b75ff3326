"""Patients as points, so that distances between them mean something whatever the units and tails of their columns."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import patient_features
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Schema

Points = NDArray[np.float64]

LEFT_OUT = (".first", ".last", ".most_common", ".min", ".max", ".change_sd", ".change_size", ".gap_sd")
DIGITS = 9
APART = 0.5


def patient_points(sample: Cohort, reference: Cohort) -> tuple[Points, Points]:
    """Return the patients of both cohorts as points in one space.

    A patient is described by the static row, duration and event type, number, span and mean gap of visits, and for
    each channel by the share of visits where it was observed, and mean, standard deviation and slope, or the shares of
    the levels and of changes if it is categorical: a part of `patient_features`.

    Parameters
    ----------
    sample, reference : Cohort
        N and M patients under one schema.

    Returns
    -------
    points of the sample, points of the reference : arrays, shape (N, F) and (M, F)
        Each feature is its rank among all patients of both cohorts, from 0 to 1, ties in the middle; two patients that
        differ in a binary or categorical attribute, or of whom one has no value, are 0.5 apart in it.

    Raises
    ------
    NotComputableError
        If the schema has no column.

    Notes
    -----
    Ranks make the space independent of units and of tails, and keep no more of a shift than that it is one.
    """
    tables = [patient_features(cohort) for cohort in (sample, reference)]
    names = [name for name in tables[0].columns[1:] if not name.endswith(LEFT_OUT)]
    if not names:
        raise NotComputableError("it needs something that describes patients, and the schema has no column")
    both = pl.concat([table.select(names) for table in tables])
    nominal = _nominal(sample.schema)
    coordinates = [(_levels if name in nominal else _ranks)(both[name].to_numpy()) for name in names]
    points = np.column_stack(coordinates)
    return points[: sample.n_patients], points[sample.n_patients :]


def _nominal(schema: Schema) -> set[str]:
    return {"event.type"} | {f"static.{name}" for name, column in schema.static.items() if column.kind == "categorical"}


def _levels(values: Points) -> Points:
    """Return one coordinate a level, missing being one of them; two levels are 0.5 apart."""
    levels, codes = np.unique(np.nan_to_num(values, nan=-1.0), return_inverse=True)
    return np.asarray(np.eye(len(levels))[codes] * (APART / np.sqrt(2)))


def _ranks(values: Points) -> Points:
    """Return the ranks, in the middle where missing, and whether missing."""
    missing = np.isnan(values)
    if missing.all():
        return np.zeros((len(values), 0))
    scale = np.nanstd(values)
    rounded = np.round(values / scale, DIGITS) if scale > 0 else values  # what is equal up to rounding errors is equal
    ranks = (rankdata(rounded, nan_policy="omit") - 0.5) / (~missing).sum()
    coordinates = [np.where(missing, 0.5, ranks)]
    if missing.any():
        coordinates.append(APART * missing)
    return np.column_stack(coordinates)
