"""Metrics of log hazard ratios: known answers, null distribution, and each planted damage seen where it is claimed."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import (
    column_permuted,
    dealt_across_patients,
    halves,
    relabelled,
    shuffled_in_time,
    with_static,
    with_visits,
    world,
)

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import METRICS, Setting
from longsynth.evaluation.hazard_ratios import baseline_hazard_ratios, channel_hazard_ratios
from longsynth.evaluation.metrics import cox  # noqa: F401
from longsynth.exceptions import NotComputableError

NAMES = ["log_hazard_ratio", "hazard_ratio_overlap", "hazard_ratio_errors", "time_varying_log_hazard_ratio"]


def values(name, sample, reference):
    return METRICS[name].function(sample, reference, Setting())


@pytest.fixture(scope="module")
def cohort():
    return world(500, seed=1)


@pytest.fixture(scope="module")
def fresh():
    return world(500, seed=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_cohort_equals_itself_and_order_and_ids_do_not_matter(name, cohort, fresh):
    same = values(name, cohort, cohort)
    assert list(same.values()) == pytest.approx([METRICS[name].best] * len(same), abs=1e-12)
    assert values(name, relabelled(fresh), relabelled(cohort)) == pytest.approx(values(name, fresh, cohort), abs=1e-8)


def test_the_difference_is_scaled_by_the_reference(cohort, fresh):
    made, real = (baseline_hazard_ratios(c)["static.age"] for c in (fresh, cohort))
    found = values("log_hazard_ratio", fresh, cohort)
    assert found["static.age"] == pytest.approx((made.log_ratio - real.log_ratio) * cohort.static["age"].std(ddof=0))
    months = [with_static(c, c.static.with_columns(age=(pl.col("age") * 12).round(6))) for c in (fresh, cohort)]
    assert values("log_hazard_ratio", *months) == pytest.approx(found)
    assert set(found) == {"static.arm", "static.age", "static.site=north", "static.site=south", "static.site=west"}
    made, real = (channel_hazard_ratios(c)["visits.sign"] for c in (fresh, cohort))
    assert values("time_varying_log_hazard_ratio", fresh, cohort)["visits.sign"] == made.log_ratio - real.log_ratio


def test_overlap_of_two_real_samples_is_what_normal_theory_says():
    """Two estimates of equal precision differ by sqrt(2) standard errors times a normal number."""
    rng = np.random.default_rng(0)
    overlaps = [1 - abs(z) * np.sqrt(2) / (2 * 1.959964) for z in rng.normal(size=20_000)]
    expected = np.mean(np.maximum(overlaps, 0))
    assert expected == pytest.approx(0.713, abs=0.005)
    found = [
        np.mean(list(values("hazard_ratio_overlap", *halves(world(160, seed=seed))).values())) for seed in range(30)
    ]
    assert np.mean(found) == pytest.approx(expected, abs=3 * np.std(found) / np.sqrt(30))


def test_twice_the_patients_make_the_errors_smaller_by_the_root(cohort):
    twice = pl.concat(
        [cohort.static, cohort.static.with_columns(pl.concat_str(pl.lit("b"), "patient_id").alias("patient_id"))]
    )
    sample = Cohort(twice, cohort.visits, schema=cohort.schema)
    errors = values("hazard_ratio_errors", sample, cohort)
    assert list(errors.values()) == pytest.approx([np.sqrt(0.5)] * len(errors), rel=0.01)  # ties change a little


def test_event_times_permuted_are_seen(cohort, fresh):
    shuffled = fresh.static.select("futime", "status").sample(fraction=1, shuffle=True, seed=0)
    damaged = Cohort(fresh.static.with_columns(shuffled), fresh.visits, schema=fresh.schema, drop_after_event=True)
    for name, part, ratios_of in (
        ("log_hazard_ratio", "static.age", baseline_hazard_ratios),
        ("time_varying_log_hazard_ratio", "visits.marker", channel_hazard_ratios),
    ):
        ratios = [ratios_of(c)[part] for c in (fresh, cohort)]
        error = ratios[1].scale * np.hypot(*(ratio.standard_error for ratio in ratios))
        assert abs(values(name, fresh, cohort)[part]) < 3 * error, name
        assert values(name, damaged, cohort)[part] < -3 * error, name
    assert values("hazard_ratio_overlap", damaged, cohort)["static.age"] < 0.2


def test_visits_dealt_across_patients_are_seen_as_they_change(cohort, fresh):
    damaged = dealt_across_patients(fresh)
    name = "time_varying_log_hazard_ratio"
    assert values(name, damaged, cohort)["visits.marker"] < -0.25
    assert values("log_hazard_ratio", damaged, cohort) == values("log_hazard_ratio", fresh, cohort)
    torn = values(name, column_permuted(fresh, "marker"), cohort)
    assert torn["visits.marker"] < -0.25
    assert torn["visits.echo"] == values(name, fresh, cohort)["visits.echo"]


def test_last_visits_dropped_for_those_with_events_are_seen_where_the_last_value_tells():
    """The marker rises before death, so that the last value matters; without it the ratio falls."""
    cohorts = [_rising_before_death(world(500, seed)) for seed in (1, 2)]
    fresh = cohorts[1]
    last = pl.int_range(pl.len()).over("patient_id") == pl.len().over("patient_id") - 1
    died = pl.col("patient_id").is_in(fresh.static.filter(pl.col("status") == 1)["patient_id"].implode())
    first = pl.int_range(pl.len()).over("patient_id") == 0
    dropped = with_visits(fresh, fresh.visits.filter(~(last & died) | first))
    name = "time_varying_log_hazard_ratio"
    null = values(name, fresh, cohorts[0])["visits.marker"]
    assert values(name, dropped, cohorts[0])["visits.marker"] < -0.3 < null
    assert values("log_hazard_ratio", dropped, cohorts[0]) == values("log_hazard_ratio", fresh, cohorts[0])


def test_arms_swapped_turn_the_effect_round(cohort):
    acts = _with_effect_of_the_arm(cohort)
    swapped = with_static(acts, acts.static.with_columns(arm=1 - pl.col("arm")))
    effect = baseline_hazard_ratios(acts)["static.arm"].log_ratio
    found = values("log_hazard_ratio", swapped, acts)
    assert found.pop("static.arm") == pytest.approx(-2 * effect)
    assert list(found.values()) == pytest.approx([0] * len(found), abs=1e-12)


def test_damage_elsewhere_is_not_seen(cohort):
    later = with_static(cohort, cohort.static.with_columns(pl.col("futime") * 2))
    assert list(values("log_hazard_ratio", later, cohort).values()) == pytest.approx([0] * 5, abs=1e-8)
    for name in NAMES[:3]:
        same = values(name, shuffled_in_time(cohort), cohort)
        assert list(same.values()) == pytest.approx([METRICS[name].best] * len(same), abs=1e-12)


def test_awkward_cohorts_get_a_finite_value_or_a_reason():
    n_values = 0
    for cohort in awkward_cohorts().values():
        for name in NAMES:
            try:
                found = values(name, cohort, cohort)
            except NotComputableError as error:
                assert str(error)
            else:
                assert found
                assert np.isfinite(list(found.values())).all()
                n_values += 1
    assert n_values > 30


def _rising_before_death(cohort):
    """Two units are added to the marker at the last visit of those who die."""
    died = cohort.static.filter(pl.col("status") == 1)["patient_id"]
    last = pl.int_range(pl.len()).over("patient_id") == pl.len().over("patient_id") - 1
    rises = pl.col("patient_id").is_in(died.implode()) & last
    return with_visits(cohort, cohort.visits.with_columns(marker=pl.col("marker") + 2.0 * rises))


def _with_effect_of_the_arm(cohort):
    halved = pl.when((pl.col("arm") == 1) & (pl.col("status") == 1)).then(pl.col("futime") / 2).otherwise("futime")
    static = cohort.static.with_columns(futime=halved)
    return Cohort(static, cohort.visits, schema=cohort.schema, drop_after_event=True)
