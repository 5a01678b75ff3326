"""Fidelity metrics: closed forms, other libraries, simulated truth, and each known damage seen by the right metric."""

import numpy as np
import polars as pl
import pytest
from lifelines import KaplanMeierFitter
from metric_worlds import (
    BETWEEN,
    PHI,
    SCHEMA,
    WITHIN,
    column_permuted,
    dealt_across_patients,
    halves,
    relabelled,
    shuffled_in_time,
    with_static,
    with_visits,
    world,
)
from scipy.stats import ks_2samp, spearmanr

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation import FIDELITY_METRICS, measure, score_cohort
from longsynth.evaluation.association import corr_static, corr_visit, mean_correlation_error, spearman
from longsynth.evaluation.detection import detect_patient, detect_transition
from longsynth.evaluation.forecasting import r2_next_tstr
from longsynth.evaluation.marginal import kolmogorov_smirnov, ks_mean, missing_mean, total_variation, tv_mean
from longsynth.evaluation.risk_model import cindex_tstr
from longsynth.evaluation.survival import area_between, cens_area, kaplan_meier, km_area
from longsynth.evaluation.temporal import auto_lag1, corr_change, corr_lag1, icc_diff, intraclass_correlation, ks_slope
from longsynth.evaluation.visit_process import ks_gap, ks_visits, rows_after_end
from longsynth.schema.types import Channel, Schema, VisitTime

DISTANCES = [
    ks_mean, tv_mean, missing_mean, ks_visits, ks_gap, ks_slope, corr_visit, corr_lag1, auto_lag1, corr_change,
    corr_static, icc_diff, km_area, cens_area,
]  # fmt: skip


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return world(200, seed=1)


@pytest.mark.parametrize("metric", DISTANCES, ids=lambda metric: metric.__name__)
def test_a_cohort_is_at_no_distance_from_itself_and_at_some_from_another(metric, cohort):
    assert metric(cohort, cohort) == 0
    assert 0 < metric(world(200, seed=2), cohort) < 0.2


@pytest.mark.parametrize("metric", DISTANCES, ids=lambda metric: metric.__name__)
def test_distances_do_not_depend_on_the_order_of_patients(metric, cohort):
    other = world(150, seed=3)
    assert metric(relabelled(other), relabelled(cohort)) == pytest.approx(metric(other, cohort), abs=1e-12)


def test_kolmogorov_smirnov_agrees_with_scipy():
    rng = np.random.default_rng(0)
    for first, second in [
        (rng.normal(size=50), rng.normal(0.3, 1, 71)),
        (rng.poisson(2, 40) * 1.0, rng.poisson(3, 30) * 1.0),
    ]:
        assert kolmogorov_smirnov(first, second) == pytest.approx(ks_2samp(first, second).statistic)
    assert kolmogorov_smirnov(np.empty(0), np.ones(3)) == 1


def test_total_variation_by_hand():
    assert total_variation(np.array([0.0, 0, 1, 2]), np.array([0.0, 1, 1, 1])) == pytest.approx((0.25 + 0.5 + 0.25) / 2)
    assert total_variation(np.empty(0), np.ones(3)) == 1


def test_spearman_agrees_with_scipy_where_values_are_missing():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(200, 3)).round(1)
    table[:, 1] += table[:, 0]
    table[rng.random(table.shape) < 0.3] = np.nan
    expected = spearmanr(table[:, 0], table[:, 1], nan_policy="omit").statistic
    assert spearman(table, table)[0, 1] == pytest.approx(expected)


def test_a_correlation_that_the_synthetic_cohort_lacks_counts_as_zero():
    assert mean_correlation_error(np.array([np.nan, 0.5, 0.9]), np.array([0.4, 0.5, np.nan])) == pytest.approx(0.2)


def test_marginals_move_by_the_share_that_was_changed(cohort):
    n = cohort.n_patients
    moved = with_static(cohort, cohort.static.with_columns(age=pl.col("age") + 1000, arm=pl.lit(0)))
    numeric, with_levels = 2 + 3, 2 + 1 + 2  # age, futime + marker, echo, count; arm, site + status + sign, grade
    assert ks_mean(moved, cohort) == pytest.approx(1 / numeric)
    assert tv_mean(moved, cohort) == pytest.approx((cohort.static["arm"] == 1).sum() / n / with_levels)
    nothing = with_visits(cohort, cohort.visits.with_columns(echo=pl.lit(None, pl.Float64)))
    assert missing_mean(nothing, cohort) == pytest.approx(cohort.visits["echo"].count() / cohort.n_visits / 8)
    assert ks_mean(nothing, cohort) == pytest.approx(1 / numeric)


def test_order_in_time_is_seen_by_the_temporal_metrics_alone():
    cohort = world(150, seed=1, drift=1.0)
    damaged = shuffled_in_time(cohort)
    for blind in (ks_mean, tv_mean, missing_mean, ks_visits, ks_gap, corr_visit, icc_diff, km_area):
        assert blind(damaged, cohort) == pytest.approx(0, abs=1e-12), blind.__name__
    fresh = world(150, seed=2, drift=1.0)
    for metric in (auto_lag1, corr_lag1, ks_slope):
        assert metric(damaged, cohort) > 2 * metric(fresh, cohort), metric.__name__
    assert detect_transition(damaged, fresh) > 0.65


def test_patients_mixed_up_are_seen_by_the_patient_metrics_alone(cohort):
    damaged = dealt_across_patients(cohort)
    for blind in (ks_mean, tv_mean, missing_mean, ks_visits, ks_gap, corr_visit, km_area):
        assert blind(damaged, cohort) == pytest.approx(0, abs=1e-12), blind.__name__
    fresh = world(200, seed=2)
    assert icc_diff(damaged, cohort) > 0.3
    for metric in (icc_diff, auto_lag1, corr_lag1, corr_static):
        assert metric(damaged, cohort) > 1.5 * metric(fresh, cohort), metric.__name__
    assert detect_patient(damaged, fresh) > 0.75


def test_columns_torn_apart_are_seen_by_the_correlations_alone(cohort):
    damaged = column_permuted(cohort, "echo")
    assert ks_mean(damaged, cohort) == pytest.approx(0, abs=1e-12)
    assert corr_visit(damaged, cohort) > 0.2
    assert corr_change(damaged, cohort) > 0.05


def test_changes_that_go_the_other_way_are_seen_where_levels_hardly_tell():
    rng = np.random.default_rng(0)
    level, change = np.repeat(rng.normal(0, 9, 80), 3), rng.normal(size=240)
    schema = Schema(visit_time=VisitTime(column="t"), channels={name: Channel(kind="continuous") for name in "xy"})
    cohorts = []
    for sign in (1, -1):
        visits = pl.DataFrame({"patient_id": np.repeat(np.arange(80), 3), "t": np.tile(np.arange(3.0), 80)})
        visits = visits.with_columns(x=level + change, y=level + sign * change)
        cohorts.append(Cohort(visits.select("patient_id").unique(), visits, schema=schema))
    assert corr_change(*cohorts) == pytest.approx(2)
    assert corr_visit(*cohorts) < 0.05


def test_longer_gaps_and_fewer_visits_are_told_apart():
    cohort = Cohort(world(100, 1).static.drop("futime", "status"), world(100, 1).visits, schema=_without_event(SCHEMA))
    longer = with_visits(cohort, cohort.visits.with_columns(day=pl.col("day") * 100))
    assert (ks_gap(longer, cohort), ks_visits(longer, cohort)) == (1, 0)
    first = with_visits(cohort, cohort.visits.filter(pl.int_range(pl.len()).over("patient_id") == 0))
    more_than_one = cohort.visits.group_by("patient_id").len().filter(pl.col("len") > 1).height / cohort.n_patients
    assert ks_visits(first, cohort) == pytest.approx(more_than_one)
    assert ks_gap(first, cohort) == 1


def test_rounding_errors_of_times_are_no_difference_between_cohorts():
    cohorts = [
        Cohort(c.static.drop("futime", "status"), c.visits, schema=_without_event(SCHEMA))
        for c in halves(world(100, 1))
    ]
    hours = [with_visits(c, c.visits.with_columns(day=pl.col("day") / 24)) for c in cohorts]
    rounded = with_visits(hours[0], hours[0].visits.with_columns(pl.col("day").round(6)))
    assert ks_gap(rounded, hours[0]) == 0
    for metric in (detect_patient, detect_transition):
        assert metric(rounded, hours[1]) == pytest.approx(metric(hours[0], hours[1]), abs=0.03)


def test_intraclass_correlation_recovers_the_truth_of_a_simulation():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        patients = np.repeat(np.arange(100), 5)
        found.append(intraclass_correlation(rng.normal(0, 1.5, 100)[patients] + rng.normal(size=500), patients))
    truth = 1.5**2 / (1.5**2 + 1)
    assert np.mean(found) == pytest.approx(
        truth, abs=3 * np.std(found) / np.sqrt(len(found)) + 0.005
    )  # ratio: bias ~ 1/N


def test_intraclass_correlation_by_hand_and_where_it_has_no_value():
    values, patients = np.array([1.0, 3.0, 5.0, 7.0, 100.0]), np.array([0, 0, 1, 1, 2])
    between, within = 8 - 2 / 2, 2.0  # means 2 and 6; the patient with one value is left out
    assert intraclass_correlation(values, patients) == pytest.approx(between / (between + within))
    assert np.isnan(intraclass_correlation(np.ones(4), np.array([0, 0, 1, 1])))
    assert np.isnan(intraclass_correlation(np.arange(3.0), np.arange(3)))


def test_visits_dealt_across_patients_have_no_intraclass_correlation():
    dealt = dealt_across_patients(world(2000, seed=5))
    ids = dealt.visits["patient_id"].rank("dense").to_numpy().astype(int)
    assert intraclass_correlation(dealt.visits["marker"].to_numpy(), ids) == pytest.approx(0, abs=3 / np.sqrt(2000))


def test_kaplan_meier_agrees_with_lifelines():
    rng = np.random.default_rng(0)
    durations, happened = rng.integers(0, 50, 200) * 1.0, rng.random(200) < 0.6
    times, survival = kaplan_meier(durations, happened)
    expected = KaplanMeierFitter().fit(durations, happened).predict(times)
    np.testing.assert_allclose(survival, expected, atol=1e-12)


def test_area_between_by_hand():
    first = kaplan_meier(np.array([1.0, 3.0]), np.array([True, True]))  # 1, then 1/2 from 1, 0 from 3
    second = kaplan_meier(np.array([2.0, 9.0]), np.array([True, False]))  # 1, then 1/2 from 2
    assert area_between(first, second, horizon=4.0) == pytest.approx((0 + 0.5 + 0 + 0.5) / 4)


def test_area_between_two_exponentials_is_the_closed_form():
    rng = np.random.default_rng(0)
    n, horizon = 200_000, 2.0
    curves = [kaplan_meier(rng.exponential(1 / rate, n), np.ones(n, bool)) for rate in (1.0, 0.5)]
    exact = (2 * (1 - np.exp(-0.5 * horizon)) - (1 - np.exp(-horizon))) / horizon
    assert area_between(curves[0], curves[1], horizon) == pytest.approx(exact, abs=3 / np.sqrt(n))


def test_censoring_is_the_event_seen_from_the_other_side(cohort):
    other = world(200, seed=2)
    swapped = [with_static(c, c.static.with_columns(status=1 - pl.col("status"))) for c in (other, cohort)]
    assert cens_area(*swapped) == km_area(other, cohort)


def test_concordance_follows_what_the_covariates_know(cohort):
    assert cindex_tstr(world(300, seed=2), cohort) > 0.65
    shuffled = cohort.static.with_columns(
        cohort.static.select("futime", "status").sample(fraction=1, shuffle=True, seed=0)
    )
    no_relation = Cohort(shuffled, cohort.visits, schema=SCHEMA, drop_after_event=True)
    assert cindex_tstr(no_relation, cohort) < cindex_tstr(cohort, cohort) - 0.05
    opposite = with_static(cohort, cohort.static.with_columns(futime=1000 - pl.col("futime"), status=pl.lit(1)))
    assert cindex_tstr(opposite, cohort) < 0.4


def test_forecasts_reach_what_the_autoregression_allows():
    made, real = world(1000, seed=2, n_visits=8), world(1000, seed=3, n_visits=8)
    total = BETWEEN**2 + WITHIN**2
    lag1 = (BETWEEN**2 + PHI * WITHIN**2) / total  # the best forecast from this visit alone explains lag1²
    score = r2_next_tstr(_with_channels(made, "marker"), _with_channels(real, "marker"))
    assert lag1**2 - 0.06 < score < lag1**2 + 0.03
    assert r2_next_tstr(_with_channels(shuffled_far(made), "marker"), _with_channels(real, "marker")) < 0.1


def test_a_fresh_cohort_is_not_detected_and_a_shifted_one_is():
    fresh, real = world(150, seed=2), world(150, seed=3)
    assert abs(detect_patient(fresh, real) - 0.5) < 3 * 0.033  # standard error of an AUC, 150 a side
    assert abs(detect_transition(fresh, real) - 0.5) < 3 * 0.033
    shifted = with_visits(fresh, fresh.visits.with_columns(marker=pl.col("marker") + 3))
    assert detect_patient(shifted, real) > 0.95
    assert detect_transition(shifted, real) > 0.9


def test_transitions_of_one_patient_never_lie_on_both_sides_of_a_fold():
    # Patients that differ a lot, each alike at all visits: were folds made of visits, patients would be recognised.
    rng = np.random.default_rng(0)
    schema = Schema(
        visit_time=VisitTime(column="day"), channels={f"c{i}": Channel(kind="continuous") for i in range(4)}
    )
    level = np.repeat(rng.normal(size=(80, 4)), 15, axis=0)
    ids, days = np.repeat(np.arange(80), 15), np.tile(np.arange(15), 80)
    visits = pl.DataFrame({"patient_id": ids, "day": days, **{f"c{i}": level[:, i] for i in range(4)}})
    first, second = halves(Cohort(visits.select("patient_id").unique(), visits, schema=schema))
    assert detect_transition(first, second) < 0.7  # folds of visits: 1.0


def test_detection_is_repeatable_and_blind_to_patient_ids():
    made, real = world(60, seed=2), world(50, seed=3)
    for metric in (detect_patient, detect_transition):
        assert metric(made, real, seed=4) == metric(relabelled(made), relabelled(real), seed=4)
        assert metric(made, real, seed=4) != metric(made, real, seed=5)


def test_no_visit_lies_after_the_end(cohort):
    assert rows_after_end(cohort) == 0
    cohort = world(20, seed=1)
    cohort.static = cohort.static.with_columns(futime=pl.lit(-1.0))  # past the checks of Cohort
    assert rows_after_end(cohort) == cohort.n_visits


def test_every_metric_has_a_value_on_a_full_cohort():
    values, reasons = measure(world(60, seed=2), world(60, seed=3), world(60, seed=4))
    assert tuple(values) == FIDELITY_METRICS
    assert reasons == {}
    assert all(np.isfinite(value) for value in values.values())


@pytest.mark.parametrize("left", ["no event", "one channel", "no channel", "static only", "no static", "few patients"])
def test_what_cannot_be_computed_is_none_with_a_reason(left):
    cohorts = [_reduced(world(30, seed), left) for seed in (1, 2, 3)]
    values, reasons = measure(*cohorts)
    assert {name for name, value in values.items() if value is None} == set(reasons)
    assert all(value is None or np.isfinite(value) for value in values.values())
    missing = {
        "no event": {"km_area", "cens_area", "cindex_tstr", "cindex_trtr", "rows_after_end"},
        "one channel": {"corr_visit", "corr_change"},
        "no channel": {"corr_visit", "corr_lag1", "auto_lag1", "corr_change", "corr_static", "icc_diff", "ks_slope",
                       "r2_next_tstr", "r2_next_trtr"},
        "static only": {"detect_transition", "ks_visits", "ks_gap", "ks_slope", "corr_visit", "corr_lag1", "auto_lag1",
                        "corr_change", "corr_static", "icc_diff", "r2_next_tstr", "r2_next_trtr", "rows_after_end"},
        "no static": set(),
        "few patients": {"detect_patient", "detect_transition"},
    }  # fmt: skip
    assert set(reasons) >= missing[left]
    assert "few" in left or set(reasons) == missing[left]
    assert score_cohort(*cohorts) == values


def test_a_synthetic_cohort_without_visits_or_with_constants_is_no_good_score():
    cohort = world(60, seed=1)
    constant = with_visits(cohort, cohort.visits.with_columns(marker=pl.lit(0.0), echo=pl.lit(0.0)))
    assert corr_visit(constant, cohort) > 0.3
    assert icc_diff(constant, cohort) > 0.2
    empty = Cohort(cohort.static, cohort.visits.clear(), schema=SCHEMA, origin="synthetic")
    assert (ks_gap(empty, cohort), ks_slope(empty, cohort)) == (1, 1)
    values, _ = measure(empty, cohort, cohort)
    assert values["detect_patient"] > 0.9
    assert values["detect_transition"] is None


def _without_event(schema: Schema) -> Schema:
    return schema.model_copy(update={"terminal_event": None})


def _with_channels(cohort: Cohort, *names: str) -> Cohort:
    schema = SCHEMA.model_copy(update={"channels": {name: SCHEMA.channels[name] for name in names}, "static": {}})
    return Cohort(cohort.static, cohort.visits, schema=schema)


def shuffled_far(cohort: Cohort) -> Cohort:
    return dealt_across_patients(cohort, seed=1)


def _reduced(cohort: Cohort, left: str) -> Cohort:
    static, visits = cohort.static, cohort.visits
    if left == "no event":
        return Cohort(static, visits, schema=_without_event(SCHEMA))
    if left == "one channel":
        return Cohort(
            static, visits, schema=SCHEMA.model_copy(update={"channels": {"marker": SCHEMA.channels["marker"]}})
        )
    if left == "no channel":
        return Cohort(static, visits, schema=SCHEMA.model_copy(update={"channels": {}}))
    if left == "static only":
        return Cohort(static, schema=SCHEMA.model_copy(update={"channels": {}, "visit_time": None}))
    if left == "no static":
        return Cohort(static, visits, schema=SCHEMA.model_copy(update={"static": {}}))
    return cohort.select(static["patient_id"][:5])
