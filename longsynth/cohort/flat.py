"""One flat table, with static columns repeated on each visit's row, gives the static table."""

from __future__ import annotations

import polars as pl

from longsynth.cohort.checks import raise_all
from longsynth.cohort.columns import counted
from longsynth.schema.types import Schema


def fold(table: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Return one row a patient with the static columns of a flat table.

    Parameters
    ----------
    table : polars.DataFrame
        One row a visit.
    schema : Schema
        Says which columns are static. A column that the table lacks is left out; the cohort's checks report it.

    Returns
    -------
    polars.DataFrame
        The value that each patient's rows agree on; rows where it is missing do not count.

    Raises
    ------
    CohortError
        If a static column has several values for one patient.
    """
    if schema.patient_id not in table.columns:
        return table
    names = [name for name in (*schema.static, *schema.event_columns) if name in table.columns]
    patients = table.filter(pl.col(schema.patient_id).is_not_null()).group_by(schema.patient_id)
    n_values = patients.agg(pl.col(name).drop_nulls().n_unique() for name in names)
    several = {name: int((n_values[name] > 1).sum()) for name in names}
    complaint = "with more than one value; declare it as a channel, or give a static table"
    raise_all([f"static.{name}: {counted(n, 'patient')} {complaint}" for name, n in several.items() if n])
    return patients.agg(pl.col(name).drop_nulls().first() for name in names)
