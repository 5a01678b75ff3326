"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from longsynth.exceptions import CohortError


@contextmanager
def replacing(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield a temporary path for each target; they take the targets' places together, once all are complete.

    Parameters
    ----------
    targets : sequence of Path
        Files to write, in one folder or several; folders are made. An existing file stays until the end of the block.

    Yields
    ------
    list of Path
        Where to write, beside the targets. After an error nothing is left of them.

    Raises
    ------
    CohortError
        If a file cannot be written, for example because the disk is full.
    """
    parts = [target.with_name(f".{target.name}.{uuid.uuid4().hex}.part") for target in targets]
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        yield parts
        for part in parts:
            _flush_to_disk(part)
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    except (OSError, pl.exceptions.PolarsError) as error:
        if not isinstance(error, OSError) and "os error" not in str(error):  # how polars reports a full disk
            raise
        reason = getattr(error, "strerror", None) or str(error)
        names = ", ".join(str(target) for target in targets)
        raise CohortError(f"{names} cannot be written: {reason}; nothing was changed there") from error
    finally:
        for part in parts:
            if part.exists():
                part.unlink()


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
