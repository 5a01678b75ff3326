"""Rules: what can still be broken in a valid cohort, by hand, beside what real patients do."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import dealt_across_patients, halves, relabelled, shuffled_in_time, with_visits, world
from scipy.special import comb

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation import evaluate
from longsynth.evaluation.base import WHOLE, Setting
from longsynth.evaluation.metrics import rules
from longsynth.evaluation.metrics.rules import outside_range, rule_violations, unwritten_rules
from longsynth.evaluation.splits import Effort
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime

SETTING = Setting()
ALL = [rule_violations, outside_range, unwritten_rules]
SCHEMA = Schema(
    visit_time=VisitTime(column="t"),
    static={"birth": StaticColumn(kind="date"), "entry": StaticColumn(kind="date")},
    channels={
        "systolic": Channel(kind="continuous", unit="mmHg", bounds=(60, 200), inferred=("bounds",)),
        "diastolic": Channel(kind="continuous", unit="mmHg", decimals=0, inferred=("decimals",)),
        "height": Channel(kind="continuous", unit="cm"),
        "age": Channel(kind="continuous", unit="years"),
        "stage": Channel(kind="categorical", levels=("well", "ill", "cured")),
    },
)


def clinic(n: int = 30, seed: int = 0) -> Cohort:
    """Pressures in order, heights that never change, ages that only rise, and nobody cured who falls ill again."""
    rng = np.random.default_rng(seed)
    diastolic = rng.integers(60, 90, (n, 4)) * 1.0
    cured = rng.integers(1, 3, n)[:, None] <= np.arange(4)
    static = pl.DataFrame({"patient_id": np.arange(n)}).with_columns(
        birth=pl.date(1950, 1, 1), entry=pl.date(2000, 1, 1)
    )
    visits = pl.DataFrame({
        "patient_id": np.repeat(np.arange(n), 4), "t": np.tile(np.arange(4), n), "diastolic": diastolic.ravel(),
        "systolic": (diastolic + rng.integers(0, 60, (n, 4))).ravel(),
        "height": np.repeat(rng.integers(150, 190, n) * 1.0, 4),
        "age": (rng.integers(20, 60, n)[:, None] + np.arange(4.0)).ravel(),
        "stage": np.where(cured, "cured", rng.choice(["well", "ill"], (n, 4))).ravel(),
    })  # fmt: skip
    return Cohort(static, visits, schema=SCHEMA)


def changed(cohort: Cohort, patients: int, **values: pl.Expr) -> Cohort:
    """Other values at the last visits of the first patients."""
    chosen = (pl.col("patient_id") < patients) & (pl.col("t") == 3)
    columns = [pl.when(chosen).then(value).otherwise(name).alias(name) for name, value in values.items()]
    return with_visits(cohort, cohort.visits.with_columns(columns))


def test_inferred_bounds_and_decimals_can_be_broken_and_are_counted_by_patient():
    real = clinic()
    assert set(rule_violations(clinic(seed=1), real, SETTING).values()) == {0.0}
    damaged = changed(real, 6, systolic=pl.lit(201.0))
    damaged = changed(damaged, 3, diastolic=pl.lit(70.5))
    found = rule_violations(damaged, real, SETTING)
    assert found["visits.systolic"] == pytest.approx(6 / 30)
    assert found["visits.diastolic"] == pytest.approx(3 / 30)
    assert found[WHOLE] == pytest.approx(6 / 30)
    assert found["static.birth"] == 0


def test_the_schema_of_the_reference_counts():
    channels = {**SCHEMA.channels, "age": Channel(kind="continuous", bounds=(0, 30))}
    made = clinic()
    strict = SCHEMA.model_copy(update={"channels": channels})
    young = Cohort(made.static, made.visits.filter(pl.col("age") <= 30), schema=strict)
    n_older = made.visits.filter(pl.col("age") > 30)["patient_id"].n_unique()
    assert rule_violations(made, young, SETTING)["visits.age"] == pytest.approx(n_older / 30)


def test_values_outside_the_range_of_real_ones():
    real = clinic()
    fresh = outside_range(real, real, SETTING)
    assert set(fresh.values()) == {0.0}
    found = outside_range(changed(real, 6, age=pl.lit(99.0), height=pl.lit(100.0)), real, SETTING)
    assert found["visits.age"] == found["visits.height"] == pytest.approx(6 / 120)
    assert found[WHOLE] == pytest.approx(np.mean(list(found.values())[1:]))
    never_cured = with_visits(real, real.visits.with_columns(pl.col("stage").replace("cured", "well")))
    share = (real.visits["stage"] == "cured").mean()
    assert outside_range(real, never_cured, SETTING)["visits.stage"] == pytest.approx(share)


def test_what_fewer_than_five_patients_have_is_put_down_to_chance():
    real = clinic()
    for patients, share in ((4, 0), (5, 5 / 120)):
        found = outside_range(changed(real, patients, age=pl.lit(99.0)), real, SETTING)
        assert found["visits.age"] == pytest.approx(share)
    often = with_visits(
        real, real.visits.with_columns(age=pl.when(pl.col("patient_id") < 2).then(99.0).otherwise("age"))
    )
    assert outside_range(often, real, SETTING)["visits.age"] == 0  # eight values, but of two patients


def test_a_fresh_sample_is_outside_as_often_as_expected():
    """k of n values lie beyond the ends of n others: of the 2n in order, k at the ends and then one of the others."""
    n, n_pairs = 20, 200
    counts = np.arange(n + 1)
    expected = (counts + 1) * comb(2 * n - counts - 2, n - 2) / comb(2 * n, n)
    assert expected[:5] == pytest.approx((counts[:5] + 1) / 2.0 ** (counts[:5] + 2), abs=0.25 / n)  # the limit
    counted = np.where(counts >= 5, counts / n, 0)
    mean = expected @ counted
    error = np.sqrt((expected @ counted**2 - mean**2) / n_pairs)
    rng = np.random.default_rng(0)
    schema = Schema(static={"age": StaticColumn(kind="continuous")})
    people = [Cohort(pl.DataFrame({"patient_id": range(n), "age": rng.normal(size=n)}), schema=schema)
              for _ in range(2 * n_pairs)]  # fmt: skip
    pairs = zip(people[::2], people[1::2], strict=True)
    found = [outside_range(made, real, SETTING)["static.age"] for made, real in pairs]
    assert np.mean(found) == pytest.approx(mean, abs=3 * error)


def tied(n: int, rng: np.random.Generator, first: int) -> Cohort:
    """Columns whose ends are rare, tied and often not among 100 patients."""
    static = pl.DataFrame({
        "patient_id": np.arange(first, first + n), "steep": np.floor(rng.exponential(size=n) / 1.2),
        "both": np.round(rng.laplace(size=n) / 2), "cliff": (rng.random(n) < 0.004).astype(int),
        "cliffs": (rng.random(n) < 0.017).astype(int) - (rng.random(n) < 0.017),
        "level": np.where(rng.random(n) < 0.004, "rare", "common"),
    })  # fmt: skip
    columns = {name: StaticColumn(kind="continuous") for name in ("steep", "both", "cliff", "cliffs")}
    schema = Schema(static={**columns, "level": StaticColumn(kind="categorical", levels=("common", "rare"))})
    return Cohort(static, schema=schema)


@pytest.mark.slow
@pytest.mark.parametrize(("fewest", "is_calibrated"), [(5, True), (1, False)])
def test_ties_at_the_ends_flag_no_more_fresh_samples_than_they_should(monkeypatch, fewest, is_calibrated):
    """At most 2.5 % of 300 samples, within 3 binomial standard errors; not so if every value counts."""
    monkeypatch.setattr(rules, "FEWEST_OUTSIDE", fewest)
    monkeypatch.setattr(evaluate, "CHEAP", Effort(n_patients=100, n_splits=39, n_halves=2, n_draws=1))
    flags = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        train, holdout, made = (tied(100, rng, first) for first in (0, 100, 200))
        found = evaluate.evaluate(made, train=train, holdout=holdout, metrics=["outside_range"], strata=[], seed=seed)
        flags.append(found.frame()["flagged"].to_list())
    rates = np.mean(np.array(flags, dtype=float), axis=0)
    assert bool(rates.max() <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 300)) is is_calibrated


@pytest.mark.parametrize(
    ("part", "damage"),
    [
        ("visits.height", {"height": pl.col("height") + 1}),
        ("visits.age", {"age": pl.col("age") - 10}),
        ("visits.stage", {"stage": pl.lit("ill")}),
        ("visits.diastolic <= systolic", {"systolic": pl.col("diastolic") - 1}),
    ],
)
def test_rules_nobody_declared_are_found_and_who_breaks_them_counted(part, damage):
    real = clinic()
    fresh = unwritten_rules(clinic(seed=1), real, SETTING)
    assert set(fresh) == {WHOLE, "static.birth <= entry", "visits.diastolic <= systolic", "visits.height", "visits.age",
                          "visits.stage"}  # fmt: skip
    assert set(fresh.values()) == {0.0}
    found = unwritten_rules(changed(clinic(seed=1), 6, **damage), real, SETTING)
    assert found[part] == pytest.approx(6 / 30)
    assert found[WHOLE] == found[part]
    assert {name for name, share in found.items() if share} == {WHOLE, part}


def test_one_real_patient_who_breaks_a_rule_ends_it():
    real, made = clinic(), changed(clinic(), 5, height=pl.col("height") + 1, stage=pl.lit("ill"))
    grown = changed(real, 1, height=pl.col("height") + 1, stage=pl.lit("ill"))
    found = unwritten_rules(made, grown, SETTING)
    assert found["visits.height"] == 0  # a height that never falls is all that is left
    assert "visits.stage" not in found
    assert unwritten_rules(made, real, SETTING)[WHOLE] == pytest.approx(5 / 30)


def test_shuffled_and_dealt_visits_break_what_goes_one_way():
    fresh, real = halves(clinic(120))
    assert unwritten_rules(shuffled(fresh), real, SETTING)["visits.age"] > 0.9
    assert unwritten_rules(shuffled(fresh), real, SETTING)["visits.height"] == 0
    order = np.random.default_rng(0).permutation(fresh.n_visits)
    dealt = with_visits(fresh, fresh.visits.with_columns(height=fresh.visits["height"][order]))
    assert unwritten_rules(dealt, real, SETTING)["visits.height"] > 0.9


def shuffled(cohort: Cohort) -> Cohort:
    order = pl.Series("order", np.random.default_rng(0).random(cohort.n_visits))
    values = cohort.visits.with_columns(order).sort("patient_id", "order").drop("patient_id", "t", "order")
    return with_visits(cohort, pl.concat([cohort.visits.select("patient_id", "t"), values], how="horizontal"))


def test_rules_are_not_seen_in_few_patients_nor_where_there_are_none():
    with pytest.raises(NotComputableError, match="20 or more"):
        unwritten_rules(clinic(), clinic(19), SETTING)
    noisy = world(60, 1)
    only = noisy.schema.model_copy(update={"channels": {"marker": noisy.schema.channels["marker"]}})
    cohorts = [Cohort(cohort.static, cohort.visits, schema=only) for cohort in halves(noisy)]
    with pytest.raises(NotComputableError, match="rule"):
        unwritten_rules(*cohorts, SETTING)


def test_ids_and_the_order_of_rows_do_not_matter():
    made, real = world(40, 2), world(40, 3)
    for metric in (rule_violations, outside_range):
        assert metric(relabelled(made), real, SETTING) == metric(made, real, SETTING)
        assert metric(shuffled_in_time(made), real, SETTING) == metric(made, real, SETTING)
    dealt = dealt_across_patients(made)  # whose the values outside are matters only where they may be too few patients'
    assert rule_violations(dealt, real, SETTING) == rule_violations(made, real, SETTING)


def test_awkward_cohorts_are_like_themselves_or_have_a_reason():
    for cohort in awkward_cohorts().values():
        for metric in ALL:
            try:
                assert set(metric(cohort, cohort, SETTING).values()) == {0.0}
            except NotComputableError as error:
                assert "it needs a" in str(error)
