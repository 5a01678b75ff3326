"""Cohorts side by side: patients numbered by their data, one schema for all, no patient on both sides."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts, plain_schema, plain_tables
from metric_worlds import relabelled, world

from longsynth.cohort.alike import check_disjoint, n_same_patients, n_shared_ids, under_schema
from longsynth.cohort.cohort import Cohort
from longsynth.cohort.numbered import numbered, pooled, take
from longsynth.exceptions import CohortError
from longsynth.schema.types import Channel, StaticColumn


def same(first: Cohort, second: Cohort) -> bool:
    return first.static.equals(second.static) and first.visits.equals(second.visits)


def test_numbers_do_not_depend_on_ids_or_row_order():
    cohort = world(80, 1)
    assert same(numbered(cohort), numbered(relabelled(cohort, seed=3)))


def test_numbers_do_not_depend_on_units():
    cohort = world(80, 1)
    free = {name: column.model_copy(update={"decimals": None}) for name, column in cohort.schema.channels.items()}
    ages = {**cohort.schema.static, "age": StaticColumn(kind="continuous")}
    other = Cohort(
        cohort.static.with_columns(pl.col("age") * 12, pl.col("futime") / 365.25),
        cohort.visits.with_columns(pl.col("marker") * 17.1 + 3, pl.col("day") / 365.25),
        schema=cohort.schema.model_copy(update={"channels": free, "static": ages}),
    )
    assert numbered(cohort).static["status"].equals(numbered(other).static["status"])
    assert numbered(cohort).visits["grade"].equals(numbered(other).visits["grade"])


def test_patients_with_one_static_row_are_told_apart_by_their_visits():
    static = pl.DataFrame({"patient_id": ["a", "b", "c"], "arm": [0, 0, 0]})
    visits = pl.DataFrame(
        {"patient_id": ["a", "a", "b", "c"], "day": [0, 9, 0, 0], "grade": ["mild", "mild", "none", "mild"]}
    )
    schema = plain_schema(
        static={"arm": StaticColumn(kind="binary", levels=(0, 1))},
        channels={"grade": Channel(kind="ordinal", levels=("none", "mild", "severe"))},
        terminal_event=None,
    )  # fmt: skip
    found = numbered(Cohort(static, visits, schema=schema)).visits
    assert found.rows() == [(0, 0, "none"), (1, 0, "mild"), (2, 0, "mild"), (2, 9, "mild")]


@pytest.mark.parametrize("name", awkward_cohorts())
def test_awkward_cohorts_are_numbered_and_pooled(name):
    cohort = awkward_cohorts()[name]
    both = pooled(numbered(cohort), numbered(cohort))
    assert (both.n_patients, both.n_visits) == (2 * cohort.n_patients, 2 * cohort.n_visits)
    assert both.static[cohort.schema.patient_id].to_list() == list(range(2 * cohort.n_patients))


@pytest.mark.parametrize("name", awkward_cohorts())
def test_taking_is_selecting(name):
    cohort = numbered(awkward_cohorts()[name])
    rows = np.random.default_rng(1).permutation(cohort.n_patients)[: (cohort.n_patients + 1) // 2]
    assert same(take(cohort, rows), cohort.select(rows))
    assert same(take(take(cohort, rows), np.array([0])), cohort.select([rows.min()]))


def test_booleans_and_numbers_of_one_column_are_pooled():
    static, visits = plain_tables()
    cohort = Cohort(static, visits, schema=plain_schema())
    booleans = Cohort(static.with_columns(pl.col("arm").cast(pl.Boolean)), visits, schema=plain_schema())
    both = pooled(numbered(cohort), numbered(booleans))
    assert both.static["arm"].mean() == static["arm"].mean()


def changed(**changes):
    """The plain cohort as another tool may describe it."""
    return Cohort(*plain_tables(), schema=plain_schema(**changes))


def channels(**changes):
    return {**plain_schema().channels, **changes}


def test_bounds_decimals_unknown_units_and_unused_levels_may_differ():
    loose = channels(
        bili=Channel(kind="continuous"),
        grade=Channel(kind="ordinal", levels=("none", "mild", "severe", "worst")),
        extra=Channel(kind="count"),
    )
    static, visits = plain_tables()
    cohort = Cohort(static, visits.with_columns(extra=1), schema=plain_schema(channels=loose))
    assert same(under_schema(cohort, plain_schema(), "synthetic"), changed())


def test_other_names_of_ids_times_and_events_are_brought_to_one():
    static, visits = plain_tables()
    names = {"patient_id": "who", "followup": "end", "status": "what", "day": "when"}
    schema = plain_schema(
        patient_id="who",
        visit_time=plain_schema().visit_time.model_copy(update={"column": "when"}),
        terminal_event=plain_schema().terminal_event.model_copy(update={"duration": "end", "event": "what"}),
    )
    cohort = Cohort(static.rename(names, strict=False), visits.rename(names, strict=False), schema=schema)
    assert same(under_schema(cohort, plain_schema(), "synthetic"), changed())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"channels": {"bili": Channel(kind="continuous")}}, "visits: there is no column 'flares'"),
        ({"static": {}}, "static: there is no column 'age'"),
        ({"channels": channels(flares=Channel(kind="continuous"))}, "visits.flares: is continuous, not count"),
        ({"channels": channels(bili=Channel(kind="continuous", unit="umol/L"))}, "is in umol/L, not mg/dL"),
        ({"time_unit": "weeks"}, "time is in weeks, not days"),
        ({"terminal_event": None}, "lacks a terminal_event"),
    ],
)
def test_what_means_something_else_is_refused(changes, complaint):
    with pytest.raises(CohortError, match=complaint):
        under_schema(changed(**changes), plain_schema(), "synthetic")


@pytest.mark.parametrize("levels", [("a", "b", "c"), (1, 2, 3)])
def test_other_levels_are_refused_with_their_number_of_rows(levels):
    static, visits = plain_tables()
    visits = visits.with_columns(pl.lit(levels[0]).alias("grade"))
    other = plain_schema(channels=channels(grade=Channel(kind="ordinal", levels=levels)))
    with pytest.raises(CohortError, match=rf"grade: {visits.height} rows with a level"):
        under_schema(Cohort(static, visits, schema=other), plain_schema(), "synthetic")


def test_unknown_event_types_are_refused():
    event = plain_schema().terminal_event.model_copy(update={"event_types": {1: "death", 7: "other"}})
    with pytest.raises(CohortError, match="1 event types"):
        under_schema(changed(terminal_event=event), plain_schema(), "synthetic")


def test_shared_ids_are_counted_as_text_and_refused_in_a_holdout():
    cohort = world(20, 1)
    numbers = pl.Series("patient_id", range(20))
    first = Cohort(numbered(cohort).static, numbered(cohort).visits, schema=cohort.schema)
    text = numbered(cohort).static.with_columns(numbers.cast(pl.String))
    second = Cohort(
        text, numbered(cohort).visits.with_columns(pl.col("patient_id").cast(pl.String)), schema=cohort.schema
    )
    assert n_shared_ids(first, second.select(["3", "4"])) == 2
    assert n_same_patients(first, second) == 20
    assert n_same_patients(numbered(world(20, 2)), second) == 0
    with pytest.raises(CohortError, match="20 patients with the id of a train patient"):
        check_disjoint(first, second)
    check_disjoint(first, world(20, 1))
