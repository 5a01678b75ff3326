"""How many patients a few visits tell apart, on cohorts where it can be counted by hand."""

import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import relabelled, world

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import NotComputableError
from longsynth.privacy.exposure import exposure
from longsynth.schema.types import Channel, Schema, VisitTime

SCHEMA = Schema(
    visit_time=VisitTime(column="day"), channels={"grade": Channel(kind="categorical", levels=("a", "b", "c"))}
)


def cohort(records, days=None):
    ids = [f"p{i}" for i, record in enumerate(records) for _ in record]
    day = [(days or range(99))[j] for record in records for j in range(len(record))]
    visits = pl.DataFrame({"patient_id": ids, "day": day, "grade": [x for record in records for x in record]})
    return Cohort(visits.select("patient_id").unique(), visits, schema=SCHEMA)


def test_patients_are_counted_as_by_hand():
    table = exposure(cohort(["aa", "ab", "ab", "ca"]), ks=(2, 3))
    assert table.rows() == [(2, 4, 0.5), (3, 0, None)]
    assert exposure(cohort(["aa", "aa", "aa"]), ks=(1, 2))["unique"].to_list() == [0, 0]
    assert exposure(cohort(["a", "b", "c"]), ks=(1,))["unique"].to_list() == [1]


def test_an_unobserved_value_tells_nothing():
    table = exposure(cohort([["a", None], ["a", "b"], ["b", "b"]]), ks=(2,))
    assert table["unique"].to_list() == [pytest.approx(2 / 3)]  # the first could be the second


def test_gaps_tell_more():
    visits = cohort(["ab", "ab"]).visits.with_columns(day=pl.Series([0, 10, 0, 90]))
    other = Cohort(visits.select("patient_id").unique(), visits, schema=SCHEMA)
    assert exposure(other, ks=(2,))["unique"].to_list() == [0]
    assert exposure(other, ks=(2,), time=True)["unique"].to_list() == [1]


def test_more_visits_tell_more_and_ids_do_not_matter():
    real = world(80, 1)
    table = exposure(real, ks=(1, 2, 3))
    assert table["unique"].is_sorted()
    assert table.equals(exposure(relabelled(real), ks=(1, 2, 3)))


def test_without_a_channel_there_is_a_reason():
    with pytest.raises(NotComputableError, match="channel"):
        exposure(awkward_cohorts()["static only"])
