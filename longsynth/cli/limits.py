"""Limits that a run must keep: ``linkage.risk_hi<=0.09``. A missed one ends a verb with exit code 3."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

import typer

from longsynth.exceptions import ConfigError

MISSED = 3
_FORM = re.compile(r"\s*(?P<name>[\w-]+)(\.(?P<column>\w+))?\s*(?P<sign><=|>=)\s*(?P<limit>[-+.\deE]+)\s*")


class Limit(NamedTuple):
    """A bound on one column of the results that have one name; without a column on the one that the verb takes."""

    name: str
    column: str
    sign: str
    limit: float

    def __str__(self) -> str:
        column = f".{self.column}" if self.column else ""
        return f"{self.name}{column}{self.sign}{self.limit:g}"

    def holds(self, value: float) -> bool:
        """Return whether a value keeps the limit."""
        return value <= self.limit if self.sign == "<=" else value >= self.limit


def parse_limit(text: str) -> Limit:
    """Return a limit from a text such as ``linkage.risk_hi<=0.09``.

    Raises
    ------
    ConfigError
        If the text is not ``NAME.COLUMN<=NUMBER`` or ``NAME.COLUMN>=NUMBER``; the column may be left out.
    """
    found = _FORM.fullmatch(text)
    try:
        if found is not None:
            return Limit(found["name"], found["column"] or "", found["sign"], float(found["limit"]))
    except ValueError:
        pass
    raise ConfigError(f"--require {text!r}: write a limit as NAME.COLUMN<=NUMBER, for example linkage.risk_hi<=0.09")


def end_missed(missed: list[str]) -> None:
    """Print the limits that were missed on standard error and exit with code 3; do nothing if there are none."""
    if missed:
        typer.secho("\n".join(f"Missed: {line}" for line in missed), err=True)
        sys.exit(MISSED)
