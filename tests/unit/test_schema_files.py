"""Schema files: what is written reads back equal, and what is wrong is said in words."""

import datetime as dt
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from longsynth.exceptions import SchemaError
from longsynth.schema import parse_schema, propose, read_schema, write_schema
from longsynth.schema.files import schema_text
from longsynth.schema.types import (
    Absorbing,
    Channel,
    Constant,
    Monotone,
    Ordered,
    Schema,
    StaticColumn,
    TerminalEvent,
    VisitTime,
)
from longsynth.schema.yaml_text import parse_yaml

AWKWARD = [
    "no",
    "on",
    "null",
    "~",
    "1",
    "1e5",
    "007",
    "1:30",
    "0x1F",
    "2020-01-01",
    "=",
    "<<",
    "- a",
    "a: b",
    "# c",
    "Ø, å",
]
names = st.one_of(st.sampled_from(AWKWARD), st.text(min_size=1)).filter(
    lambda name: name != "*" and not (name.startswith("^") and name.endswith("$"))
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
moments = st.one_of(
    st.datetimes(min_value=dt.datetime(1800, 1, 1)),
    st.dates(min_value=dt.date(1800, 1, 1)),
    st.just(dt.datetime(2020, 1, 1)),
)


def bounds(values):
    pairs = st.tuples(values, values).filter(lambda pair: type(pair[0]) is type(pair[1]) and pair[0] < pair[1])
    one_sided = values.map(lambda value: (value, None)) | values.map(lambda value: (None, value))
    return st.none() | pairs | one_sided


def levels(least, most):
    texts = st.lists(names, min_size=least, max_size=most, unique=True)
    numeric = st.lists(st.integers(-999, 999) | numbers, min_size=least, max_size=most, unique_by=float)
    return (texts | numeric | st.just([False, True])).map(tuple)


@st.composite
def facts(draw):
    kind = draw(st.sampled_from(["continuous", "count", "binary", "ordinal", "categorical", "date"]))
    found = {"kind": kind, "unit": draw(st.none() | names)}
    if kind in ("binary", "ordinal", "categorical"):
        found["levels"] = draw(levels(2, 2) if kind == "binary" else levels(1, 12))
        found["inferred"] = draw(st.sampled_from([(), ("kind",), ("kind", "levels")]))
    else:
        found["bounds"] = draw(bounds(moments if kind == "date" else numbers))
    if kind == "continuous":
        found["decimals"] = draw(st.none() | st.integers(-3, 8))
    return found


@st.composite
def schemas(draw):
    used = draw(st.lists(names, min_size=5, max_size=9, unique=True))
    patient_id, time, duration, event, *others = used
    dated = draw(st.booleans())
    static = {name: StaticColumn(**draw(facts())) for name in others[:2]}
    channels = {name: Channel(**draw(facts())) for name in others[2:]}
    if dated:
        static["baseline"] = StaticColumn(kind="date")
    rules = [Constant(channel=name) for name in channels]
    rules += [Absorbing(channel=name, level=c.levels[0]) for name, c in channels.items() if c.levels]
    rules += [Monotone(channel=name) for name, c in channels.items() if c.kind != "categorical"]
    return Schema(
        patient_id=patient_id,
        time_unit=draw(st.sampled_from(["minutes", "hours", "days", "weeks", "months", "years"])),
        visit_time=VisitTime(column=time, kind="date", origin="baseline")
        if dated
        else VisitTime(column=time, decimals=2),
        terminal_event=draw(
            st.none() | st.just(TerminalEvent(duration=duration, event=event, event_types={1: "no", 7: "on"}))
        ),
        static=static,
        channels=channels,
        constraints=tuple(rules),
    )


@given(schemas(), st.text())
def test_what_is_written_reads_back_equal(tmp_path_factory, schema, comment):
    path = tmp_path_factory.getbasetemp() / "schema.yaml"
    places = [(), ("static",), ("constraints",), *(("channels", name) for name in schema.channels)]
    write_schema(schema, path, comments={place: [comment] for place in places})
    assert read_schema(path) == schema


@given(schemas())
def test_json_reads_back_equal(schema):
    document = json.loads(json.dumps(schema.model_dump(mode="json")))
    assert parse_schema(document, source="artifact") == schema


@given(schemas())
def test_other_yaml_readers_see_the_same_data(schema):
    text = schema_text(schema)
    assert yaml.safe_load(text) == parse_yaml(text)


def test_the_file_is_made_for_people(tmp_path):
    schema = Schema(
        visit_time=VisitTime(column="day"),
        static={"smoker": StaticColumn(kind="binary", levels=("no", "yes"))},
        channels={"crp": Channel(kind="continuous", unit="mg/L", bounds=(0, 500.0), decimals=1, inferred=("bounds",))},
    )
    text = write_schema(schema, tmp_path / "s.yaml", comments={("channels", "crp"): ["ask the laboratory"]}).read_text()
    assert "  # ask the laboratory\n  crp:\n    kind: continuous\n    unit: mg/L\n    bounds: [0, 500]\n" in text
    assert "    levels: ['no', 'yes']\n" in text
    assert "decimals: 1" in text and "inferred: [bounds]" in text
    assert all(explained in text for explained in ("# kind:", "# bounds:", "# inferred:", "minutes, hours, days"))
    assert "null" not in text.replace("may be null", "")  # no field that says nothing
    assert [file.name for file in tmp_path.iterdir()] == ["s.yaml"]


def test_proposed_constraints_can_be_uncommented(tmp_path):
    import polars as pl

    static = pl.DataFrame({"id": range(30), "age": [40.5, 50.1, 61.7] * 10})
    days = pl.DataFrame(
        {"id": [i for i in range(30) for _ in range(3)], "day": [0, 5, 9] * 30, "stage": [1, 2, 3] * 30}
    )
    proposal = propose(static, days, patient_id="id", visit_time="day")
    path = write_schema(proposal.schema, tmp_path / "s.yaml", comments=proposal.comments)
    assert read_schema(path).constraints == ()
    head, rules = path.read_text().split("# constraints:")
    path.write_text(head + "constraints:" + rules.replace("# - ", "- "))
    assert read_schema(path).constraints == (Monotone(channel="stage"),)


def test_people_write_yes_and_no_unquoted(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "static:\n  smoker: {kind: binary, levels: [no, yes]}\n  ward: {kind: categorical, levels: [01, 1:30]}"
        "\n  dose: {kind: ordinal, levels: [2, 1e3]}"
    )
    schema = read_schema(path)
    assert schema.static["smoker"].levels == ("no", "yes")
    assert schema.static["ward"].levels == ("01", "1:30")
    assert schema.static["dose"].levels == (2, 1000.0)


WRONG = [
    ("static: [age]", r"static: Input should be a valid dictionary"),
    ("static:\n  age: {kind: number}", r"static > age > kind: Input should be 'continuous', 'count'"),
    (
        "static:\n  age: {kind: count, bound: [0, 1]}",
        r"static > age > bound: is no field of a schema; did you mean `bounds`",
    ),
    ("static:\n  age: {unit: years}", r"static > age > kind: is missing; add it"),
    ("static:\n  age: {kind: count, bounds: [young, old]}", r"age > bounds > 0: must be a number, a date or null"),
    (
        "static:\n  age: {kind: count, bounds: [9, 1]}",
        r"static > age: bounds must be \[lower, upper\] with lower < upper",
    ),
    ("static:\n  sex: {kind: binary}", r"static > sex: a binary column needs its levels"),
    ("static:\n  1: {kind: count}", r"static > 1: names must be text; put the name in quotes"),
    ("chanels: {}", r"chanels: is no field of a schema; did you mean `channels`"),
    ("visit_time: {colum: day}", r"visit_time > column: is missing"),
    ("constraints:\n- {rule: monotonic, channel: a}", r"constraints > 0: Input tag"),
    ("channels:\n  hb: {kind: continuous}", r"channels need a visit_time column"),
    ("version: 2", r"version 2 is not known \(this longsynth reads 1\); upgrade longsynth"),
    ("version: one", r"version 'one' is not known .*; set `version: 1`"),
    ("- a\n- b", r"not a schema; it must be a mapping"),
    ("", r"not a schema; it must be a mapping"),
    ("static:\n  a: {kind: count}\n  b: {kind: count}\n  a: {kind: date}", r"s.yaml, line 4: `a` is given twice"),
    ("static: {a: [}", r"s.yaml, line 1: .*correct the YAML"),
    ("a: !!python/object/apply:os.getcwd []", r"could not determine a constructor"),
    ("static: 2020-13-45", r"not a YAML text file|date"),
    ("\x00", r"not a YAML text file"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_said_in_words(tmp_path, text, message):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(SchemaError, match=message) as error:
        read_schema(path)
    assert str(path) in str(error.value)
    assert "pydantic" not in str(error.value) and "input_value" not in str(error.value)


def test_every_wrong_field_is_listed_once(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("time_unit: fortnights\nstatic:\n  age: {kind: number}\n  bmi: {kind: count, bounds: [a, b]}")
    with pytest.raises(SchemaError) as error:
        read_schema(path)
    assert str(error.value).count("\n- ") == 4


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(SchemaError, match=r"none\.yaml: no such file; `longsynth infer-schema`"):
        read_schema(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("static: {größe: 1}".encode("latin-1"))
    with pytest.raises(SchemaError, match="not UTF-8 text"):
        read_schema(tmp_path / "latin.yaml")
    with pytest.raises(SchemaError, match="cannot be read"):
        read_schema(tmp_path)
    with pytest.raises(SchemaError, match="cannot be written"):
        write_schema(Schema(static={"a": StaticColumn(kind="count")}), tmp_path / "no folder" / "s.yaml")


def test_an_unwritable_target_leaves_nothing_behind(tmp_path):
    (tmp_path / "s.yaml").mkdir()
    with pytest.raises(SchemaError, match="cannot be written"):
        write_schema(Schema(), tmp_path / "s.yaml")
    assert [file.name for file in tmp_path.iterdir()] == ["s.yaml"]


def test_ordered_dates_round_trip(tmp_path):
    schema = Schema(
        static={
            "entry": StaticColumn(kind="date", bounds=(dt.date(1999, 1, 1), None)),
            "exit": StaticColumn(kind="date"),
        },
        constraints=(Ordered(lower="entry", upper="exit"),),
    )
    assert read_schema(write_schema(schema, tmp_path / "s.yaml")) == schema
