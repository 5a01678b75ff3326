"""Metrics of visits and order in time: each planted damage is seen by those that claim to, and by no other."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import dealt_across_patients, relabelled, shuffled_in_time, with_static, with_visits, world

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import METRICS, WHOLE, Setting
from longsynth.evaluation.metrics import informative, slopes, temporal, transitions, variance, visit_process
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Schema

SUBJECTS = (visit_process, temporal, variance, slopes, transitions, informative)
MODULES = {subject.__name__ for subject in SUBJECTS}
NAMES = [name for name in METRICS if METRICS[name].function.__module__ in MODULES]
SETTING = Setting(arm="arm")
VISITS = {"visit_count", "visit_span", "visit_gap", "visit_count_by_event", "visit_gap_by_event",
          "time_since_last_visit", "visits_after_end"}  # fmt: skip
VARIANCE = {"icc", "between_sd", "within_sd"}
ORDER = {"variogram", "autocorrelation", "autocorrelation_within", "cross_lag", "visit_change"}
ARMS = {"slope_by_arm", "slope_arm_effect"}
MISSING = {"missing_on_values", "missing_again"}


def value(name: str, sample: Cohort, reference: Cohort) -> float:
    return METRICS[name].function(sample, reference, SETTING)[WHOLE]


def patients(n: int, seed: int) -> Cohort:
    """Channels drift, faster in arm 1; higher values bring visits forward and hide `echo`, which then stays hidden."""
    cohort = world(n, seed, drift=0.15)
    arm = cohort.visits.join(cohort.static, on="patient_id", maintain_order="left")["arm"]
    rank, noise = pl.int_range(pl.len()).over("patient_id"), np.random.default_rng(seed).lognormal(0, 0.4, len(arm))
    first = pl.col("patient_id") != pl.col("patient_id").shift().fill_null("")
    visits = cohort.visits.with_columns((pl.col("marker", "echo") + 0.4 * rank * arm).round(3))
    visits = visits.with_columns(gap=40 * pl.Series(noise) * (-0.3 * pl.col("marker")).exp())
    day = pl.when(first).then(0.0).otherwise(pl.col("gap").shift()).cum_sum().over("patient_id")
    hidden = ~first & (pl.col("marker").shift() > 0.5)
    visits = visits.with_columns(day=day.round(6), echo=pl.when(~hidden).then("echo"))
    return Cohort(cohort.static, visits, schema=cohort.schema, drop_after_event=True)


def gaps_equal(cohort: Cohort) -> Cohort:
    """Every patient's visits at even distances between the first and the last."""
    day, rank = pl.col("day"), pl.int_range(pl.len())
    even = day.first() + (day.last() - day.first()) * rank / (pl.len() - 1).clip(1)
    even = pl.when(rank == pl.len() - 1).then(day.last()).otherwise(even.round(6))
    return with_visits(cohort, cohort.visits.with_columns(even.over("patient_id").alias("day")))


def times_doubled(cohort: Cohort) -> Cohort:
    return Cohort(
        cohort.static.with_columns(pl.col("futime") * 2),
        cohort.visits.with_columns(pl.col("day") * 2),
        schema=cohort.schema,
    )


def last_visits_dropped(cohort: Cohort) -> Cohort:
    """The last two visits of patients who die are left out, but never the first."""
    died = cohort.static.filter(pl.col("status") == 1)["patient_id"]
    rank, n = (expression.over("patient_id") for expression in (pl.int_range(pl.len()), pl.len()))
    kept = ~pl.col("patient_id").is_in(died.implode()) | (rank < n - 2) | (rank == 0)
    return with_visits(cohort, cohort.visits.filter(kept))


def missing_at_random(cohort: Cohort) -> Cohort:
    """`echo` is missing as often as before, but in any visit."""
    order = np.random.default_rng(0).permutation(cohort.n_visits)
    return with_visits(cohort, cohort.visits.with_columns(cohort.visits["echo"][order].alias("echo")))


def arms_swapped(cohort: Cohort) -> Cohort:
    return with_static(cohort, cohort.static.with_columns((1 - pl.col("arm")).alias("arm")))


# name: (damage, seen by, exactly the same for)
DAMAGES: dict[str, tuple[Callable[[Cohort], Cohort], set[str], set[str]]] = {
    "visit order shuffled": (shuffled_in_time, ORDER | {"slope_distribution", "visiting_on_values"}, VISITS | VARIANCE),
    "visits dealt across patients": (dealt_across_patients, ORDER | VARIANCE | {"visiting_on_values"}, VISITS),
    "gaps made equal": (
        gaps_equal,
        {"visit_gap", "visit_gap_by_event", "visiting_on_values"},
        VARIANCE | MISSING - {"missing_on_values"} | ORDER - {"variogram"}
        | {"visit_count", "visit_span", "visit_count_by_event", "time_since_last_visit"},
    ),
    "times doubled": (
        times_doubled,
        {"visit_gap", "visit_span", "visit_gap_by_event", "time_since_last_visit", "variogram", "slope_distribution"},
        VARIANCE | MISSING | ORDER - {"variogram"}
        | {"visit_count", "visit_count_by_event", "visiting_on_values", "change_correlation"},
    ),
    "last visits dropped before events": (
        last_visits_dropped,
        {"visit_count_by_event", "time_since_last_visit"},
        {"visits_after_end"},
    ),
    "missing at random": (missing_at_random, MISSING, VISITS | {"transition"}),
    "arms swapped": (arms_swapped, ARMS, set(NAMES) - ARMS),
}  # fmt: skip


@pytest.fixture(scope="module")
def cohorts() -> tuple[Cohort, Cohort]:
    return patients(250, 1), patients(250, 2)


@pytest.fixture(scope="module")
def by_chance() -> dict[str, np.ndarray]:
    """Every metric between two fresh real samples, twelve times."""
    fresh = [patients(250, seed) for seed in range(10, 14)]
    pairs = [(a, b) for a in fresh for b in fresh if a is not b]
    return {name: np.array([value(name, *pair) for pair in pairs]) for name in NAMES}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_seen_by_the_metrics_that_claim_to_and_by_no_other(damage, cohorts, by_chance):
    sample, reference = cohorts
    harm, seen_by, blind = DAMAGES[damage]
    damaged = harm(sample)
    for name in seen_by:
        centre, spread = by_chance[name].mean(), by_chance[name].std()
        distance = value(name, damaged, reference) - centre
        assert (abs(distance) if METRICS[name].worse == "both" else distance) > 3 * spread, name
    for name in blind:
        assert value(name, damaged, reference) == pytest.approx(value(name, sample, reference), abs=1e-9), name


@pytest.mark.parametrize("name", NAMES)
def test_a_cohort_is_at_no_distance_from_itself(name, cohorts):
    found = METRICS[name].function(cohorts[0], cohorts[0], SETTING)
    assert max(map(abs, found.values())) < 1e-12
    assert next(iter(found)) == WHOLE


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_the_order_of_rows_and_patients_do_not_matter(name, cohorts):
    sample, reference = cohorts
    found = METRICS[name].function(sample, reference, SETTING)
    assert METRICS[name].function(relabelled(sample), relabelled(reference), SETTING) == pytest.approx(found, abs=1e-9)
    assert METRICS[name].function(sample, reference, SETTING) == found


@pytest.mark.parametrize("name", sorted(set(NAMES) - VARIANCE))
def test_units_do_not_matter(name, cohorts):
    grams, kilograms = (
        with_visits(cohort, cohort.visits.with_columns(marker=pl.col("marker") * 1000)) for cohort in cohorts
    )
    assert value(name, grams, kilograms) == pytest.approx(value(name, *cohorts), rel=1e-9)


@pytest.fixture(scope="module")
def awkward() -> list[tuple[Cohort, Cohort]]:
    """Every awkward cohort beside itself, and beside its patients without their visits."""
    pairs = []
    for cohort in awkward_cohorts().values():
        pairs.append((cohort, cohort))
        if cohort.schema.visit_time is not None:
            empty = Cohort(cohort.static, cohort.visits.clear(), schema=cohort.schema, origin="synthetic")
            pairs.append((empty, cohort))
    return pairs


@pytest.mark.parametrize("name", NAMES)
def test_awkward_cohorts_have_finite_values_or_a_reason(name, awkward):
    for sample, reference in awkward:
        try:
            found = METRICS[name].function(sample, reference, SETTING)
        except NotComputableError as error:
            assert str(error)
        else:
            assert np.isfinite(list(found.values())).all()


def test_a_sample_that_lost_what_is_measured_has_no_good_score(cohorts):
    sample, reference = cohorts
    constant = with_visits(sample, sample.visits.with_columns(marker=pl.lit(0.0), echo=pl.lit(0.0), sign=pl.lit(0)))
    for name in (*ORDER - {"cross_lag"}, "icc", "transition", "between_sd", "within_sd"):
        found, usual = (METRICS[name].function(one, reference, SETTING) for one in (constant, sample))
        part = "visits.sign" if name == "transition" else "visits.marker"
        assert abs(found[part]) > abs(usual[part]) + 0.03, name
    empty = Cohort(sample.static, sample.visits.clear(), schema=sample.schema, origin="synthetic")
    for name in (
        "visit_count",
        "visit_span",
        "visit_gap",
        "visit_gap_by_event",
        "time_since_last_visit",
        "visit_change",
    ):
        assert value(name, empty, reference) > 0.95, name


def test_what_a_schema_lacks_is_said(cohorts):
    sample, _ = cohorts
    bare = Schema(visit_time=sample.schema.visit_time)
    without = Cohort(sample.static, sample.visits, schema=bare)
    computable = {"visit_count", "visit_span", "visit_gap"}
    for name in set(NAMES) - computable:
        with pytest.raises(NotComputableError):
            value(name, without, without)
    for name in computable:
        assert value(name, without, without) == 0
    for name in ARMS:
        with pytest.raises(NotComputableError, match="arm"):
            METRICS[name].function(sample, sample, Setting())
