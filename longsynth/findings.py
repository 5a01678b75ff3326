"""What the judge and the attacker do alike with what they found: a frame, a JSON text, a table for notebooks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any, TypeVar

import polars as pl

from longsynth.exceptions import ConfigError

FORMAT = 1
Found = TypeVar("Found")


def results_frame(results: Iterable[Any], columns: Mapping[str, Any], **made: Any) -> pl.DataFrame:
    """Return one row a result.

    Parameters
    ----------
    results : iterable of dataclass instances
        What was found.
    columns : mapping of str to polars type
        Which of their attributes, and of ``made``, in which order.
    **made
        Further columns, the same for all.
    """
    rows = [{**asdict(result), **made} for result in results]
    return pl.DataFrame([{name: row[name] for name in columns} for row in rows], schema=dict(columns))


def findings_text(findings: Any) -> str:
    """Return a dataclass instance as a JSON text with the number of its format, the same for the same findings."""
    return json.dumps({"format": FORMAT, **asdict(findings)}, indent=1, allow_nan=False)


def read_findings(text: str, what: str, build: Callable[[dict[str, Any]], Found]) -> Found:
    """Return what ``build`` makes of the document that `findings_text` wrote; ``what`` names it in messages.

    Raises
    ------
    ConfigError
        If the text is no such JSON, or of another format.
    """
    try:
        document = json.loads(text)
        number = document["format"]
        if number == FORMAT:
            return build(document)
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"the text is no {what} as `to_json` writes it") from error
    raise ConfigError(f"the {what} has format {number}; this version reads {FORMAT}")


def with_tuples(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with its lists as the tuples they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """Return texts as an HTML table, escaped, with notes as a list below it."""
    head = "".join(f"<th style='text-align:left'>{escape(text)}</th>" for text in heads)
    cells = ("".join(f"<td style='text-align:left'>{escape(text)}</td>" for text in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{listed and f'<ul>{listed}</ul>'}"
