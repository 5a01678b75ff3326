import datetime as dt
import json
import math

import pytest
from pydantic import ValidationError

from longsynth.schema.reference_dates import reference_of_channel, reference_of_static
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

NUMBER, DATE = {"kind": "continuous"}, {"kind": "date"}
DAY = {"visit_time": {"column": "day"}}


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ({"kind": "colour"}, "Input should be 'continuous'"),
        ({"kind": "continuous", "colour": 1}, "Extra inputs are not permitted"),
        ({"kind": "continuous", "levels": (1, 2)}, "a continuous column takes bounds, not levels"),
        (
            {"kind": "binary", "levels": (0, 1), "bounds": (0, 1)},
            "a binary column takes levels, not bounds or decimals",
        ),
        (
            {"kind": "ordinal", "levels": (0, 1), "decimals": 1},
            "an? ordinal column takes levels, not bounds or decimals",
        ),
        ({"kind": "categorical"}, "a categorical column needs its levels"),
        ({"kind": "categorical", "levels": ()}, "a categorical column needs its levels"),
        ({"kind": "binary", "levels": (0, 1, 2)}, "a binary column needs exactly two levels"),
        ({"kind": "binary", "levels": (0,)}, "a binary column needs exactly two levels"),
        ({"kind": "ordinal", "levels": (0, 1, 1.0)}, "levels are listed twice"),
        ({"kind": "ordinal", "levels": (1, True)}, "levels are listed twice"),
        ({"kind": "ordinal", "levels": ("a", "a")}, "levels are listed twice"),
        ({"kind": "ordinal", "levels": (1, "two")}, "levels must be all text or all numbers"),
        ({"kind": "categorical", "levels": ("", "a")}, "cannot be levels"),
        ({"kind": "ordinal", "levels": (0, math.inf)}, "cannot be levels"),
        ({"kind": "count", "decimals": 0}, "decimals are for continuous columns"),
        ({"kind": "continuous", "bounds": (2, 1)}, "lower < upper"),
        ({"kind": "continuous", "bounds": (1, 1)}, "lower < upper"),
        ({"kind": "continuous", "bounds": (0, math.inf)}, "write null for no limit"),
        ({"kind": "continuous", "bounds": (dt.date(2020, 1, 1), None)}, "bounds must be dates for a date column"),
        ({"kind": "date", "bounds": (0, 1)}, "bounds must be dates for a date column"),
        ({"kind": "date", "bounds": (dt.date(2020, 1, 1), dt.datetime(2021, 1, 1))}, "both dates, or both datetimes"),
        ({"kind": "continuous", "inferred": ("unit",)}, "inferred.0"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(facts, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Column(**facts)


def test_columns_keep_what_they_are_told():
    assert Column(kind="continuous", bounds=(0, None), decimals=-1).bounds == (0, None)
    assert Column(kind="ordinal", levels=(0, 0.5, 1)).levels == (0, 0.5, 1)
    assert [type(level) for level in Column(kind="binary", levels=(False, True)).levels] == [bool, bool]
    assert [type(level) for level in Column(kind="binary", levels=(0, 1)).levels] == [int, int]
    assert Column(kind="categorical", levels=("1", "2")).levels == ("1", "2")
    day = dt.date(2020, 1, 1)
    assert Column(kind="date", bounds=(day, None)).bounds == (day, None)


def test_a_schema_cannot_be_changed():
    schema = Schema(static={"age": StaticColumn(kind="continuous")})
    with pytest.raises(ValidationError, match="frozen"):
        schema.time_unit = "weeks"


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"channels": {"x": NUMBER}}, "channels need a visit_time"),
        ({"static": {"patient_id": NUMBER}}, "used twice in the static table"),
        ({"static": {"end": NUMBER}, "terminal_event": {"duration": "end", "event": "e"}}, "used twice in the static"),
        ({**DAY, "channels": {"day": NUMBER}}, "used twice in the visits table"),
        ({"visit_time": {"column": "patient_id"}}, "used twice in the visits table"),
        ({"static": {"": NUMBER}}, "a column name cannot be empty"),
        ({"static": {"*": NUMBER}}, "a column name cannot be empty"),
        ({**DAY, "channels": {"^x.*$": NUMBER}}, "a column name cannot be empty"),
        ({"time_unit": "fortnights"}, "time_unit"),
        ({"version": 2}, "version"),
        ({"visit_time": {"column": "day", "kind": "date"}}, "that are dates need `origin`"),
        ({"visit_time": {"column": "day", "kind": "date", "origin": "entry"}}, "that are dates need `origin`"),
        (
            {"visit_time": {"column": "day", "kind": "date", "origin": "entry"}, "static": {"entry": NUMBER}},
            "that are dates need `origin`",
        ),
        ({"visit_time": {"column": "day", "origin": "entry"}, "static": {"entry": DATE}}, "have no origin"),
        (
            {**DAY, "terminal_event": {"duration": "end", "event": "e", "kind": "date"}},
            "duration of kind date needs visit times of the same kind",
        ),
        (
            {
                "visit_time": {"column": "day", "kind": "date", "origin": "entry"},
                "static": {"entry": DATE},
                "terminal_event": {"duration": "end", "event": "e", "kind": "datetime"},
            },
            "duration of kind datetime needs visit times of the same kind",
        ),
        ({"terminal_event": {"duration": "e", "event": "e"}}, "duration and event are the same column"),
        ({"terminal_event": {"duration": "d", "event": "e", "event_types": {}}}, "one or more positive codes"),
        ({"terminal_event": {"duration": "d", "event": "e", "event_types": {0: "none"}}}, "0 always means censored"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(parts, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Schema.model_validate(parts)


CHANNELS = {
    "x": Channel(kind="continuous"),
    "y": Channel(kind="count"),
    "when": Channel(kind="date"),
    "state": Channel(kind="binary", levels=(0, 1)),
    "site": Channel(kind="categorical", levels=("u", "v")),
}


@pytest.mark.parametrize(
    ("constraint", "complaint"),
    [
        (Monotone(channel="z"), "names a channel that is not in the schema"),
        (Monotone(channel="age"), "names a channel that is not in the schema"),
        (Monotone(channel="site"), "a monotone channel must have an order"),
        (Constant(channel="z"), "names a channel that is not in the schema"),
        (Absorbing(channel="state", level=2), "names a level that the channel does not have"),
        (Absorbing(channel="x", level=1), "names a level that the channel does not have"),
        (Ordered(lower="x", upper="age"), "needs two static columns or two channels"),
        (Ordered(lower="x", upper="state"), "needs two numeric columns, or two dates"),
        (Ordered(lower="x", upper="when"), "needs two numeric columns, or two dates"),
    ],
)
def test_constraints_that_make_no_sense_are_refused(constraint, complaint):
    static = {"age": StaticColumn(kind="continuous")}
    with pytest.raises(ValidationError, match=complaint):
        Schema(visit_time=VisitTime(column="day"), static=static, channels=CHANNELS, constraints=(constraint,))


def test_a_full_schema_survives_json():
    schema = Schema(
        patient_id="id",
        time_unit="hours",
        visit_time=VisitTime(column="when seen", kind="datetime", origin="entry", origin_is_first_visit=True),
        terminal_event=TerminalEvent(
            duration="end", event="why", kind="datetime", event_types={1: "death", 3: "moved"}
        ),
        static={
            "entry": StaticColumn(kind="date", bounds=(dt.date(2020, 1, 1), None), inferred=("bounds",)),
            "birth": StaticColumn(kind="date"),
        },
        channels=CHANNELS,
        constraints=(
            Monotone(channel="y", direction="decreasing"),
            Absorbing(channel="state", level=1),
            Ordered(lower="birth", upper="entry"),
            Ordered(lower="x", upper="y"),
            Constant(channel="site"),
        ),
    )
    assert Schema.model_validate(json.loads(schema.model_dump_json())) == schema
    assert schema.event_columns == ("end", "why")
    assert Schema().event_columns == ()


DATES = {
    "visit_time": {"column": "seen", "kind": "date", "origin": "entry"},
    "static": {"entry": DATE, "birth": DATE},
    "channels": {"sampled": DATE},
}


def test_where_visits_are_dates_others_follow_the_visit_or_the_baseline():
    constant = [{"rule": "constant", "channel": "operated"}]
    schema = Schema.model_validate(
        DATES | {"channels": {"sampled": DATE, "operated": DATE, "hb": NUMBER}, "constraints": constant}
    )
    assert {name: reference_of_static(schema, name) for name in schema.static} == {"entry": None, "birth": "entry"}
    channels = {name: reference_of_channel(schema, name) for name in schema.channels}
    assert channels == {"sampled": "seen", "operated": "entry", "hb": None}


def test_where_visits_are_numbers_dates_follow_what_the_schema_names():
    static = {"entry": DATE, "birth": {**DATE, "relative_to": "entry"}}
    schema = Schema.model_validate({**DAY, "static": static, "channels": {"sampled": DATE}})
    assert [reference_of_static(schema, name) for name in schema.static] == [None, "entry"]
    assert reference_of_channel(schema, "sampled") is None


def test_a_date_may_stay_on_the_calendar_or_follow_the_baseline():
    channels = {"sampled": {**DATE, "relative_to": "calendar"}, "scanned": {**DATE, "relative_to": "entry"}}
    static = {"entry": DATE, "opened": {**DATE, "relative_to": "calendar"}, "closed": {**DATE, "relative_to": "opened"}}
    schema = Schema.model_validate(DATES | {"static": static, "channels": channels})
    assert [reference_of_static(schema, name) for name in schema.static] == [None, None, "opened"]
    assert [reference_of_channel(schema, name) for name in schema.channels] == [None, "entry"]


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"static": {"age": {**NUMBER, "relative_to": "entry"}}}, "relative_to is for date columns"),
        ({"static": {"birth": {**DATE, "relative_to": "entry"}}}, "must be `calendar`, a static column of kind date"),
        ({"static": {"birth": {**DATE, "relative_to": "birth"}}}, "cannot be relative_to itself"),
        ({**DAY, "channels": {"scan": {**DATE, "relative_to": "day"}}}, "visit times that are dates"),
        (DATES | {"static": {"entry": {**DATE, "relative_to": "birth"}, "birth": DATE}}, "take its relative_to out"),
        (DATES | {"static": {"entry": DATE, "a": DATE, "b": {**DATE, "relative_to": "a"}}}, "itself relative"),
        (
            DATES
            | {
                "channels": {"sampled": {**DATE, "relative_to": "seen"}},
                "constraints": [{"rule": "constant", "channel": "sampled"}],
            },
            "constant within a patient cannot be relative_to its visits",
        ),
    ],
)
def test_a_date_that_cannot_follow_what_it_names_is_refused(parts, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Schema.model_validate(parts)
