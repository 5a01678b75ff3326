"""Marginal metrics: scipy's values, closed forms, weights by patient, and each shift seen."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import dealt_across_patients, relabelled, shuffled_in_time, with_visits, world
from scipy.stats import ks_2samp, norm, wasserstein_distance

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE, Setting
from longsynth.evaluation.marginal import kolmogorov_smirnov, ks_mean, quantile_table, total_variation, tv_mean
from longsynth.evaluation.metrics.marginal import (
    ks,
    ks_patient_weighted,
    tv,
    tv_patient_weighted,
    wasserstein,
    wasserstein_iqr,
)
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime

ALL = [ks, ks_patient_weighted, tv, tv_patient_weighted, wasserstein, wasserstein_iqr]
SETTING = Setting()


@pytest.fixture(scope="module")
def pair() -> tuple[Cohort, Cohort]:
    return world(60, seed=2), world(60, seed=3)


def test_whole_is_the_plain_mean_and_parts_are_scipys(pair):
    made, real = pair
    found = ks(made, real, SETTING)
    assert found[WHOLE] == ks_mean(made, real)
    assert found["visits.marker"] == pytest.approx(ks_2samp(made.visits["marker"], real.visits["marker"]).statistic)
    assert found["event.duration"] == pytest.approx(ks_2samp(made.static["futime"], real.static["futime"]).statistic)
    assert set(found) == {WHOLE, "static.age", "event.duration", "visits.marker", "visits.echo", "visits.count"}
    levels = tv(made, real, SETTING)
    assert levels[WHOLE] == tv_mean(made, real)
    assert set(levels) == {WHOLE, "static.arm", "static.site", "event.type", "visits.sign", "visits.grade"}


def test_weights_are_copies_of_values():
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.integers(0, 9, 12) * 1.0, rng.integers(2, 11, 7) * 1.0
        copies = rng.integers(1, 4, 12), rng.integers(1, 4, 7)
        repeated = [np.repeat(values, n) for values, n in zip((first, second), copies, strict=True)]
        weights = copies[0] / 5.0, copies[1] / 3.0
        for distance in (kolmogorov_smirnov, total_variation):
            assert distance(first, second, weights) == pytest.approx(distance(*repeated))


def test_patients_weigh_the_same_however_often_they_are_seen():
    schema = Schema(
        visit_time=VisitTime(column="t"),
        channels={"x": Channel(kind="continuous"), "y": Channel(kind="binary", levels=(0, 1))},
    )
    cohorts = []
    for n_often in (9, 1):  # one patient at 0 seen often or once, one at 1 seen once
        visits = pl.DataFrame({"patient_id": ["a"] * n_often + ["b"], "t": [*range(n_often), 0.0]}, strict=False)
        visits = visits.with_columns(x=(pl.col("patient_id") == "b").cast(pl.Float64))
        visits = visits.with_columns(y=pl.col("x").cast(pl.Int64))
        cohorts.append(Cohort(visits.select("patient_id").unique(), visits, schema=schema))
    for metric in (ks_patient_weighted, tv_patient_weighted):
        assert metric(*cohorts, SETTING)[WHOLE] == pytest.approx(0)
    assert ks(*cohorts, SETTING)["visits.x"] == tv(*cohorts, SETTING)["visits.y"] == pytest.approx(0.4)


def test_wasserstein_is_scipys_and_the_size_of_a_shift(pair):
    made, real = pair
    found = wasserstein(made, real, SETTING)
    assert set(found) == {"static.age", "event.duration", "visits.marker", "visits.echo", "visits.count"}
    assert found["visits.marker"] == wasserstein_distance(made.visits["marker"], real.visits["marker"])
    shifted = with_visits(real, real.visits.with_columns(marker=pl.col("marker") + 2))
    found = wasserstein(shifted, real, SETTING)
    assert found == pytest.approx({**dict.fromkeys(found, 0), "visits.marker": 2})
    iqr = np.subtract(*np.quantile(real.visits["marker"].to_numpy(), [0.75, 0.25]))
    assert wasserstein_iqr(shifted, real, SETTING) == {WHOLE: pytest.approx(2 / iqr / len(found))}


def test_wasserstein_of_a_wider_normal_is_the_closed_form():
    rng = np.random.default_rng(1)
    n, schema = 20_000, Schema(static={"x": StaticColumn(kind="continuous")})
    ids = np.arange(n)
    cohorts = [
        Cohort(pl.DataFrame({"patient_id": ids, "x": spread * rng.normal(size=n)}), schema=schema) for spread in (2, 1)
    ]
    exact = np.sqrt(2 / np.pi)  # E|2z - z|
    assert wasserstein(*cohorts, SETTING)["static.x"] == pytest.approx(exact, abs=3 * np.sqrt(5 * (1 - 2 / np.pi) / n))
    exact /= 2 * norm.ppf(0.75)
    assert wasserstein_iqr(*cohorts, SETTING)[WHOLE] == pytest.approx(exact, rel=0.035)  # 3 standard errors


def test_counts_that_are_mostly_zero_are_measured_in_standard_deviations():
    schema = Schema(static={"x": StaticColumn(kind="count"), "same": StaticColumn(kind="count")})
    values = np.array([0] * 9 + [3])
    table = pl.DataFrame({"patient_id": range(10), "x": values, "same": [7] * 10})
    other = table.with_columns(x=pl.Series(values[::-1] * 2), same=pl.lit(8))
    cohorts = Cohort(other, schema=schema), Cohort(table, schema=schema)
    assert wasserstein(*cohorts, SETTING) == pytest.approx({"static.x": 0.3, "static.same": 1})
    assert wasserstein_iqr(*cohorts, SETTING)[WHOLE] == pytest.approx(0.3 / values.std())


def test_time_and_patients_are_not_looked_at(pair):
    made, real = pair
    for metric in ALL:
        for other in (relabelled(made), shuffled_in_time(made)):
            if other.n_visits == made.n_visits and metric not in (ks_patient_weighted, tv_patient_weighted):
                assert metric(other, real, SETTING) == pytest.approx(metric(made, real, SETTING))
    for metric in (ks, tv, wasserstein):
        assert metric(dealt_across_patients(made), real, SETTING) == pytest.approx(metric(made, real, SETTING))


def test_awkward_cohorts_have_finite_values_or_a_reason():
    for cohort in awkward_cohorts().values():
        for metric in ALL:
            try:
                assert set(metric(cohort, cohort, SETTING).values()) == {0.0}
            except NotComputableError as error:
                assert "it needs a" in str(error)


def test_a_column_without_values_is_no_good_score(pair):
    made, real = pair
    empty = with_visits(made, made.visits.with_columns(marker=pl.lit(None, pl.Float64), sign=pl.lit(None, pl.Int64)))
    assert ks(empty, real, SETTING)["visits.marker"] == ks_patient_weighted(empty, real, SETTING)["visits.marker"] == 1
    assert tv(empty, real, SETTING)["visits.sign"] == tv_patient_weighted(empty, real, SETTING)["visits.sign"] == 1
    assert "visits.marker" not in wasserstein(empty, real, SETTING)


def test_quantile_table_gives_units_and_hides_what_few_values_lie_beyond(pair):
    made, real = pair
    schema = real.schema.model_copy(update={"channels": {"marker": Channel(kind="continuous", unit="mg/dL")}})
    found = quantile_table({"real": Cohort(real.static, real.visits, schema=schema), "made": made})
    assert found["cohort"].to_list()[:2] == ["real", "made"]
    marker = found.row(by_predicate=(pl.col("column") == "visits.marker") & (pl.col("cohort") == "real"), named=True)
    assert (marker["unit"], marker["n"]) == ("mg/dL", real.n_visits)
    assert marker["p95"] == pytest.approx(np.quantile(real.visits["marker"].to_numpy(), 0.95))
    assert marker["p1"] is None  # 1 % of the visits are fewer than 5
    duration = found.filter(column="event.duration")
    assert duration["unit"].to_list() == ["days", "days"]
    assert duration["p5"].to_list() == [None, None]
    assert duration["p25"].null_count() == 0


def test_quantile_table_of_awkward_cohorts():
    for cohort in awkward_cohorts().values():
        found = quantile_table({"only": cohort})
        assert found.select(pl.selectors.float().is_infinite().any()).row(0) == (False,) * 7
