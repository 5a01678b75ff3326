"""What benchmarks share: rows that are added as they are measured, and the page that shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.process import alone


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file with one JSON object a line; none if it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measured_rows(
    path: Path, keys: Iterable[dict[str, Any]], measure: Callable[..., dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows of a file, after measuring, each in a process of its own, those whose keys are not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = read_rows(path)
    for key in keys:
        if any(key.items() <= row.items() for row in rows):
            continue
        rows.append(key | alone(measure, *key.values()))
        with path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    return rows


def put_between(page: Path, marks: tuple[str, str], text: str) -> None:
    """Replace what stands between two marks of a page."""
    before, _, rest = page.read_text().partition(marks[0])
    page.write_text("\n".join([before + marks[0], "", text, marks[1] + rest.partition(marks[1])[2]]))
