"""The schema of a cohort: types, inference from data, and YAML files."""

from longsynth.schema.types import (
    Absorbing,
    Channel,
    Column,
    Constant,
    Monotone,
    Ordered,
    Schema,
    StaticColumn,
    TerminalEvent,
    VisitTime,
)

__all__ = [
    "Absorbing",
    "Channel",
    "Column",
    "Constant",
    "Monotone",
    "Ordered",
    "Schema",
    "StaticColumn",
    "TerminalEvent",
    "VisitTime",
]
