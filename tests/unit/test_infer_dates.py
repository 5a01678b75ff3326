"""Which date `infer_schema` counts the dates of a column from."""

import datetime as dt

import polars as pl
from dated_worlds import dated_tables

from longsynth.schema import infer_schema, propose
from longsynth.schema.files import parse_schema, schema_text
from longsynth.schema.yaml_text import parse_yaml

NAMES = {"patient_id": "patient_id", "visit_time": "seen", "duration": "end", "event": "status"}


def tables(*dropped: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """80 patients with 4 visits; entry is the baseline, since consent is left out."""
    static, visits = dated_tables([4] * 80, 0)
    return static.drop("consent", *dropped), visits


def references(columns) -> dict[str, str | None]:
    return {name: column.relative_to for name, column in columns.items() if column.kind == "date"}


def test_dates_follow_their_visit_or_the_baseline_unless_the_calendar_says_more():
    schema = infer_schema(*tables(), **NAMES)
    assert references(schema.static) == {"birth": "entry", "entry": None, "cut_off": "calendar"}
    at_visits = dict.fromkeys(("sampled", "reported", "appointment", "last_dose"), "seen")
    assert references(schema.channels) == at_visits | {"operated": "entry"}
    assert schema.static["birth"].inferred == ("kind", "bounds", "relative_to")
    assert schema.static["entry"].inferred == ("kind", "bounds")


def test_a_baseline_that_is_the_first_visit_is_followed_by_its_name():
    schema = infer_schema(*tables("entry"), **NAMES)
    assert schema.visit_time.origin_is_first_visit
    assert references(schema.static) == {
        "birth": "baseline_date",
        "cut_off": "calendar",
        "baseline_date": None,
    }


def test_visits_with_a_time_of_day_are_compared_by_the_day():
    static, visits = dated_tables([4] * 80, 0, kind="datetime")
    schema = infer_schema(static.drop("consent"), visits, **NAMES)
    assert references(schema.channels)["sampled"] == "seen"
    assert references(schema.static)["birth"] == "entry"


def test_without_dates_of_visits_static_dates_follow_the_one_with_the_narrowest_range():
    static, visits = tables("end", "status")
    numbers = visits.select("patient_id", "hb", "sampled", day=pl.int_range(pl.len()).over("patient_id"))
    for schema in (
        infer_schema(static, patient_id="patient_id"),
        infer_schema(static, numbers, patient_id="patient_id", visit_time="day"),
    ):
        assert references(schema.static) == {"birth": "entry", "entry": None, "cut_off": "calendar"}
    assert references(schema.channels) == {"sampled": None}


def test_a_single_date_or_one_that_is_often_missing_is_followed_by_none():
    static, _ = tables("end", "status")
    assert references(infer_schema(static.drop("birth", "cut_off"), patient_id="patient_id").static) == {"entry": None}
    holes = pl.when(pl.int_range(pl.len()) % 2 == 0).then("entry").alias("entry")
    found = references(infer_schema(static.with_columns(holes), patient_id="patient_id").static)
    assert found == {"birth": None, "entry": "birth", "cut_off": "calendar"}


def test_the_file_says_what_each_date_follows_and_reads_again():
    proposal = propose(*tables(), **NAMES)
    text = schema_text(proposal.schema, comments=proposal.comments)
    assert parse_schema(parse_yaml(text), source="text") == proposal.schema
    assert "  # learnt as the time since seen\n  sampled:\n    kind: date\n" in text
    assert "    relative_to: seen\n    inferred: [kind, bounds, relative_to]\n" in text
    assert "  # few different dates: learnt as such, not as the time since entry\n  cut_off:\n" in text


def test_no_comment_shows_a_date():
    static, visits = tables()
    comments = str(propose(static, visits, **NAMES).comments)
    days = {str(day) for table in (static, visits) for column in table.select(pl.col(pl.Date)) for day in column}
    assert not any(day in comments for day in days)
    assert str(dt.date(2023, 6, 30)) in days


def test_a_patient_who_is_there_twice_is_left_to_the_reader_to_refuse():
    static, visits = tables()
    twice = infer_schema(pl.concat([static, static.head(1)]), visits, **NAMES)
    assert references(twice.static) == references(infer_schema(static, visits, **NAMES).static)
