"""The JSON Schema of schema files, for editors and other tools."""

from __future__ import annotations

import json
from typing import Any

from longsynth.schema.types import Schema


def cohort_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that every schema file obeys.

    Returns
    -------
    dict
        What ``schemas/cohort-schema.json`` publishes. It checks names, types and allowed values; that bounds are in
        order, or that a constraint names a channel, is checked when a file is read.
    """
    document = Schema.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | document | {"title": "longsynth cohort schema"}


def json_schema_text() -> str:
    """Return the text of ``schemas/cohort-schema.json``."""
    return json.dumps(cohort_json_schema(), indent=2, ensure_ascii=False) + "\n"
