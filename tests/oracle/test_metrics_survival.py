"""Metrics of the terminal event: known answers, and each planted damage seen by those that claim to see it."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import SCHEMA, dealt_across_patients, halves, relabelled, shuffled_in_time, with_static, world

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import METRICS, WHOLE, Setting
from longsynth.evaluation.metrics import competing, rmst, survival  # noqa: F401
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import TerminalEvent

CURVES = ["km_distance", "km_largest", "rmst_difference", "rmst_relative", "milestone_survival"]


def value(name, sample, reference, arm=None):
    values = METRICS[name].function(sample, reference, Setting(arm=arm))
    return values.get(WHOLE, max(values.values(), key=abs))


@pytest.fixture(scope="module")
def cohort():
    return world(400, seed=1)


@pytest.fixture(scope="module")
def fresh():
    return world(400, seed=2)


def outcome_permuted(cohort, *columns):
    shuffled = cohort.static.select(columns).sample(fraction=1, shuffle=True, seed=0)
    return Cohort(cohort.static.with_columns(shuffled), cohort.visits, schema=cohort.schema, drop_after_event=True)


def with_outcome(cohort, **columns):
    return Cohort(cohort.static.with_columns(**columns), cohort.visits, schema=cohort.schema, drop_after_event=True)


@pytest.mark.parametrize("name", [*CURVES, "censoring_distance"])
def test_no_distance_from_itself_and_little_from_a_fresh_sample(name, cohort, fresh):
    assert value(name, cohort, cohort) == pytest.approx(0, abs=1e-12)
    scale = 300 if name == "rmst_difference" else 1
    assert 0 < abs(value(name, fresh, cohort)) < 0.12 * scale


@pytest.mark.parametrize("name", [*CURVES, "censoring_distance"])
def test_order_ids_and_units_do_not_matter(name, cohort, fresh):
    there = value(name, fresh, cohort)
    assert value(name, relabelled(fresh), relabelled(cohort)) == pytest.approx(there, abs=1e-12)
    if name not in ("milestone_survival",):
        hours = [with_outcome(c, futime=pl.col("futime") * 24) for c in (fresh, cohort)]
        assert value(name, *hours) == pytest.approx(there * (24 if name == "rmst_difference" else 1))


@pytest.mark.parametrize("name", [*CURVES, "censoring_distance"])
def test_damage_to_visits_or_to_who_has_the_event_leaves_the_curves_alone(name, cohort):
    damaged = [
        shuffled_in_time(cohort),
        dealt_across_patients(cohort),
        outcome_permuted(cohort, "futime", "status"),
        with_static(cohort, cohort.static.with_columns(arm=1 - pl.col("arm"))),
    ]
    for sample in damaged:
        assert value(name, sample, cohort) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", CURVES)
def test_events_at_other_times_are_seen_by_the_curves(name, cohort, fresh):
    null = max(abs(value(name, sample, cohort)) for sample in (fresh, *halves(fresh)))
    dies_first = with_outcome(
        fresh, futime=pl.when(pl.col("status") == 1).then(pl.col("futime") / 3).otherwise("futime")
    )
    assert abs(value(name, dies_first, cohort)) > 2 * null
    assert abs(value(name, with_outcome(fresh, status=pl.lit(0)), cohort)) > 2 * null
    assert (
        value("rmst_difference", dies_first, cohort) < 0 < value("rmst_relative", with_outcome(fresh, status=0), cohort)
    )


def test_follow_up_cut_short_is_seen_by_the_distance_of_censoring_alone(cohort):
    fresh = world(2000, seed=2)
    reference = world(2000, seed=1)
    on_time = pl.col("futime") <= 150
    cut = with_outcome(
        fresh, futime=pl.min_horizontal("futime", pl.lit(150.0)), status=pl.when(on_time).then("status").otherwise(0)
    )
    assert value("censoring_distance", cut, reference) > 10 * value("censoring_distance", fresh, reference)
    for name in CURVES:
        assert abs(value(name, cut, reference)) < 0.05 * (300 if name == "rmst_difference" else 1), name


def test_the_difference_of_restricted_means_is_that_of_two_exponentials():
    rng = np.random.default_rng(0)
    n, tau = 20_000, np.log(20)  # 95th percentile of the unit exponential
    made, real = (_outcome_cohort(rng.exponential(1 / rate, n), np.ones(n, int)) for rate in (0.5, 1.0))
    exact = 2 * (1 - np.exp(-tau / 2)) - (1 - np.exp(-tau))
    assert value("rmst_difference", made, real) == pytest.approx(exact, abs=3 * np.sqrt((1 + 0.3) / n) + 0.02)
    assert value("rmst_relative", made, real) == pytest.approx(exact / (1 - np.exp(-tau)), abs=0.05)
    assert value("km_largest", made, real) == pytest.approx(0.25, abs=3 * np.sqrt(0.5 / n))  # at log 4


def test_milestones_are_round_times_within_the_follow_up(cohort, fresh):
    parts = METRICS["milestone_survival"].function(fresh, cohort, Setting())
    assert set(parts) == {"4 weeks", "3 months", "6 months", "1 year"}
    months = _outcome_cohort(np.array([1.0, 3.0, 5.0, 7.0] * 5), np.array([1, 0] * 10), time_unit="months")
    assert set(METRICS["milestone_survival"].function(months, months, Setting())) == {"4 weeks", "3 months", "6 months"}
    instants = _outcome_cohort(np.array([1e-3, 2e-3] * 5), np.array([1, 0] * 5))
    with pytest.raises(NotComputableError, match="round time"):
        METRICS["milestone_survival"].function(instants, instants, Setting())


def test_exchanged_event_types_are_seen_by_the_incidences_alone():
    rng = np.random.default_rng(0)
    cohorts = [_outcome_cohort(rng.exponential(1, 400), rng.choice(3, 400, p=(0.3, 0.6, 0.1))) for _ in range(2)]
    exchanged = with_outcome(cohorts[0], status=pl.col("status").replace({1: 2, 2: 1}))
    there = METRICS["incidence_distance"].function(exchanged, cohorts[1], Setting())
    null = METRICS["incidence_distance"].function(*cohorts, Setting())
    assert set(there) == set(null) == {"death", "relapse"}
    assert all(there[name] > 0.25 for name in there)
    assert all(null[name] < 0.08 for name in null)
    assert value("km_distance", exchanged, cohorts[0]) == 0
    with pytest.raises(NotComputableError, match="two types"):
        METRICS["incidence_distance"].function(world(50, 1), world(50, 2), Setting())


def test_awkward_cohorts_get_a_finite_value_or_a_reason():
    n_values = 0
    for cohort in awkward_cohorts().values():
        for name in [*CURVES, "censoring_distance", "incidence_distance"]:
            try:
                values = METRICS[name].function(cohort, cohort, Setting(arm="arm"))
            except NotComputableError as error:
                assert str(error)
            else:
                assert values
                assert all(np.isfinite(list(values.values()))), name
                n_values += 1
    assert n_values > 50


def _outcome_cohort(durations, types, time_unit="days"):
    event = TerminalEvent(duration="futime", event="status", event_types={1: "death", 2: "relapse", 3: "lost"})
    schema = SCHEMA.model_copy(
        update={"terminal_event": event, "static": {}, "channels": {}, "visit_time": None, "time_unit": time_unit}
    )
    ids = [f"p{i:05d}" for i in range(len(durations))]
    return Cohort(pl.DataFrame({"patient_id": ids, "futime": durations, "status": types}), schema=schema)
