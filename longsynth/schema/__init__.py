"""The schema of a cohort: types, inference from data, and YAML files."""

from longsynth.schema.files import parse_schema, read_schema, write_schema
from longsynth.schema.infer import infer_schema, propose
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
    "infer_schema",
    "parse_schema",
    "propose",
    "read_schema",
    "write_schema",
]
