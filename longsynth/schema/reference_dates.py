"""The date that the dates of a column are counted from: their visit, the baseline, another date, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longsynth.schema.types import Schema

CALENDAR = "calendar"


def reference_of_static(schema: Schema, name: str) -> str | None:
    """Return the static date column that a static column is counted from.

    Parameters
    ----------
    schema : Schema
    name : str
        A static column.

    Returns
    -------
    str or None
        What ``relative_to`` says; else the baseline date where visit times are dates. None: it is learnt as calendar
        dates, or is no date.
    """
    column = schema.static[name]
    if column.kind != "date" or column.relative_to == CALENDAR:
        return None
    origin = None if schema.visit_time is None else schema.visit_time.origin
    return column.relative_to or (None if origin == name else origin)


def reference_of_channel(schema: Schema, name: str) -> str | None:
    """Return the column that a channel is counted from: a static date column, or the visit times.

    Parameters
    ----------
    schema : Schema
    name : str
        A channel.

    Returns
    -------
    str or None
        What ``relative_to`` says; else, where visit times are dates, their column: each value counts from its own
        visit. A channel that is constant within a patient counts from the baseline date instead. None: it is learnt as
        calendar dates, or is no date.
    """
    channel, time = schema.channels[name], schema.visit_time
    if channel.kind != "date" or channel.relative_to == CALENDAR:
        return None
    if channel.relative_to is not None or time is None or time.origin is None:
        return channel.relative_to
    return time.origin if _is_constant(schema, name) else time.column


def check_references(schema: Schema) -> None:
    """Raise ``ValueError`` if a ``relative_to`` names what its column cannot be counted from."""
    time = schema.visit_time
    for name in schema.static:
        reference = reference_of_static(schema, name)
        if reference is not None and time is not None and name == time.origin:
            raise ValueError("the origin of visit times is learnt as calendar dates; take its relative_to out")
        if reference == name:
            raise ValueError("a date cannot be relative_to itself")
        _check_calendar(schema, reference)
    for name in schema.channels:
        reference = reference_of_channel(schema, name)
        if time is None or time.kind == "number" or reference != time.column:
            _check_calendar(schema, reference)
        elif _is_constant(schema, name):
            raise ValueError("a channel that is constant within a patient cannot be relative_to its visits")


def _check_calendar(schema: Schema, reference: str | None) -> None:
    """Raise unless there is no reference, or it is a static date that is learnt as calendar dates."""
    if reference is None:
        return
    if reference not in schema.static or schema.static[reference].kind != "date":
        raise ValueError(
            "relative_to must be `calendar`, a static column of kind date or, for a channel, visit times that are dates"
        )
    if reference_of_static(schema, reference) is not None:
        raise ValueError(
            "relative_to names a date that is itself relative to another; name that other date, or set "
            "`relative_to: calendar` for the one named"
        )


def _is_constant(schema: Schema, name: str) -> bool:
    return any(rule.rule == "constant" and rule.channel == name for rule in schema.constraints)
