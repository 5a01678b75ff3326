"""Cohorts as lifelines and scikit-survival take them: shapes, laws, and known hazard ratios recovered."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lifelines import CoxPHFitter, CoxTimeVaryingFitter

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.datasets import load_pbc
from longsynth.cohort.simulate import SimulationTruth, simulate_cohort
from longsynth.exceptions import CohortError, NotComputableError
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime

TRUTH = SimulationTruth()


def small(**changes) -> Cohort:
    """Patients of every sort: by id, a visit at the end, none at all, one after baseline, an end at baseline."""
    parts = {
        "patient_id": "pid",
        "visit_time": VisitTime(column="day"),
        "terminal_event": TerminalEvent(duration="end", event="status", event_types={1: "death", 2: "transplant"}),
        "static": {"arm": StaticColumn(kind="categorical", levels=("a", "b", "c"))},
        "channels": {"hb": Channel(kind="continuous"), "grade": Channel(kind="ordinal", levels=("low", "high"))},
    }
    static = {"pid": ["end", "none", "late", "zero", "two"], "arm": ["a", "b", "c", None, "b"]}
    static |= {"end": [10, 20, 30, 0, 9], "status": [1, 2, 0, 1, 2]}
    visits = {
        "pid": ["end", "end", "end", "late", "zero", "two", "two"],
        "day": [0, 4, 10, 5, 0, 0, 3],
        "hb": [12.0, None, 9.0, 11.0, 8.0, None, 13.5],
        "grade": ["low", "high", None, None, "high", "low", None],
    }
    return Cohort(pl.DataFrame(static), pl.DataFrame(visits), schema=Schema(**(parts | changes)))


def test_one_row_a_patient():
    survival = small().to_survival()
    assert survival.index.name == "patient_id"
    assert survival.columns.to_list() == ["arm", "duration", "event"]
    assert survival.loc["none"].to_list() == ["b", 20.0, 2]
    assert survival["event"].dtype == np.int64 and survival["duration"].dtype == np.float64


def test_counting_process_row_by_row():
    rows = small().to_counting_process()
    assert rows.columns.to_list() == ["patient_id", "start", "stop", "event", "arm", "hb", "grade"]
    expected = [
        ("end", 0.0, 4.0, 0, "a", 12.0, "low"),
        ("end", 4.0, 10.0, 1, "a", 12.0, "high"),
        ("late", 0.0, 5.0, 0, "c", None, None),
        ("late", 5.0, 30.0, 0, "c", 11.0, None),
        ("none", 0.0, 20.0, 2, "b", None, None),
        ("two", 0.0, 3.0, 0, "b", None, "low"),
        ("two", 3.0, 9.0, 2, "b", 13.5, "low"),
    ]
    assert [tuple(None if pd.isna(value) else value for value in row) for row in rows.to_numpy()] == expected


@pytest.mark.parametrize("cohort", [simulate_cohort(300, seed=5), load_pbc()], ids=["simulated", "pbc"])
def test_intervals_cover_the_follow_up_exactly(cohort):
    rows, survival = cohort.to_counting_process(), cohort.to_survival()
    assert (rows["start"] < rows["stop"]).all()
    per_patient = rows.groupby("patient_id", sort=False)
    assert (per_patient["start"].first() == 0).all()
    assert (rows["stop"] == per_patient["start"].shift(-1).fillna(rows["stop"])).all()
    lasting = survival[survival["duration"] > 0]
    assert (per_patient["stop"].last() == lasting["duration"]).all()
    assert (per_patient["event"].last() == lasting["event"]).all()
    assert per_patient["event"].sum().sum() == lasting["event"].sum()


def test_carried_values_are_the_last_observed_ones():
    cohort = load_pbc()
    rows = cohort.to_counting_process()
    time = cohort.schema.visit_time.column
    for patient, own in rows.groupby("patient_id"):
        visits = cohort.visits.filter(pl.col(cohort.schema.patient_id) == patient)
        for row in own.itertuples():
            known = visits.filter(pl.col(time) <= row.start)["chol"].drop_nulls()
            assert np.isnan(row.chol) if known.is_empty() else row.chol == known[-1]


def test_proportional_hazards_model_runs():
    survival = load_pbc().to_survival()
    fitted = CoxPHFitter().fit(survival, "duration", "event")
    assert fitted.params_["age"] > 0
    assert fitted.concordance_index_ > 0.55


def test_time_varying_model_recovers_the_known_hazard_ratios():
    rows = simulate_cohort(3_000, seed=1).to_counting_process()
    rows = rows.assign(x=np.log(rows["crp"]) - TRUTH.intercept)[["patient_id", "start", "stop", "event", "arm", "x"]]
    fitted = CoxTimeVaryingFitter().fit(rows, id_col="patient_id", event_col="event")
    for name, truth in (("x", TRUTH.hazard_severity), ("arm", TRUTH.hazard_arm)):
        error = fitted.standard_errors_[name]
        assert abs(fitted.params_[name] - truth) < 3 * error
        assert error < 0.1


def test_scikit_survival_form():
    schema = Schema(
        terminal_event=TerminalEvent(duration="end", event="dead", event_types={1: "a", 2: "b"}),
        static={
            "age": StaticColumn(kind="count"),
            "site": StaticColumn(kind="categorical", levels=("x", "y", "z")),
            "grade": StaticColumn(kind="ordinal", levels=("low", "mid", "high")),
            "entry": StaticColumn(kind="date"),
        },
    )
    table = {"patient_id": [1, 2, 3], "age": [50, None, 70], "site": ["z", "x", None], "grade": ["high", "low", None]}
    table |= {"entry": [dt.date(1970, 1, 3)] * 3, "end": [5, 6, 7], "dead": [0, 2, 1]}
    covariates, outcome = Cohort(pl.DataFrame(table), schema=schema).to_sksurv()
    assert covariates.columns.to_list() == ["age", "site=y", "site=z", "grade", "entry"]
    assert (covariates.dtypes == np.float64).all()
    expected = [[50, 0, 1, 2, 2], [np.nan, 0, 0, 0, 2], [70, np.nan, np.nan, np.nan, 2]]
    np.testing.assert_array_equal(covariates.to_numpy(), expected)
    assert outcome.dtype.names == ("event", "duration")
    assert outcome["event"].tolist() == [False, True, True] and outcome["duration"].tolist() == [5.0, 6.0, 7.0]


def test_without_a_terminal_event_there_is_nothing_to_compute():
    cohort = small(terminal_event=None)
    for export in (cohort.to_survival, cohort.to_counting_process, cohort.to_sksurv):
        with pytest.raises(NotComputableError, match="no terminal event; declare duration and event"):
            export()


def test_without_visits_there_is_no_counting_process():
    schema = small().schema.model_copy(update={"visit_time": None, "channels": {}})
    cohort = Cohort(small().static, schema=schema)
    assert len(cohort.to_survival()) == 5
    with pytest.raises(NotComputableError, match="no visit times; use to_survival"):
        cohort.to_counting_process()


@pytest.mark.parametrize("name", ["duration", "event", "patient_id", "start", "hb"])
def test_attributes_with_a_name_of_the_result_are_refused(name):
    cohort = small()
    schema = cohort.schema.model_copy(update={"static": {name: cohort.schema.static["arm"]}})
    cohort = Cohort(cohort.static.rename({"arm": name}), cohort.visits, schema=schema)
    with pytest.raises(CohortError, match=f"{name} clash"):
        cohort.to_counting_process()


@pytest.mark.parametrize("name", ["duration", "event", "start", "stop"])
def test_channels_with_a_name_of_the_result_are_refused(name):
    cohort = small()
    schema = cohort.schema.model_copy(update={"channels": {name: cohort.schema.channels["hb"]}})
    cohort = Cohort(cohort.static, cohort.visits.rename({"hb": name}), schema=schema)
    with pytest.raises(CohortError, match=f"channels named {name} clash"):
        cohort.to_counting_process()


def test_the_order_of_the_patients_does_not_matter():
    cohort = small()
    tables = (table.sample(fraction=1, shuffle=True, seed=1) for table in (cohort.static, cohort.visits))
    pd.testing.assert_frame_equal(
        Cohort(*tables, schema=cohort.schema).to_counting_process(), cohort.to_counting_process()
    )
