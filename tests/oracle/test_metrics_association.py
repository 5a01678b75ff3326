"""Association metrics: scipy's values, closed forms, and between and within patients kept apart."""

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
from scipy.stats import pearsonr, rankdata, spearmanr
from scipy.stats.contingency import association

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.association import (
    Table,
    associations,
    corr_static,
    correlation_ratios,
    correlations,
    cramers_v,
)
from longsynth.evaluation.base import WHOLE, Setting
from longsynth.evaluation.metrics.association import (
    association_first_visit,
    association_patient_mean,
    association_static,
    association_static_trajectory,
    association_within_patient,
)
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime

SETTING = Setting()
CHANNELS = [association_first_visit, association_patient_mean, association_within_patient]
ALL = [*CHANNELS, association_static, association_static_trajectory]


@pytest.fixture(scope="module")
def pair() -> tuple[Cohort, Cohort]:
    return world(80, seed=2), world(80, seed=3)


def with_gaps(rng: np.random.Generator, n: int, columns: int) -> np.ndarray:
    table = rng.normal(size=(n, columns)) @ rng.normal(size=(columns, columns)) + 1e3
    table[rng.random((n, columns)) < 0.2] = np.nan
    return table


def test_correlations_agree_with_scipy_where_values_are_missing():
    rng = np.random.default_rng(0)
    first, second = with_gaps(rng, 60, 4), with_gaps(rng, 60, 3)
    found = correlations(first, second)
    for i, x in enumerate(first.T):
        for j, y in enumerate(second.T):
            both = ~(np.isnan(x) | np.isnan(y))
            assert found[i, j] == pytest.approx(pearsonr(x[both], y[both]).statistic, abs=1e-12)


def test_correlations_without_a_value():
    table = np.column_stack([np.arange(30.0), np.full(30, 0.1), np.r_[np.arange(19.0), np.full(11, np.nan)]])
    found = correlations(table, table)
    assert found[0, 0] == pytest.approx(1)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[2]).all()


def test_correlation_ratio_is_that_of_the_analysis_of_variance():
    rng = np.random.default_rng(1)
    levels, values = rng.integers(0, 4, 80) * 1.0, with_gaps(rng, 80, 3)
    levels[:7] = np.nan
    found = correlation_ratios(levels, values)
    for i, x in enumerate(values.T):
        both = ~(np.isnan(levels) | np.isnan(x))
        groups = [x[both & (levels == k)] for k in range(4)]
        between = sum(len(group) * (group.mean() - x[both].mean()) ** 2 for group in groups)
        assert found[i] == pytest.approx(np.sqrt(between / ((x[both] - x[both].mean()) ** 2).sum()))
    assert np.isnan(correlation_ratios(np.zeros(80), values)).all()


def test_cramers_v_is_scipys_less_its_bias():
    rng = np.random.default_rng(2)
    first = rng.integers(0, 3, 300) * 1.0
    second = np.where(rng.random(300) < 0.5, first, rng.integers(0, 4, 300))
    table = np.histogram2d(first, second, [np.arange(-0.5, 3), np.arange(-0.5, 4)])[0].astype(int)
    raw, n = association(table, method="cramer"), 300
    phi2 = raw**2 * 2 - 2 * 3 / (n - 1)
    expected = np.sqrt(phi2 / min(3 - 4 / (n - 1) - 1, 4 - 9 / (n - 1) - 1))
    assert cramers_v(first, second) == pytest.approx(expected)
    assert cramers_v(first, first) == pytest.approx(1, abs=0.01)
    assert np.isnan(cramers_v(first, np.zeros(300)))


def test_cramers_v_of_independent_columns_is_not_biased_upwards():
    rng = np.random.default_rng(3)
    found = [cramers_v(*rng.integers(0, 5, (2, 50)) * 1.0) ** 2 for _ in range(200)]
    assert np.median(found) < 0.01  # without the correction: (5-1)/49 = 0.08


def test_pairs_are_measured_as_their_kinds_ask():
    rng = np.random.default_rng(4)
    ordered = np.exp(with_gaps(rng, 70, 2) - 1e3)
    levels = rng.integers(0, 3, (70, 2)) * 1.0
    table = Table(ordered, levels, ["a", "b", "c", "d"])
    found = associations(table, table)
    complete = associations(
        table._replace(ordered=np.nan_to_num(ordered)), table._replace(ordered=np.nan_to_num(ordered))
    )
    assert complete[0, 1] == pytest.approx(spearmanr(*np.nan_to_num(ordered).T).statistic)
    assert complete[0, 2] == correlation_ratios(levels[:, 0], rankdata(np.nan_to_num(ordered[:, [0]]), axis=0))[0]
    assert found[2, 3] == cramers_v(levels[:, 0], levels[:, 1])
    np.testing.assert_allclose(found, found.T)


def test_first_visits_are_scipys_spearman(pair):
    def rho(cohort):
        first = cohort.visits.filter(pl.col("day") == pl.col("day").min().over("patient_id"))
        return spearmanr(first["marker"], first["count"]).statistic

    channels = {name: pair[0].schema.channels[name] for name in ("marker", "count")}
    schema = pair[0].schema.model_copy(update={"channels": channels})
    cohorts = [Cohort(cohort.static, cohort.visits, schema=schema) for cohort in pair]
    error = abs(rho(cohorts[0]) - rho(cohorts[1]))
    expected = dict.fromkeys((WHOLE, "max", "visits.marker", "visits.count"), pytest.approx(error))
    assert association_first_visit(*cohorts, SETTING) == expected


def test_between_and_within_patients_are_kept_apart():
    rng = np.random.default_rng(5)
    level, change = np.repeat(rng.normal(0, 3, 80), 4), rng.normal(size=320)
    same, opposite = two_channels(level + change, level + change), two_channels(level + change, level - change)
    assert association_within_patient(opposite, same, SETTING)[WHOLE] == pytest.approx(2)
    assert association_patient_mean(opposite, same, SETTING)[WHOLE] < 0.1
    other_level = np.repeat(rng.normal(0, 3, 80), 4)
    apart = two_channels(level + change, other_level + change)
    assert association_within_patient(apart, same, SETTING)[WHOLE] == pytest.approx(0, abs=1e-9)
    assert association_patient_mean(apart, same, SETTING)[WHOLE] > 0.7


def two_channels(x: np.ndarray, y: np.ndarray, n_visits: int = 4) -> Cohort:
    schema = Schema(visit_time=VisitTime(column="t"), channels={name: Channel(kind="continuous") for name in "xy"})
    n = len(x) // n_visits
    visits = pl.DataFrame({"patient_id": np.repeat(np.arange(n), n_visits), "t": np.tile(np.arange(n_visits), n)})
    return Cohort(visits.select("patient_id").unique(), visits.with_columns(x=x, y=y), schema=schema)


def test_equal_deviations_stay_equal_whatever_the_rounding():
    rng = np.random.default_rng(6)
    grade, noise = rng.integers(0, 3, 400) * 1.0, rng.normal(size=400)
    tenths = two_channels(grade * 0.1, noise)
    wholes = two_channels(grade, noise)
    assert association_within_patient(tenths, wholes, SETTING)[WHOLE] == pytest.approx(0, abs=1e-9)


def test_patients_seen_once_say_nothing_about_changes(pair):
    made, real = pair
    once = made.visits.filter(pl.col("patient_id").is_first_distinct()).with_columns(pl.col("patient_id") + "x")
    static = pl.concat([made.static, made.static.with_columns(pl.col("patient_id") + "x")])
    more = Cohort(static, pl.concat([made.visits, once]), schema=made.schema)
    expected = association_within_patient(made, real, SETTING)
    ordered = ("visits.marker", "visits.echo", "visits.count", "visits.sign")
    found = association_within_patient(more, real, SETTING)
    assert [found[name] for name in ordered] == pytest.approx([expected[name] for name in ordered])


def test_categorical_channels_are_seen(pair):
    graded = [with_visits(cohort, cohort.visits.with_columns(grade=by_marker())) for cohort in pair]
    permuted = column_permuted(graded[0], "grade")
    for metric in CHANNELS:
        errors = [metric(cohort, graded[1], SETTING)["visits.grade"] for cohort in (permuted, graded[0])]
        assert errors[0] > 0.1
        assert errors[0] > 1.5 * errors[1]


def by_marker() -> pl.Expr:
    marker = pl.col("marker")
    return pl.when(marker < -0.5).then(pl.lit("a")).when(marker < 0.5).then(pl.lit("b")).otherwise(pl.lit("c"))


@pytest.mark.parametrize("metric", CHANNELS, ids=lambda metric: metric.__name__)
def test_permuted_columns_are_seen_and_a_fresh_half_is_closer(metric):
    fresh, real = halves(world(400, seed=1))
    permuted = column_permuted(fresh, "marker")
    assert metric(permuted, real, SETTING)["visits.marker"] > 2 * metric(fresh, real, SETTING)["visits.marker"]
    assert metric(fresh, real, SETTING) == pytest.approx(metric(relabelled(fresh), real, SETTING))


def test_visit_order_is_seen_by_first_visits_only(pair):
    made, real = pair
    shuffled = shuffled_in_time(made)
    for metric in (association_patient_mean, association_within_patient):
        assert metric(shuffled, real, SETTING) == pytest.approx(metric(made, real, SETTING))
    dealt = dealt_across_patients(made)
    assert association_patient_mean(dealt, real, SETTING)[WHOLE] > association_patient_mean(made, real, SETTING)[WHOLE]


def test_static_attributes_among_themselves():
    rng = np.random.default_rng(7)
    age = rng.normal(60, 9, 90)
    table = pl.DataFrame({"patient_id": range(90), "age": age, "weight": 80 - age + rng.normal(0, 5, 90)})
    table = table.with_columns(site=pl.Series(np.where(age > 60, "north", "south")))
    columns = {name: StaticColumn(kind="continuous") for name in ("age", "weight")}
    schema = Schema(static={**columns, "site": StaticColumn(kind="categorical", levels=("north", "south"))})
    real = Cohort(table, schema=schema)
    permuted = Cohort(table.with_columns(age=pl.Series(rng.permutation(age))), schema=schema)
    found = association_static(permuted, real, SETTING)
    assert set(found) == {WHOLE, "max", "static.age", "static.weight", "static.site"}
    assert found["static.age"] > 0.6
    assert association_static(real, real, SETTING)[WHOLE] == 0


def test_static_rows_with_trajectories_are_close_to_the_plain_metric(pair):
    schema = pair[0].schema.model_copy(update={"static": {"age": pair[0].schema.static["age"]}})
    channels = {name: pair[0].schema.channels[name] for name in ("marker", "count")}
    schema = schema.model_copy(update={"channels": channels})  # all observed and ordered
    cohorts = [Cohort(cohort.static, cohort.visits, schema=schema) for cohort in pair]
    found = association_static_trajectory(*cohorts, SETTING)
    assert found[WHOLE] == pytest.approx(corr_static(*cohorts), rel=0.1)  # patients of one visit have no slope
    assert set(found) == {WHOLE, "max", "static.age", "event.duration", "event.type", "visits.marker", "visits.count"}
    others = [cohort.select(seen_twice(cohort)) for cohort in cohorts]
    assert association_static_trajectory(*others, SETTING)[WHOLE] == pytest.approx(corr_static(*others))


def seen_twice(cohort: Cohort) -> pl.Series:
    return cohort.visits.group_by("patient_id").len().filter(pl.col("len") > 1)["patient_id"]


def test_static_rows_of_other_patients_and_permuted_events_are_seen():
    fresh, real = halves(world(400, seed=1))
    static = fresh.static.drop("futime", "status")
    other = with_static(fresh, fresh.static.with_columns(age=static["age"].sample(fraction=1, shuffle=True, seed=0)))
    found = association_static_trajectory(fresh, real, SETTING)
    assert association_static_trajectory(other, real, SETTING)["static.age"] > 2 * found["static.age"]
    dealt = dealt_across_patients(fresh)
    assert association_static_trajectory(dealt, real, SETTING)[WHOLE] > found[WHOLE]


def test_a_column_made_constant_is_no_good_score(pair):
    made, real = pair
    constant = with_visits(made, made.visits.with_columns(marker=pl.lit(0.1), echo=pl.lit(0.1)))
    for metric in CHANNELS:
        assert metric(constant, real, SETTING)["visits.marker"] > metric(made, real, SETTING)["visits.marker"]


def test_awkward_cohorts_are_like_themselves_or_have_a_reason():
    for cohort in awkward_cohorts().values():
        for metric in ALL:
            try:
                assert set(metric(cohort, cohort, SETTING).values()) == {0.0}
            except NotComputableError as error:
                assert str(error)
