"""The benchmark cohorts: a folder each, with kinds of the columns and a split by patient that is fixed once."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.split import split
from longsynth.schema.types import Channel, Column, Schema, StaticColumn, TerminalEvent, VisitTime

DATA = "../shared/data"
COHORTS = ("pbcseq", "aids", "toenail", "rhdnase", "eicu_demo", "physionet2012")


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default=DATA, help=f"folder with one folder a benchmark cohort (default {DATA})")


def load_benchmark(name: str, data: str | Path = DATA) -> tuple[Cohort, Cohort]:
    """Return train and holdout of one benchmark cohort, by the patient ids in its ``split.json``."""
    cohort = load_whole(name, data)
    parts = json.loads((Path(data) / name / "split.json").read_text())
    return cohort.select(parts["train"]), cohort.select(parts["holdout"])


def load_re_split(name: str, seed: int, data: str | Path = DATA) -> tuple[Cohort, Cohort]:
    """Return another random 70/30 split by patient of one benchmark cohort."""
    return split(load_whole(name, data), holdout=0.3, seed=seed)


def load_whole(name: str, data: str | Path = DATA) -> Cohort:
    """Return all patients of one benchmark cohort."""
    folder = Path(data) / name
    static, visits = (_read(folder / f"{table}.parquet") for table in ("static", "visits"))
    meta = json.loads((folder / "meta.json").read_text())
    return Cohort(static, visits, schema=schema_of(static, visits, meta))


def schema_of(static: pl.DataFrame, visits: pl.DataFrame, meta: dict[str, Any]) -> Schema:
    """Return the schema: kinds as ``meta.json`` declares them, levels read off the data."""
    event = meta["event"]
    return Schema(
        patient_id=meta["id"],
        time_unit=meta["time_unit"],
        visit_time=VisitTime(column=meta["time"]),
        terminal_event=None if event is None else TerminalEvent(duration=event["time"], event=event["status"]),
        static={name: _column(StaticColumn, kind, static[name]) for name, kind in meta["static"].items()},
        channels={name: _column(Channel, kind, visits[name]) for name, kind in meta["visits"].items()},
    )


def _read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).with_columns(pl.selectors.float().fill_nan(None))


def _column(of: type[Column], kind: str, values: pl.Series) -> Any:
    if kind not in ("binary", "ordinal", "categorical"):
        return of(kind=kind)
    levels = sorted(values.drop_nulls().unique().to_list())
    return of(kind=kind, levels=tuple(map(_as_integer, levels)), inferred=("levels",))


def _as_integer(level: Any) -> Any:
    return int(level) if isinstance(level, float) and level.is_integer() else level
