"""What a schema must say for a private fit, which may take no range, level or precision from the patients for free."""

from __future__ import annotations

import datetime as dt

from longsynth.exceptions import PrivacyError
from longsynth.schema.types import LEVEL_KINDS, Column, Schema, TerminalEvent, VisitTime


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
    if time is not None and (wanted := _facts_of_time(time, schema)):
        found.append(f"visit time '{time.column}': {', '.join(wanted)}")
    if end is not None and (wanted := _facts_of_time(end, schema)):
        found.append(f"duration '{end.duration}': {', '.join(wanted)}")
    if end is not None and "event_types" in end.inferred:
        found.append(f"event '{end.event}': event_types")
    return found


def column_type(column: Column) -> str:
    """Return the polars type that a column is written in, which the types of the tables must not decide.

    A table's types can hang on one patient: a column of a text file is of floats once one value has a decimal point.
    """
    if column.kind == "date":
        bounds = [bound for bound in column.bounds or () if isinstance(bound, dt.datetime)]
        zone = "'UTC'" if any(bound.tzinfo for bound in bounds) else "None"
        return f"Datetime(time_unit='us', time_zone={zone})" if bounds else "Date"
    if column.kind == "count":
        return "Int64"
    if column.kind == "continuous":
        return number_type(column.decimals)
    kinds = {type(level) for level in column.levels or ()}
    if kinds <= {str}:
        return "String"
    return "Boolean" if kinds <= {bool} else "Int64" if kinds <= {bool, int} else "Float64"


def number_type(decimals: int | None) -> str:
    """Return the polars type of numbers with so many decimals: integers where there are none."""
    return "Float64" if (decimals or 0) > 0 else "Int64"


def _facts_of_time(time: VisitTime | TerminalEvent, schema: Schema) -> list[str]:
    wanted: list[str] = [fact for fact in time.inferred if fact in ("kind", "origin")]
    if time.kind == "date":
        return wanted if schema.time_unit == "days" else [*wanted, "`time_unit: days`, since dates are counted in days"]
    return [*wanted, "decimals"] if time.decimals is None or "decimals" in time.inferred else wanted


def _facts(column: Column) -> list[str]:
    wanted: list[str] = [fact for fact in column.inferred if fact != "bounds"]
    if column.kind not in LEVEL_KINDS:
        if column.bounds is None or None in column.bounds or "bounds" in column.inferred:
            wanted.append("bounds (lower and upper)")
        if column.kind == "continuous" and column.decimals is None:
            wanted.append("decimals")
    return wanted
