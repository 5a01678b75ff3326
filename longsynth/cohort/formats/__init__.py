"""Cohorts from files and to files, one module a format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from longsynth.cohort import frames
from longsynth.cohort.cohort import Cohort
from longsynth.cohort.flat import fold
from longsynth.cohort.formats import csv, parquet
from longsynth.cohort.formats.atomic import replacing
from longsynth.exceptions import CohortError, ConfigError
from longsynth.schema.files import read_schema
from longsynth.schema.types import Schema

FORMATS = {"parquet": parquet, "csv": csv}


def read_table(path: str | Path) -> pl.DataFrame:
    """Read one table; the suffix tells the format.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.parquet`` file.

    Returns
    -------
    polars.DataFrame
        From CSV every column is text, with empty fields as null; from Parquet as stored.

    Raises
    ------
    CohortError
        If there is no such file, or it cannot be read.
    """
    path = Path(path)
    name = path.suffix.lower().removeprefix(".")
    if name not in FORMATS:
        raise CohortError(f"{path}: the format is not known; tables end in {_listed(FORMATS)}")
    if not path.is_file():
        raise CohortError(f"{path}: there is no such file")
    try:
        return FORMATS[name].read(path)
    except OSError as error:
        raise CohortError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_cohort(
    visits: Any = None, *, static: Any = None, schema: Schema | str | Path, drop_after_event: bool = False
) -> Cohort:
    """Read a cohort from files or data frames.

    Parameters
    ----------
    visits : path, pandas.DataFrame or polars.DataFrame, optional
        One row a visit. None for a static table alone.
    static : path, pandas.DataFrame or polars.DataFrame, optional
        One row a patient. None: ``visits`` is one flat table that repeats the static columns on each row.
    schema : Schema or path
        What the columns hold.
    drop_after_event : bool
        Leave visits after the end of follow-up out instead of refusing them.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortError
        If a file cannot be read or the tables contradict the schema; the message lists everything that is wrong.
    SchemaError
        If the schema file cannot be read.

    Examples
    --------
    >>> import polars as pl
    >>> from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime
    >>> schema = Schema(
    ...     visit_time=VisitTime(column="day"),
    ...     static={"arm": StaticColumn(kind="binary", levels=(0, 1))},
    ...     channels={"pain": Channel(kind="count")},
    ... )
    >>> flat = pl.DataFrame({"patient_id": [1, 1, 2], "arm": [0, 0, 1], "day": [0, 9, 0], "pain": [7, 4, 5]})
    >>> read_cohort(flat, schema=schema).static.rows()
    [(1, 0), (2, 1)]
    """
    if not isinstance(schema, Schema):
        schema = read_schema(schema)
    visit_table = None if visits is None else _table(visits, "visits")
    if static is not None:
        static_table = _table(static, "static")
    elif visit_table is not None:
        static_table = fold(visit_table, schema)
        visit_table = visit_table.drop(set(static_table.columns) - {schema.patient_id, *schema.channels}, strict=False)
    else:
        raise ConfigError("there is neither a visits nor a static table; give one of them")
    return Cohort(static_table, visit_table, schema=schema, drop_after_event=drop_after_event)


def write_cohort(cohort: Cohort, folder: str | Path, format: str = "parquet") -> list[Path]:
    """Write a cohort to ``static.<format>`` and ``visits.<format>``, both or neither.

    Parameters
    ----------
    cohort : Cohort
        Dates are written as dates. Without visit times only the static table is written.
    folder : str or Path
        Made if need be; files of the same names are replaced once the new ones are complete.
    format : {"parquet", "csv"}
        Parquet keeps column types; CSV is read back to the types that the schema asks for.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ConfigError
        If the format is not known.
    CohortError
        If the files cannot be written; what was there before is then unchanged.
    """
    if format not in FORMATS:
        raise ConfigError(f"the format {format!r} is not known; it is one of {_listed(FORMATS)}")
    tables = dict(zip(("static", "visits"), cohort.tables(), strict=True))
    if cohort.schema.visit_time is None:
        del tables["visits"]
    targets = [Path(folder) / f"{name}.{format}" for name in tables]
    with replacing(targets) as parts:
        for part, table in zip(parts, tables.values(), strict=True):
            FORMATS[format].write(table, part)
    return targets


def _table(source: Any, name: str) -> pl.DataFrame:
    return frames.to_polars(read_table(source) if isinstance(source, (str, Path)) else source, name)


def _listed(names: Any) -> str:
    return ", ".join(names)
