"""Every kind of bad table is refused with what, where, how many and what to do, and without showing a patient."""

import datetime as dt

import pandas as pd
import polars as pl
import pytest

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import CohortError
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

SECRETS = ("zebra", "73.125", "7777", "4321")
IDS = ["zebra1", "zebra2", "zebra3"]


def schema(**changes) -> Schema:
    parts = {
        "visit_time": VisitTime(column="day"),
        "terminal_event": TerminalEvent(duration="end", event="status", event_types={1: "death"}),
        "static": {"age": StaticColumn(kind="continuous"), "entry": StaticColumn(kind="date")},
        "channels": {"bili": Channel(kind="continuous"), "stage": Channel(kind="ordinal", levels=(1, 2, 3))},
    }
    return Schema(**(parts | changes))


def static(**changes) -> pl.DataFrame:
    columns = {
        "patient_id": IDS,
        "age": [73.125, 50.0, 41.5],
        "entry": [dt.date(2020, 1, 1)] * 3,
        "end": [100, 200, 7777],
        "status": [1, 0, 0],
    }
    return pl.DataFrame(columns | changes, strict=False)


def visits(**changes) -> pl.DataFrame:
    columns = {
        "patient_id": ["zebra1", "zebra1", "zebra2", "zebra3"],
        "day": [0, 50, 0, 4321],
        "bili": [1.0, 73.125, None, 2.0],
        "stage": [1, 2, 2, 3],
    }
    return pl.DataFrame(columns | changes, strict=False)


def refused(static_table, visit_table, asked: Schema, **options) -> str:
    with pytest.raises(CohortError) as caught:
        Cohort(static_table, visit_table, schema=asked, **options)
    message = str(caught.value)
    assert not any(secret in message for secret in SECRETS), "a patient is shown"
    assert caught.value.__cause__ is None, "the cause may show a patient"
    return message


def test_the_tables_that_the_cases_below_break_are_valid():
    assert Cohort(static(), visits(), schema=schema()).n_visits == 4


STATIC_CASES = [
    (
        {"patient_id": ["zebra1", "zebra1", "zebra3"]},
        "static.patient_id: 1 row with the id of another row; keep one row",
    ),
    ({"patient_id": ["zebra1", "zebra2", None]}, "static.patient_id: 1 row without a patient id"),
    ({"patient_id": ["zebra1", "zebra2", ""]}, "static.patient_id: 1 row without a patient id"),
    ({"patient_id": [1.5, 2.0, 3.0]}, "static.patient_id: patient ids of type float64"),
    ({"age": ["73.125", "old", "very"]}, "static.age: 2 rows with text that is not a number"),
    ({"age": [float("inf"), 1.0, float("-inf")]}, "static.age: 2 rows with an infinite value"),
    ({"age": [dt.date(2020, 1, 1)] * 3}, "static.age: is of type date, not a number"),
    ({"entry": ["2020-01-01", "2020-13-01", "01/02/2020"]}, "static.entry: 2 rows with text that is not an ISO date"),
    ({"entry": [7777, 1, 2]}, "static.entry: is of type int64, not a date"),
    ({"entry": [dt.datetime(2020, 1, 1, 5)] * 3}, "static.entry: 3 rows with a time of day"),
    ({"entry": ["2020-01-01T05:00Z", "2020-01-01T05:00+02:00", None]}, "static.entry: mixed time zones"),
    ({"entry": ["2020-01-01T05:00Z", "2020-01-01T05:00", None]}, "static.entry: mixed time zones"),
    ({"end": [-1, 200, 7777]}, "static.end: 1 row with a negative duration"),
    ({"end": [None, None, 7777]}, "static.end: 2 rows without a duration"),
    ({"end": [100, 200, float("inf")]}, "static.end: 1 row with an infinite value"),
    ({"end": ["100", "long", "7777"]}, "static.end: 1 row with text that is not a number"),
    ({"status": [1, None, 0]}, "static.status: 1 row without an event type; write 0 for censored"),
    ({"status": [1, 4321, -1]}, "static.status: 2 rows with an event type other than 0, 1; correct it, or add it"),
    ({"status": [0.5, 0, 1]}, "static.status: 1 row with no whole number"),
    ({"status": ["died", "0", "1"]}, "static.status: 1 row with text that is not a number"),
]

VISIT_CASES = [
    ({"patient_id": ["zebra1", "zebra1", "zebra2", "zebra9"]}, "visits.patient_id: 1 row of patients who are not in"),
    ({"patient_id": [None, "zebra1", "zebra2", "zebra3"]}, "visits.patient_id: 1 row without a patient id"),
    ({"day": [None, None, 0, 4321]}, "visits.day: 2 rows without a visit time"),
    ({"day": [50, 50, 0, 4321]}, "visits.day: 1 row with the patient and time of another row"),
    ({"day": [-1, 50, -2, 4321]}, "visits.day: 2 rows before baseline"),
    ({"day": [0, 101, 201, 4321]}, "visits.day: 2 rows after the end of follow-up; drop them with --drop-after-event"),
    ({"day": ["0", "50", "soon", "4321"]}, "visits.day: 1 row with text that is not a number"),
    ({"day": [dt.date(2020, 1, 1)] * 4}, "visits.day: is of type date, not a number"),
    ({"bili": ["1,5", "73.125", None, "2"]}, "visits.bili: 1 row with text that is not a number"),
    ({"bili": [1.0, float("inf"), None, 2.0]}, "visits.bili: 1 row with an infinite value"),
    ({"stage": [1, 2, 2, 4321]}, "visits.stage: 1 row with a value that is none of the levels; correct it, or add it"),
    ({"stage": [1.0, 2.5, 2.0, 3.0]}, "visits.stage: 1 row with a value that is none of the levels"),
    ({"stage": ["I", "II", "2", "3"]}, "visits.stage: 2 rows with text that is not a number"),
    ({"bili": [[1.0], [2.0], None, None]}, "visits.bili: columns of type List"),
]


@pytest.mark.parametrize(("changes", "complaint"), STATIC_CASES)
def test_bad_static_table_is_refused(changes, complaint):
    assert complaint in refused(static(**changes), visits(), schema())


@pytest.mark.parametrize(("changes", "complaint"), VISIT_CASES)
def test_bad_visits_table_is_refused(changes, complaint):
    assert complaint in refused(static(), visits(**changes), schema())


@pytest.mark.parametrize(
    ("channel", "values", "complaint"),
    [
        (Channel(kind="continuous", bounds=(1.5, None)), [1.0, 2.0, 3.0, 4.0], "1 row below the lower bound"),
        (Channel(kind="continuous", bounds=(None, 2)), [1.0, 73.125, 3.0, None], "2 rows above the upper bound"),
        (
            Channel(kind="continuous", decimals=1),
            [1.1, 1.25, 73.125, 3.0],
            "2 rows with more decimal places than `decimals`",
        ),
        (
            Channel(kind="continuous", decimals=-1),
            [10.0, 20.0, 25.0, 4320.0],
            "1 row with more decimal places than `decimals`",
        ),
        (Channel(kind="count"), [1.0, 2.5, -1.0, 0.0], "2 rows with no whole number of at least 0"),
        (Channel(kind="count"), [1, 2, -4321, 0], "1 row with no whole number of at least 0"),
        (
            Channel(kind="date", bounds=(dt.date(2020, 1, 1), dt.date(2020, 12, 31))),
            [dt.date(2019, 12, 31), dt.date(2020, 1, 1), dt.date(2020, 12, 31), None],
            "1 row below the lower bound",
        ),
        (Channel(kind="categorical", levels=("u", "v")), ["u", "v", "w", None], "1 row with a value that is none"),
        (Channel(kind="categorical", levels=("1", "2")), [1, 2, 1, 2], "is of type int64, but its levels are text"),
        (Channel(kind="binary", levels=(0, 1)), [0, 1, 2, None], "1 row with a value that is none of the levels"),
    ],
)
def test_values_that_contradict_their_column_are_refused(channel, values, complaint):
    message = refused(static(), visits(bili=values), schema(channels={"bili": channel}))
    assert f"visits.bili: {complaint}" in message


@pytest.mark.parametrize("value", [0.1, 0.3, 2.2, 1234567.8, 9.9e11])
def test_numbers_with_the_declared_decimals_pass_in_spite_of_float_rounding(value):
    values = [value, value + 0.1, value * 3, round(value / 3, 1)]
    channels = {"bili": Channel(kind="continuous", decimals=1)}
    assert Cohort(static(), visits(bili=values), schema=schema(channels=channels)).n_visits == 4
    single = visits(bili=values).with_columns(pl.col("bili").cast(pl.Float32))
    assert Cohort(static(), single, schema=schema(channels=channels)).n_visits == 4


CHANNELS = {
    "x": Channel(kind="continuous"),
    "y": Channel(kind="continuous"),
    "grade": Channel(kind="ordinal", levels=("low", "mid", "high")),
    "state": Channel(kind="binary", levels=(0, 1)),
}


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (Monotone(channel="x"), [1.0, None, 1.0, 0.5, 2.0], [1.0, None, 0.9, 0.5, 2.0]),
        (Monotone(channel="x", direction="decreasing"), [3.0, 3.0, 1.0, 2.0, 1.0], [3.0, 3.5, 1.0, 2.0, 1.0]),
        (Monotone(channel="grade"), ["low", None, "high", "mid", "high"], ["mid", None, "low", "low", "high"]),
        (Absorbing(channel="state", level=1), [0, 1, 1, 0, 0], [1, None, 0, 0, 0]),
        (
            Absorbing(channel="grade", level="high"),
            ["low", "mid", "low", "mid", "high"],
            ["low", "high", "mid", None, "low"],
        ),
        (Constant(channel="x"), [1.0, None, 1.0, 2.0, 2.0], [1.0, None, 1.5, 2.0, 2.0]),
        (Ordered(lower="x", upper="y"), [1.0, None, 9.0, 2.0, 8.0], [9.5, None, 9.0, 2.0, 8.0]),
    ],
)
def test_constraints_are_checked_within_each_patient(constraint, good, bad):
    asked = schema(channels=CHANNELS, constraints=(constraint,))
    column = getattr(constraint, "channel", "x")

    def table(values: list) -> pl.DataFrame:
        columns = {"x": 1.0, "y": 9.0, "grade": "low", "state": 0}
        return pl.DataFrame(
            {"patient_id": ["zebra1"] * 3 + ["zebra2"] * 2, "day": [0, 10, 20, 0, 10], column: values}
        ).with_columns(**{name: pl.lit(value) for name, value in columns.items() if name != column})

    assert Cohort(static(), table(good), schema=asked).n_visits == 5
    shuffled = table(good).sample(fraction=1, shuffle=True, seed=1)
    assert Cohort(static(), shuffled, schema=asked).n_visits == 5
    message = refused(static(), table(bad), asked)
    assert message.startswith(f"visits.{column}")
    assert "1 row" in message and f"remove the {constraint.rule} constraint" in message


def test_order_of_static_dates_is_checked():
    columns = {"entry": StaticColumn(kind="date"), "birth": StaticColumn(kind="date")}
    asked = schema(static=columns, constraints=(Ordered(lower="birth", upper="entry"),))
    births = [dt.date(1950, 1, 1), dt.date(2021, 1, 1), None]
    message = refused(static().with_columns(birth=pl.Series(births)), visits(), asked)
    assert message.startswith("static.birth and entry: 1 row in the wrong order")


def test_everything_that_is_wrong_is_reported_at_once():
    message = refused(static(end=[-1, 200, None], status=[1, 9, 0]), visits(day=[0, 0, 300, 1]), schema())
    assert message.startswith("the tables do not fit the schema:\n- ")
    assert message.count("\n- ") == 5
    many = {f"channel {i}": Channel(kind="continuous") for i in range(30)}
    message = refused(static(), visits(), schema(channels=many))
    assert message.count("there is no column") == 20 and message.endswith("... and 10 more")


def test_missing_column_suggests_a_close_name():
    message = refused(static().rename({"status": "statuss"}), visits().drop("bili"), schema())
    assert "static: there is no column 'status'; did you mean 'statuss'?" in message
    assert "visits: there is no column 'bili'; add it, or correct the schema" in message


@pytest.mark.parametrize(
    ("tables", "asked", "complaint"),
    [
        ((static().clear(), visits()), schema(), "static: the table has no rows"),
        ((static(), visits().clear()), schema(), "visits: the table has no rows"),
        ((static(), None), schema(), "there is no visits table"),
        ((static(), visits()), schema(visit_time=None, channels={}), "the schema has no visit_time"),
        (([1, 2], visits()), schema(), "the static table is a list; give a pandas or polars data frame"),
    ],
)
def test_missing_and_empty_tables_are_refused(tables, asked, complaint):
    assert complaint in refused(*tables, asked)


def test_unknown_origin_is_refused():
    assert "origin must be" in refused(static(), visits(), schema(), origin="fake")


def dated_schema(kind: str = "date") -> Schema:
    time = VisitTime(column="day", kind=kind, origin="entry")
    return schema(visit_time=time, terminal_event=TerminalEvent(duration="end", event="status", kind=kind))


def dated_tables(kind: str = "date") -> tuple[pl.DataFrame, pl.DataFrame]:
    dates = (
        static().with_columns(end=pl.date(2020, 12, 31)),
        visits().with_columns(day=pl.date(2020, pl.col("stage"), 1)),
    )
    if kind == "date":
        return dates
    times = pl.col("entry", "end").cast(pl.Datetime("us"))
    return dates[0].with_columns(times), dates[1].with_columns(pl.col("day").cast(pl.Datetime("us")))


def test_visits_without_a_baseline_date_are_refused():
    static_table, visit_table = dated_tables()
    bare = static_table.with_columns(entry=pl.Series([None, dt.date(2020, 1, 1), dt.date(2020, 1, 1)]))
    message = refused(bare, visit_table, dated_schema())
    assert "visits.day: 2 rows of patients without a baseline date; fill in static.entry" in message
    assert "static.end: 1 row without a duration" in message
    assert "without a visit time" not in message


@pytest.mark.parametrize(
    ("days", "complaint"),
    [
        ([0, 50, 0, 4321], "visits.day: is of type int64, not a date"),
        ([dt.date(2019, 1, 1), dt.date(2020, 1, 1), dt.date(2020, 1, 1), None], "visits.day: 1 row before baseline"),
        (
            [dt.date(2019, 1, 1), dt.date(2020, 1, 1), dt.date(2020, 1, 1), None],
            "visits.day: 1 row without a visit time",
        ),
        ([dt.date(2021, 1, 1), *[dt.date(2020, 1, 1)] * 3], "visits.day: 1 row after the end of follow-up"),
        ([dt.datetime(2020, 1, 1, 7), None, None, None], "visits.day: 1 row with a time of day; take it off"),
    ],
)
def test_bad_visit_dates_are_refused(days, complaint):
    static_table, visit_table = dated_tables()
    assert complaint in refused(static_table, visit_table.with_columns(day=pl.Series(days)), dated_schema())


def test_time_zones_that_differ_between_columns_are_refused():
    static_table, visit_table = dated_tables("datetime")
    zoned = visit_table.with_columns(pl.col("day").dt.replace_time_zone("UTC"))
    message = refused(static_table, zoned, dated_schema("datetime"))
    assert message == (
        "visits.day, static.entry: mixed time zones; convert them all to one zone, or leave the zone out"
    )


def test_pandas_columns_of_mixed_types_or_zones_are_refused():
    mixed = static().to_pandas().astype({"age": object})
    mixed.loc[0, "age"] = "73.125"
    assert "static.age: values of different types in one column" in refused(mixed, visits(), schema())
    zones = [
        pd.Timestamp("2020-01-01", tz="UTC"),
        pd.Timestamp("2020-01-01", tz="Asia/Tokyo"),
        pd.Timestamp("2020-01-01"),
    ]
    frame = static().to_pandas().assign(entry=pd.Series(zones, dtype=object))
    assert "static.entry: mixed time zones" in refused(frame, visits(), schema())
    twice = pd.concat([static().to_pandas(), static().to_pandas()[["age"]]], axis=1)
    assert "static table has two columns of the same name" in refused(twice, visits(), schema())


def test_what_is_odd_but_no_error_is_noted():
    cohort = Cohort(
        static(status=0).with_columns(site=1),
        visits(bili=pl.Series([None] * 4, dtype=pl.Float64), stage=2).filter(pl.col("patient_id") != "zebra2"),
        schema=schema(),
    )
    assert cohort.notes == (
        "static: not in the schema, left out: site",
        "static: only 3 patients; they say little about their population",
        "static.status: every patient is censored; no event is observed",
        "static: 1 patient without a visit",
        "static.entry: one value in every row",
        "visits.bili: never observed",
        "visits.stage: one value in every row",
    )
    assert not any(secret in note for note in cohort.notes for secret in SECRETS)


def test_values_beyond_inferred_facts_are_noted_and_not_refused():
    beyond = Channel(kind="continuous", bounds=(0, 2), decimals=0, inferred=("bounds", "decimals"))
    cohort = Cohort(static(), visits(), schema=schema(channels={"bili": beyond}))
    assert "visits.bili: 1 row above the upper bound; correct them, or widen `bounds`" in cohort.notes
    assert "visits.bili: 1 row with more decimal places than `decimals`; round them, or raise it" in cohort.notes
