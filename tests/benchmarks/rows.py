"""What benchmarks share: rows that are added as they are measured, and the page that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file with one JSON object a line; none if it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def put_between(page: Path, marks: tuple[str, str], text: str) -> None:
    """Replace what stands between two marks of a page."""
    before, _, rest = page.read_text().partition(marks[0])
    page.write_text("\n".join([before + marks[0], "", text, marks[1] + rest.partition(marks[1])[2]]))
