"""Cohorts as the command line names them: a folder, or two files with a comma between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from longsynth.exceptions import CohortError, ConfigError, PrivacyError

if TYPE_CHECKING:
    import polars as pl

    from longsynth.budget import PrivacyLedger
    from longsynth.cohort.cohort import Cohort, Origin
    from longsynth.schema.types import Schema


def read_place(place: str | Path, schema: Schema, origin: Origin = "real") -> Cohort:
    """Return the cohort at a place.

    Parameters
    ----------
    place : str or path
        A folder with ``static`` and ``visits`` tables, as `split` and `sample` write it, or the paths of a static and a
        visits table with a comma between them.
    schema : Schema
        What the tables hold.
    origin : {"real", "synthetic"}
        Where the patients come from.

    Raises
    ------
    CohortError
        If the tables are not there, or contradict the schema.
    """
    from longsynth.cohort.cohort import Cohort
    from longsynth.cohort.formats import read_table

    if "," in str(place) and not Path(place).exists():
        tables = [read_table(part.strip()) for part in str(place).split(",")]
        if len(tables) != 2:
            raise ConfigError(f"{place}: name a folder, or a static and a visits table with a comma between them")
        return Cohort(*tables, schema=schema, origin=origin)
    static, visits = (_table(Path(place), name) for name in ("static", "visits"))
    if static is None:
        raise CohortError(f"{place}: there is no static.parquet or static.csv; give a folder as split or sample write")
    return Cohort(static, visits, schema=schema, origin=origin)


def read_ledger(place: str | Path) -> PrivacyLedger | None:
    """Return the privacy ledger that `sample` left beside the tables of a folder, or None."""
    from longsynth.budget import PrivacyLedger
    from longsynth.cli.outputs import RECORD
    from longsynth.training.accounting import epsilon_of

    record = Path(place) / RECORD
    if not record.is_file():
        return None
    try:
        told = json.loads(record.read_text(encoding="utf-8")).get("privacy")
        return None if told is None else PrivacyLedger.from_json(told, epsilon_of)
    except (PrivacyError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CohortError(f"{record} is damaged; sample the folder again") from error


def _table(folder: Path, name: str) -> pl.DataFrame | None:
    from longsynth.cohort.formats import FORMATS, read_table

    found = [path for path in (folder / f"{name}.{suffix}" for suffix in FORMATS) if path.is_file()]
    if len(found) > 1:
        raise CohortError(f"{folder}: there are {len(found)} {name} tables; keep one")
    return read_table(found[0]) if found else None
