"""The tables of the demonstration: right numbers, and an answer for every cohort there may be."""

import polars as pl
import pytest
from awkward import awkward_cohorts

import longsynth as ls
from longsynth.report.summary import describe_columns
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime


@pytest.fixture(scope="module")
def halves():
    return ls.split(ls.load_pbc(), holdout=0.5, seed=1)


def small_cohort() -> ls.Cohort:
    schema = Schema(
        visit_time=VisitTime(column="time"),
        terminal_event=TerminalEvent(duration="end", event="status", event_types={1: "death", 2: "transplant"}),
        static={
            "age": StaticColumn(kind="continuous", unit="years"),
            "arm": StaticColumn(kind="binary", levels=("old", "new")),
            "entry": StaticColumn(kind="date"),
        },
        channels={"stage": Channel(kind="ordinal", levels=(1, 2, 3)), "bili": Channel(kind="continuous")},
    )
    static = pl.DataFrame(
        {
            "patient_id": ["a", "b", "c", "d"],
            "age": [40.0, 50.0, 60.0, None],
            "arm": ["old", "new", "new", "new"],
            "entry": pl.Series(["2001-01-01", "2001-05-05", "2002-01-01", "2003-01-01"]).str.to_date(),
            "end": [10, 1000, 3000, 4000],
            "status": [1, 0, 2, 0],
        }
    )
    visits = pl.DataFrame(
        {
            "patient_id": ["a", "b", "b", "c"],
            "time": [0, 0, 90, 5],
            "stage": [1, 2, 3, 3],
            "bili": [1.0, None, None, None],
        }
    )
    return ls.Cohort(static, visits, schema=schema)


def test_columns_are_described_by_their_kind():
    frame = describe_columns({"small": small_cohort()})
    found = {what: value for section, what, value in frame.iter_rows() if section != "lag-1 correlation"}
    assert found == {
        "patients": "4",
        "visits a patient": "1 (0.3 to 1.7)",
        "days between visits": "90 (90 to 90)",
        "age (years)": "50 (42 to 58), 25% missing",
        "arm": "new: 75%",
        "entry": "2002-01-01",
        "follow-up (days)": "2,000 (307 to 3,700)",
        "status = 1 (death)": "25%",
        "status = 2 (transplant)": "25%",
        "median time to event": "3,000",
        "stage": "1: 25%, 2: 25%, 3: 50%",
        "bili": "1 (1 to 1), 75% missing",
    }


def test_lag1_correlation_is_that_of_the_metrics(halves):
    frame = describe_columns({"train": halves[0]}).filter(pl.col("section") == "lag-1 correlation")
    assert frame["what"].to_list() == list(halves[0].schema.channels)
    assert 0.85 < float(frame.filter(pl.col("what") == "bili")["train"][0]) < 1


def test_cohorts_stand_side_by_side(halves):
    frame = describe_columns({"train": halves[0], "holdout": halves[1]})
    assert frame.columns == ["section", "what", "train", "holdout"]
    assert frame["what"].equals(describe_columns({"train": halves[0]})["what"])


@pytest.mark.parametrize("name", awkward_cohorts())
def test_awkward_cohorts_have_a_table(name):
    cohort = awkward_cohorts()[name]
    frame = describe_columns({"real": cohort})
    assert frame["real"].null_count() == 0
    assert "nan" not in " ".join(frame["real"]).lower()
