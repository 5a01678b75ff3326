"""Patients numbered by what is known about them, so that a seeded sub-sample does not depend on ids or row order."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.memo import Memo
from longsynth.cohort.trajectory import numeric_static, numeric_visits


def numbered(cohort: Cohort) -> Cohort:
    """Return the same patients with the ids 0, 1, ..., N - 1 in an order that only their data decide.

    Parameters
    ----------
    cohort : Cohort
        N patients.

    Returns
    -------
    Cohort
        Patients sorted by their static row, then by their visits one after the other. The order of values decides,
        not their size, so that other ids, another order of rows and other units give the same order of patients;
        patients who cannot be told apart are interchangeable.

    Examples
    --------
    >>> import polars as pl
    >>> from longsynth.schema.types import Schema, StaticColumn
    >>> schema = Schema(static={"age": StaticColumn(kind="count")})
    >>> cohort = Cohort(pl.DataFrame({"patient_id": ["a", "b"], "age": [71, 56]}), schema=schema)
    >>> numbered(cohort).static.rows()
    [(0, 56), (1, 71)]
    """
    name = cohort.schema.patient_id
    order = _order(cohort)
    numbers = pl.DataFrame({name: cohort.static[name].gather(order), _NUMBER: np.arange(len(order), dtype=np.int64)})
    return _with_ids(cohort, *(_renamed(table, numbers, name) for table in (cohort.static, cohort.visits)))


def pooled(first: Cohort, second: Cohort) -> Cohort:
    """Return the patients of two numbered cohorts under one schema as one numbered cohort."""
    name = first.schema.patient_id
    tables = []
    for one, other in ((first.static, second.static), (first.visits, second.visits)):
        moved = other.with_columns(pl.col(name) + first.n_patients)
        tables.append(pl.concat([_no_booleans(one), _no_booleans(moved)], how="vertical_relaxed"))
    return numbered(_with_ids(first, *tables))


def take(cohort: Cohort, rows: NDArray[np.int64]) -> Cohort:
    """Return some patients of a numbered cohort, faster than `Cohort.select`.

    Parameters
    ----------
    cohort : Cohort
        Both tables sorted by numbers as patient ids.
    rows : array of int, shape (n,)
        Rows of ``cohort.static``, each once.

    Returns
    -------
    Cohort
        With their ids, in the order of ``cohort``.
    """
    name = cohort.schema.patient_id
    rows = np.sort(rows)
    ids, of_visits = cohort.static[name].to_numpy()[rows], cohort.visits[name].to_numpy()
    starts = np.searchsorted(of_visits, ids)
    counts = np.searchsorted(of_visits, ids, side="right") - starts
    before = np.cumsum(counts) - counts
    visits = np.arange(counts.sum()) + np.repeat(starts - before, counts)
    taken = _with_ids(cohort, cohort.static[rows], cohort.visits[visits])
    taken._memo = Memo(cohort, {"static": rows, "visits": visits})
    return taken


_NUMBER = "__number"


def _renamed(table: pl.DataFrame, numbers: pl.DataFrame, name: str) -> pl.DataFrame:
    joined = table.join(numbers, on=name, how="inner", maintain_order="left")
    table = joined.with_columns(pl.col(_NUMBER).alias(name)).drop(_NUMBER)
    return table.sort(name, maintain_order=True)  # visits stay in order of time


def _no_booleans(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with booleans as 0 and 1, as another table under the same schema may hold them."""
    return table.with_columns(pl.col(pl.Boolean).cast(pl.Int64))


def _with_ids(cohort: Cohort, static: pl.DataFrame, visits: pl.DataFrame) -> Cohort:
    same = object.__new__(Cohort)
    same.schema, same.origin, same.static, same.visits = cohort.schema, cohort.origin, static, visits
    same._entry_notes, same._memo = [], Memo()
    return same


def _order(cohort: Cohort) -> NDArray[np.int64]:
    """Return the rows of ``cohort.static`` in the order of their patients' data."""
    name, time = cohort.schema.patient_id, cohort.schema.visit_time
    static = _ranks(numeric_static(cohort).drop(name))
    visits: list[list[int]] = [[] for _ in range(cohort.n_patients)]
    if time is not None and cohort.n_visits:
        rows = cohort.static.select(name).with_row_index(_NUMBER)
        patients = cohort.visits.select(name).join(rows, on=name, how="left", maintain_order="left")[_NUMBER]
        for patient, code in zip(patients.to_list(), _ranks(numeric_visits(cohort).drop(name)).tolist(), strict=True):
            visits[patient].append(code)
    return np.array(sorted(range(cohort.n_patients), key=lambda row: (int(static[row]), visits[row])), dtype=np.int64)


def _ranks(table: pl.DataFrame) -> NDArray[np.int64]:
    """Return the rank of each row among all rows, column by column, missing values last; equal rows rank equally."""
    if not table.width:
        return np.zeros(table.height, dtype=np.int64)
    columns = [column.cast(pl.Float64).rank("dense").fill_null(len(column) + 1) for column in table.iter_columns()]
    return pl.struct(*columns, eager=True).rank("dense").to_numpy().astype(np.int64)
