"""CSV files: UTF-8, commas, quotes where needed, an empty field for a missing value."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import IO

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from longsynth.cohort.columns import counted
from longsynth.exceptions import CohortError


def read(path: Path) -> pl.DataFrame:
    """Return the table in a CSV file; every column is text, so that ids such as 001 stay what they are."""
    data = path.read_bytes()
    header = _header(_checked_text(data, path), path)
    n_uneven = 0

    def count(_: arrow_csv.InvalidRow) -> str:
        nonlocal n_uneven
        n_uneven += 1
        return "skip"

    try:
        table = arrow_csv.read_csv(
            io.BytesIO(data),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=count),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.large_string() for name in header}, null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid:
        raise CohortError(f"{path}: not a readable CSV file; check its quotes and commas") from None
    if n_uneven:
        remedy = "quote values that hold commas, and check that the file is complete"
        raise CohortError(f"{path}: {counted(n_uneven)} with more or fewer fields than the header; {remedy}")
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # a table never becomes a series
    return frame


def write(frame: pl.DataFrame, target: Path | IO[bytes], *, header: bool = True) -> None:
    """Write a table to a CSV file; floats in the shortest form that reads back equal, dates as ISO."""
    zoned = [name for name, dtype in frame.schema.items() if getattr(dtype, "time_zone", None)]
    utc = pl.col(zoned).dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ")
    frame.with_columns(utc).write_csv(target, include_header=header)


def _checked_text(data: bytes, path: Path) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CohortError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from None
    if not text.strip():
        raise CohortError(f"{path}: the file is empty; write the tables again")
    if text.count('"') % 2:
        raise CohortError(f"{path}: a quote is opened and never closed; check the quotes")
    return text


def _header(text: str, path: Path) -> list[str]:
    names = next(csv.reader(io.StringIO(text)))
    if len(set(names)) != len(names):
        raise CohortError(f"{path}: two columns have the same name; rename one")
    if len(names) == 1 and any(separator in names[0] for separator in ";\t"):
        raise CohortError(f"{path}: the fields are not separated by commas; save the file with commas")
    return names
