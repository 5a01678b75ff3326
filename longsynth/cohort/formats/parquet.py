"""Parquet files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from longsynth.exceptions import CohortError


def read(path: Path) -> pl.DataFrame:
    """Return the table in a Parquet file."""
    try:
        return pl.read_parquet(path, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise CohortError(f"{path}: not a readable Parquet file; it may be cut short, or of another format") from error


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a table to a Parquet file."""
    frame.write_parquet(path)
