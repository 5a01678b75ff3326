"""Writing a cohort part by part, so that its size is not bounded by memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl
import pyarrow.parquet as parquet

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.formats import csv
from longsynth.cohort.formats.atomic import replacing


@contextmanager
def cohort_writer(folder: str | Path, format: str, *, has_visits: bool) -> Iterator[Callable[[Cohort], None]]:
    """Yield a function that adds a cohort's patients to ``static.<format>`` and ``visits.<format>``.

    Both files appear when the block ends without an error, or neither does.

    Parameters
    ----------
    folder : str or Path
        Where to write; made if need be.
    format : {"parquet", "csv"}
        As in :func:`~longsynth.cohort.formats.write_cohort`.
    has_visits : bool
        False for a static table alone.
    """
    names = ["static", "visits"] if has_visits else ["static"]
    add_to = _add_parquet if format == "parquet" else _add_csv
    with replacing([Path(folder) / f"{name}.{format}" for name in names]) as paths, ExitStack() as stack:
        adders = [add_to(stack, path) for path in paths]

        def add(cohort: Cohort) -> None:
            for adder, table in zip(adders, cohort.tables(), strict=False):
                adder(table)

        yield add


def _add_parquet(stack: ExitStack, path: Path) -> Callable[[pl.DataFrame], None]:
    writer: list[parquet.ParquetWriter] = []

    def add(table: pl.DataFrame) -> None:
        arrow = table.to_arrow()
        if not writer:
            writer.append(stack.enter_context(parquet.ParquetWriter(path, arrow.schema, compression="zstd")))
        writer[0].write_table(arrow.cast(writer[0].schema))

    return add


def _add_csv(stack: ExitStack, path: Path) -> Callable[[pl.DataFrame], None]:
    file = stack.enter_context(path.open("wb"))
    started: list[bool] = []

    def add(table: pl.DataFrame) -> None:
        csv.write(table, file, header=not started)
        started.append(True)

    return add
