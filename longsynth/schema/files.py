"""Schema files: YAML that a person can read, edit and check."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from longsynth.exceptions import SchemaError
from longsynth.schema.types import Column, Schema, TerminalEvent, VisitTime
from longsynth.schema.yaml_text import FlowMapping, FlowSequence, parse_yaml, yaml_text

VERSION = 1
Comments = Mapping[tuple[str, ...], Sequence[str]]

_HEADER = (
    "longsynth cohort schema. Edit it, then run `longsynth check` against your tables.",
    "kind: continuous, count, binary, ordinal (levels in order), categorical or date.",
    "bounds: [lower, upper], either may be null. decimals: places that values are recorded with.",
    "relative_to: the column with the date that a date is counted from; calendar: the date itself is learnt.",
    "inferred: what was read off the data. Take an entry out once it is confirmed from outside the data.",
)
_EXPLANATIONS = {
    "time_unit": "Of visit times and durations: minutes, hours, days, weeks, months or years.",
    "visit_time": "kind: number (time since baseline), date or datetime (then origin names the baseline date).",
    "terminal_event": "The end of follow-up. Event 0 = censored; event_types names the other codes.",
    "static": "Static attributes: one value a patient, known at baseline.",
    "channels": "Channels: at most one value a visit.",
    "constraints": "Rules that every synthetic patient obeys.",
}


def read_schema(path: str | Path) -> Schema:
    """Read a schema file.

    Parameters
    ----------
    path : str or Path
        A YAML file as written by `write_schema` or by hand.

    Returns
    -------
    Schema

    Raises
    ------
    SchemaError
        If there is no such file, it is no YAML, repeats a key, is of another version, or contradicts itself. The
        message names the file, each field and what to do.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SchemaError(
            f"{path}: no such file; `longsynth infer-schema` proposes a schema from your tables"
        ) from None
    except UnicodeDecodeError:
        raise SchemaError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        document = parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise SchemaError(f"{path}{line}: {error.problem}; correct the YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path}: not a YAML text file; `longsynth infer-schema` writes one") from error
    return parse_schema(document, source=str(path))


def parse_schema(document: Any, *, source: str) -> Schema:
    """Return the schema that a document (nested dicts and lists, as from YAML or JSON) describes.

    Parameters
    ----------
    document : object
        The parsed file.
    source : str
        What to call it in an error.

    Returns
    -------
    Schema

    Raises
    ------
    SchemaError
        With one line for each field that is wrong.
    """
    if not isinstance(document, dict):
        raise SchemaError(f"{source}: not a schema; it must be a mapping with patient_id, static, channels, ...")
    version = document.get("version", VERSION)
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        remedy = "upgrade longsynth" if newer else f"set `version: {VERSION}`"
        raise SchemaError(
            f"{source}: schema version {version!r} is not known (this longsynth reads {VERSION}); {remedy}"
        )
    try:
        return Schema.model_validate(document)
    except ValidationError as error:
        raise SchemaError("\n- ".join([f"{source}: correct these fields:", *readable_problems(error)])) from None


def write_schema(schema: Schema, path: str | Path, *, comments: Comments | None = None) -> Path:
    """Write a schema file with comments that explain its fields.

    Parameters
    ----------
    schema : Schema
    path : str or Path
        The file; written whole or not at all, and replaced if it exists.
    comments : mapping of tuple of str to list of str, or None
        Lines to put above a section (``("static",)``) or a column (``("static", "age")``), or at the top (``()``).
        `longsynth.schema.infer.propose` makes them. None: only the comments that explain the fields.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SchemaError
        If the file cannot be written.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(schema_text(schema, comments=comments), encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SchemaError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def schema_text(schema: Schema, *, comments: Comments | None = None) -> str:
    """Return the text that `write_schema` writes."""
    notes = comments or {}
    pieces = [_comment([*_HEADER, *notes.get((), ())])]
    for section in Schema.model_fields:
        block = _section(schema, section, notes)
        lines = [*notes.get((section,), ())]
        if block and section in _EXPLANATIONS:
            lines.insert(0, _EXPLANATIONS[section])
        pieces.append(_comment(lines) + block)
    return "\n".join(piece for piece in pieces if piece)


def _section(schema: Schema, name: str, notes: Comments) -> str:
    """Return one section of the file without the comment above it; nothing if it is empty."""
    value = getattr(schema, name)
    if value is None or (not value and name != "version"):
        return ""
    if name in ("static", "channels"):
        columns = [
            _comment(notes.get((name, column), ()), indent="  ")
            + yaml_text({name: {column: _facts(facts)}}).split("\n", 1)[1]
            for column, facts in value.items()
        ]
        return f"{name}:\n" + "".join(columns)
    if name == "constraints":
        return yaml_text({name: [FlowMapping(constraint.model_dump()) for constraint in value]})
    return yaml_text({name: _facts(value) if isinstance(value, BaseModel) else value})


def _facts(part: BaseModel) -> dict[str, Any]:
    """Return what a person must see of a part of the schema: the kind, event types, and all that is not the default."""
    facts = {}
    for name, value in part:
        if name in ("kind", "event_types") or value != type(part).model_fields[name].default:
            facts[name] = FlowSequence(map(_plain, value)) if isinstance(value, tuple) else value
    return facts


def _plain(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return int(value) if whole else value


def _comment(lines: Iterable[str], indent: str = "") -> str:
    parts = (part for line in lines for part in line.splitlines())
    printable = ("".join(c if c.isprintable() else " " for c in part) for part in parts)
    return "".join(f"{indent}# {part}".rstrip() + "\n" for part in printable)


def readable_problems(error: ValidationError) -> list[str]:
    """Return what pydantic found wrong with a schema as lines for people, without the input's values."""
    return list(dict.fromkeys(_readable(problem) for problem in error.errors(include_url=False)))


def _readable(problem: Any) -> str:
    location, message = problem["loc"], problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = _FIELDS.get(location[0] if len(location) > 1 else "", ())
        nearest = difflib.get_close_matches(str(location[-1]), known, n=1)
        message = "is no field of a schema; " + (f"did you mean `{nearest[0]}`?" if nearest else "remove it")
    elif problem["type"] == "missing":
        message = "is missing; add it"
    elif location[-1:] == ("[key]",):
        location, message = location[:-1], "names must be text; put the name in quotes"
    elif len(location) > 3 and location[2] in _LISTS:
        location, message = location[:4], _LISTS[location[2]]
    return " > ".join(map(str, location)) + ": " * bool(location) + message


_COLUMN_FIELDS = tuple(Column.model_fields)
_FIELDS = {
    "": tuple(Schema.model_fields),
    "static": _COLUMN_FIELDS,
    "channels": _COLUMN_FIELDS,
    "visit_time": tuple(VisitTime.model_fields),
    "terminal_event": tuple(TerminalEvent.model_fields),
}
_LISTS = {
    "bounds": "must be a number, a date or null",
    "levels": "must be text, a number, true or false",
}
