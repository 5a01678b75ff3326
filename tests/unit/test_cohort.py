import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from awkward import awkward_cohorts, plain_schema, plain_tables
from polars.testing import assert_frame_equal

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import CohortError
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime

AWKWARD = awkward_cohorts()
DATED = ("dates", "datetimes")


def small(visits: dict, channel: Channel, **static: list) -> Cohort:
    schema = Schema(visit_time=VisitTime(column="day"), channels={"x": channel})
    return Cohort(pl.DataFrame({"patient_id": ["a", "b"], **static}), pl.DataFrame(visits), schema=schema)


def test_columns_are_the_schemas_in_order_and_rows_are_sorted():
    static, visits = plain_tables()
    static = static.with_columns(extra=1).select(*reversed(static.columns), "extra")
    cohort = Cohort(static.reverse(), visits.sample(fraction=1, shuffle=True, seed=3), schema=plain_schema())
    assert cohort.static.columns == ["patient_id", "age", "arm", "followup", "status"]
    assert cohort.visits.columns == ["patient_id", "day", "bili", "flares", "grade"]
    assert_frame_equal(cohort.static, AWKWARD["plain"].static)
    assert_frame_equal(cohort.visits, AWKWARD["plain"].visits)
    assert "static: not in the schema, left out: extra" in cohort.notes


def test_input_tables_are_not_changed():
    static, visits = plain_tables()
    before = static.clone(), visits.clone()
    frame = visits.to_pandas()
    Cohort(static.reverse(), visits, schema=plain_schema())
    Cohort(static, frame, schema=plain_schema())
    assert_frame_equal(static, before[0])
    assert_frame_equal(visits, before[1])
    pd.testing.assert_frame_equal(frame, visits.to_pandas())


@pytest.mark.parametrize("name", [name for name in AWKWARD if name not in DATED])
def test_pandas_gives_the_same_cohort_as_polars(name):
    cohort = AWKWARD[name]
    static, visits = cohort.to_pandas()
    again = Cohort(static, visits if cohort.schema.visit_time else None, schema=cohort.schema)
    assert_frame_equal(again.static, cohort.static, check_dtypes=False)
    assert_frame_equal(again.visits, cohort.visits, check_dtypes=False)


@pytest.mark.parametrize("name", DATED)
def test_dates_come_back_from_pandas(name):
    cohort = AWKWARD[name]
    again = Cohort(*cohort.to_pandas(), schema=cohort.schema)
    assert_frame_equal(again.static, cohort.static)
    assert_frame_equal(again.visits, cohort.visits)


@pytest.mark.parametrize("name", AWKWARD)
def test_a_cohort_made_of_its_own_tables_is_the_same(name):
    cohort = AWKWARD[name]
    static, visits = cohort.tables()
    again = Cohort(static, visits, schema=cohort.schema)
    assert_frame_equal(again.static, cohort.static)
    assert_frame_equal(again.visits, cohort.visits)


def test_missing_values_of_every_kind_become_null():
    nan = small({"patient_id": ["a", "b"], "day": [0, 0], "x": [np.nan, 1.5]}, Channel(kind="continuous"))
    text = small({"patient_id": ["a", "b"], "day": ["0", "0"], "x": ["NA", "1.5"]}, Channel(kind="continuous"))
    level = small({"patient_id": ["a", "b"], "day": [0, 0], "x": ["", "u"]}, Channel(kind="categorical", levels=("u",)))
    for cohort in (nan, text, level):
        assert cohort.visits["x"].null_count() == 1
        assert cohort.visits["x"][1] is not None


def test_a_level_that_is_spelled_like_a_missing_value_is_a_level():
    channel = Channel(kind="categorical", levels=("NA", "EU"))
    cohort = small({"patient_id": ["a", "b"], "day": [0, 0], "x": ["NA", ""]}, channel)
    assert cohort.visits["x"].to_list() == ["NA", None]


@pytest.mark.parametrize(
    ("values", "levels", "expected"),
    [
        ([1.0, 0.0], (0, 1), [1.0, 0.0]),
        ([True, False], (0, 1), [True, False]),
        ([1, 0], (False, True), [1, 0]),
        (["1", "0"], (0, 1), [1, 0]),
        (["1.0", "0"], (0, 1), [1.0, 0.0]),
        (["True", "false"], (0, 1), [True, False]),
        (["0.5", "0"], (0, 0.5, 1), [0.5, 0.0]),
        (["1", "02"], ("1", "02"), ["1", "02"]),
    ],
)
def test_levels_match_whatever_the_number_type_and_keep_it(values, levels, expected):
    cohort = small({"patient_id": ["a", "b"], "day": [0, 0], "x": values}, Channel(kind="ordinal", levels=levels))
    assert cohort.visits["x"].to_list() == expected
    assert type(cohort.visits["x"][0]) is type(expected[0])


def test_categorical_and_decimal_columns_become_text_and_numbers():
    grades = pl.Series(["u", "v"], dtype=pl.Categorical)
    cohort = small(
        {"patient_id": ["a", "b"], "day": [0, 0], "x": grades}, Channel(kind="categorical", levels=("u", "v"))
    )
    assert cohort.visits.schema["x"] == pl.String
    tenths = pl.Series(["0.1", "2.5"]).cast(pl.Decimal(10, 2))
    assert small({"patient_id": ["a", "b"], "day": [0, 0], "x": tenths}, Channel(kind="continuous")).visits[
        "x"
    ].to_list() == [0.1, 2.5]


def test_integer_and_text_ids_match_across_tables():
    static, visits = pl.DataFrame({"patient_id": [1, 2]}), {"day": [0, 1], "x": [1, 2]}
    schema = Schema(visit_time=VisitTime(column="day"), channels={"x": Channel(kind="count")})
    small = pl.DataFrame({"patient_id": [2, 1], **visits}, schema_overrides={"patient_id": pl.UInt8})
    assert Cohort(static, small, schema=schema).visits["patient_id"].to_list() == [1, 2]
    both_integer = Cohort(static, pl.DataFrame({"patient_id": [2.0, 1.0], **visits}), schema=schema)
    assert both_integer.static["patient_id"].to_list() == [1, 2]
    mixed = Cohort(static, pl.DataFrame({"patient_id": ["2", "1"], **visits}), schema=schema)
    assert mixed.visits["patient_id"].to_list() == mixed.static["patient_id"].to_list() == ["1", "2"]


def test_select_and_filter_keep_whole_patients():
    cohort = AWKWARD["plain"]
    chosen = cohort.select(["p03", "p01"])
    assert chosen.static["patient_id"].to_list() == ["p01", "p03"]
    assert chosen.n_visits == cohort.visits.filter(pl.col("patient_id").is_in(["p01", "p03"])).height == 6
    treated = cohort.filter(pl.col("arm") == 1)
    assert treated.n_patients == 6 and (treated.static["arm"] == 1).all()
    assert set(treated.visits["patient_id"]) == set(treated.static["patient_id"])
    assert treated.schema is cohort.schema and treated.origin == "real"


@pytest.mark.parametrize("ids", [[], ["p01", "nobody"], [17], [None]])
def test_select_refuses_unknown_or_no_patients(ids):
    with pytest.raises(CohortError) as caught:
        AWKWARD["plain"].select(ids)
    assert "nobody" not in str(caught.value)


@pytest.mark.parametrize(
    "where", [pl.col("bili") > 1, pl.col("age") > 200, pl.col("age").str.contains("x"), pl.col("arm") == "x"]
)
def test_filter_refuses_what_it_cannot_compute_or_what_leaves_nobody(where):
    with pytest.raises(CohortError):
        AWKWARD["plain"].filter(where)


def dated(unit: str, kind: str = "date", first_visit: bool = False) -> tuple[pl.DataFrame, pl.DataFrame, Schema]:
    static = pl.DataFrame(
        {
            "patient_id": ["a", "b"],
            "entry": [dt.date(2024, 2, 28), dt.date(2023, 12, 31)],
            "end": [dt.date(2024, 3, 30), dt.date(2025, 1, 1)],
            "status": [1, 0],
        }
    )
    visits = pl.DataFrame(
        {
            "patient_id": ["b", "a", "a"],
            "when": [dt.date(2023, 12, 31), dt.date(2024, 3, 1), dt.date(2024, 2, 28)],
        }
    )
    if kind == "datetime":
        static = static.with_columns(pl.col("entry", "end").cast(pl.Datetime("us")))
        visits = visits.with_columns(pl.col("when").cast(pl.Datetime("us")) + pl.duration(minutes=1))
    schema = Schema(
        time_unit=unit,
        visit_time=VisitTime(column="when", kind=kind, origin="entry", origin_is_first_visit=first_visit),
        terminal_event=TerminalEvent(duration="end", event="status", kind=kind),
        static={"entry": StaticColumn(kind="date")},
    )
    return static.drop("entry") if first_visit else static, visits, schema


@pytest.mark.parametrize("first_visit", [False, True])
def test_dates_become_days_since_baseline_and_come_back(first_visit):
    static, visits, schema = dated("days", first_visit=first_visit)
    cohort = Cohort(static, visits, schema=schema)
    assert cohort.static["entry"].to_list() == [dt.date(2024, 2, 28), dt.date(2023, 12, 31)]
    assert cohort.visits["when"].to_list() == [0, 2, 0]
    assert cohort.visits.schema["when"] == pl.Int64
    assert cohort.static["end"].to_list() == [31, 367]
    assert_frame_equal(cohort.tables()[0], static)
    assert_frame_equal(cohort.tables()[1], visits.sort("patient_id", "when"))


@pytest.mark.parametrize("unit", ["minutes", "hours", "days", "weeks", "months", "years"])
@pytest.mark.parametrize("kind", ["date", "datetime"])
def test_dates_in_every_unit_come_back_exactly(unit, kind):
    static, visits, schema = dated(unit, kind)
    cohort = Cohort(static, visits, schema=schema)
    back_static, back_visits = cohort.tables()
    assert_frame_equal(back_static, static)
    assert_frame_equal(back_visits, visits.sort("patient_id", "when"))


@pytest.mark.parametrize("unit", ["minutes", "hours", "days", "weeks", "months", "years"])
def test_every_day_of_a_long_record_comes_back(unit):
    days = pl.date_range(dt.date(1999, 12, 31), dt.date(2012, 3, 1), eager=True)
    visits = pl.DataFrame({"patient_id": "a", "when": days})
    _, _, schema = dated(unit, first_visit=True)
    cohort = Cohort(
        pl.DataFrame({"patient_id": ["a"]}), visits, schema=schema.model_copy(update={"terminal_event": None})
    )
    assert cohort.tables()[1]["when"].equals(days)


def test_hours_are_counted_across_a_change_of_the_clock():
    zone = "Europe/Zurich"
    clock = pl.Series([dt.datetime(2024, 3, 30, 20), dt.datetime(2024, 3, 31, 8)]).dt.replace_time_zone(zone)
    schema = Schema(
        time_unit="hours",
        visit_time=VisitTime(column="when", kind="datetime", origin="entry", origin_is_first_visit=True),
        static={"entry": StaticColumn(kind="date")},
    )
    visits = pl.DataFrame({"patient_id": ["a", "a"], "when": clock})
    cohort = Cohort(pl.DataFrame({"patient_id": ["a"]}), visits, schema=schema)
    assert cohort.visits["when"].to_list() == [0.0, 11.0]
    assert_frame_equal(cohort.tables()[1], visits)


def test_text_dates_are_read():
    static, visits, schema = dated("days")
    text = visits.with_columns(pl.col("when").cast(pl.String))
    assert_frame_equal(Cohort(static, text, schema=schema).visits, Cohort(static, visits, schema=schema).visits)
    static, visits, schema = dated("hours", "datetime")
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"):
        text = visits.with_columns(pl.col("when").dt.to_string(form))
        assert_frame_equal(Cohort(static, text, schema=schema).visits, Cohort(static, visits, schema=schema).visits)


def test_offsets_of_text_times_are_honoured():
    schema = Schema(
        time_unit="hours",
        visit_time=VisitTime(column="when", kind="datetime", origin="entry"),
        static={"entry": StaticColumn(kind="date")},
    )
    static = pl.DataFrame({"patient_id": ["a"], "entry": ["2024-01-01T00:00Z"]})
    visits = pl.DataFrame({"patient_id": ["a"], "when": ["2024-01-01T03:30-02:30"]})
    assert Cohort(static, visits, schema=schema).visits["when"].to_list() == [6.0]


def test_synthetic_tables_may_hold_numbers_for_dates():
    static, visits, schema = dated("days")
    real = Cohort(static, visits, schema=schema)
    synthetic = Cohort(real.static, real.visits, schema=schema, origin="synthetic")
    assert_frame_equal(synthetic.visits, real.visits)
    assert_frame_equal(synthetic.tables()[0], static)
    with pytest.raises(CohortError, match="not a date"):
        Cohort(real.static, real.visits, schema=schema)


def test_drop_after_event_drops_only_later_visits():
    static, visits = plain_tables()
    late = visits.with_columns(pl.col("day") + pl.when(pl.col("patient_id") == "p03").then(10).otherwise(0))
    cohort = Cohort(static, late, schema=plain_schema(), drop_after_event=True)
    assert cohort.n_visits == visits.height - 1
    assert cohort.visits.filter(pl.col("patient_id") == "p03")["day"].to_list() == [10, 17, 40]
    assert "visits: 1 row after the end of follow-up left out" in cohort.notes
    assert Cohort(static, visits, schema=plain_schema(), drop_after_event=True).n_visits == visits.height


def test_visits_at_the_end_of_follow_up_stay():
    assert AWKWARD["tied times"].n_visits == 48


def test_synthetic_cohort_may_have_no_visit_at_all():
    static, visits = plain_tables()
    cohort = Cohort(static, visits.clear(), schema=plain_schema(), origin="synthetic")
    assert cohort.n_visits == 0 and "static: 12 patients without a visit" in cohort.notes


def test_repr_shows_no_patient():
    assert repr(AWKWARD["plain"]) == "Cohort(12 patients, 30 visits, real)"
