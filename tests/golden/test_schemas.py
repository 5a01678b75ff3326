"""The published JSON Schema equals the code, and the example schemas obey it and can be read."""

import json
from pathlib import Path

import jsonschema
import pytest

from longsynth.cohort.datasets import load_pbc
from longsynth.schema import read_schema
from longsynth.schema.files import schema_text
from longsynth.schema.json_schema import cohort_json_schema, json_schema_text
from longsynth.schema.yaml_text import parse_yaml

SCHEMAS = Path(__file__).parents[2] / "schemas"
EXAMPLES = sorted(SCHEMAS.glob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(
    cohort_json_schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def as_json(text: str):
    """What a JSON Schema sees of a YAML text: dates as text, all keys text."""
    return json.loads(json.dumps(parse_yaml(text), default=str))


def test_the_published_json_schema_equals_the_code():
    published = (SCHEMAS / "cohort-schema.json").read_text(encoding="utf-8")
    assert published == json_schema_text(), "write json_schema_text() to schemas/cohort-schema.json"


def test_the_json_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(cohort_json_schema())


def test_all_examples_are_there():
    assert [path.stem for path in EXAMPLES] == ["cross_sectional", "dates", "events_only", "pbc", "trial"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_obey_the_json_schema_and_read(path):
    VALIDATOR.validate(as_json(path.read_text(encoding="utf-8")))
    schema = read_schema(path)
    VALIDATOR.validate(as_json(schema_text(schema)))


def test_the_examples_use_every_word_of_the_format():
    text = "\n".join(path.read_text(encoding="utf-8") for path in EXAMPLES)
    kinds = ["continuous", "count", "binary", "ordinal", "categorical", "date"]
    assert all(f"kind: {kind}" in text for kind in kinds)
    assert all(f"rule: {rule}" in text for rule in ("monotone", "absorbing", "ordered", "constant"))


def test_the_pbc_example_is_the_schema_of_the_cohort_that_ships():
    assert read_schema(SCHEMAS / "pbc.yaml") == load_pbc().schema


@pytest.mark.parametrize(
    "wrong",
    [
        "static: {age: {kind: number}}",
        "static: {age: {kind: count, bound: [0, 1]}}",
        "static: {age: {kind: count, bounds: [0]}}",
        "visit_time: {kind: date}",
        "time_unit: fortnights",
        "version: 2",
        "constraints: [{rule: constant}]",
        "channels: [age]",
    ],
)
def test_the_json_schema_refuses(wrong):
    assert not VALIDATOR.is_valid(as_json(wrong))
