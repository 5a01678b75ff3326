"""What a schema must say for a private fit, which may take no range, level or precision from the patients for free."""

from __future__ import annotations

from longsynth.exceptions import PrivacyError
from longsynth.schema.types import LEVEL_KINDS, Column, Schema


def check_declared(schema: Schema) -> None:
    """Raise if the schema leaves open, or has read off the data, what a private fit must be told.

    Raises
    ------
    PrivacyError
        With the list of what to declare.
    """
    missing = undeclared(schema)
    if missing:
        listed = "\n".join(f"  - {line}" for line in missing)
        raise PrivacyError(
            "a private fit must not read these off the patients. Declare them in the schema from what is known without "
            f"the data (protocol, code list, laboratory manual), and take them out of `inferred`:\n{listed}"
        )


def undeclared(schema: Schema) -> list[str]:
    """Return what the schema must still declare, one line a fact."""
    found = []
    for table, columns in (("static", schema.static), ("channels", schema.channels)):
        for name, column in columns.items():
            wanted = _facts(column)
            if wanted:
                found.append(f"{table} column '{name}': {', '.join(wanted)}")
    time, end = schema.visit_time, schema.terminal_event
    if time is not None and time.kind == "number" and time.decimals is None:
        found.append(f"visit time '{time.column}': decimals")
    if end is not None and end.kind == "number" and end.decimals is None:
        found.append(f"duration '{end.duration}': decimals")
    if end is not None and end.inferred:
        found.append(f"event '{end.event}': event_types")
    return found


def _facts(column: Column) -> list[str]:
    wanted: list[str] = [fact for fact in column.inferred if fact != "bounds"]
    if column.kind not in LEVEL_KINDS:
        if column.bounds is None or None in column.bounds or "bounds" in column.inferred:
            wanted.append("bounds (lower and upper)")
        if column.kind == "continuous" and column.decimals is None:
            wanted.append("decimals")
    return wanted
