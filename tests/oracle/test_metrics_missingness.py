"""Missingness metrics: by hand, numpy's correlations, and values missing at random seen by the right one."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import dealt_across_patients, relabelled, with_visits, world

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE, Setting
from longsynth.evaluation.marginal import missing_mean
from longsynth.evaluation.metrics.missingness import missing_rate, missing_together
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime

SETTING = Setting()
PANEL = ("marker", "count", "sign")


def by_panel(cohort: Cohort, seed: int, share: float = 0.4) -> Cohort:
    """Three channels missing together."""
    missing = pl.Series(np.random.default_rng(seed).random(cohort.n_visits) < share)
    blank = [pl.when(~missing).then(name).alias(name) for name in PANEL]
    return with_visits(cohort, cohort.visits.with_columns(blank))


def at_random(cohort: Cohort, seed: int) -> Cohort:
    """The same shares missing, each channel on its own."""
    order = np.random.default_rng(seed)
    columns = [cohort.visits[name][order.permutation(cohort.n_visits)].alias(name) for name in PANEL]
    return with_visits(cohort, cohort.visits.with_columns(columns))


def test_rates_by_hand_and_the_whole_is_the_plain_mean():
    made, real = by_panel(world(50, 2), 1, share=0.7), by_panel(world(50, 3), 2)
    found = missing_rate(made, real, SETTING)
    shares = [cohort.visits["marker"].is_null().mean() for cohort in (made, real)]
    assert found["visits.marker"] == pytest.approx(shares[0] - shares[1])
    assert found["visits.grade"] == found["static.age"] == 0
    assert found[WHOLE] == missing_mean(made, real) == pytest.approx(sum(list(found.values())[1:]) / 8)


def test_missing_together_is_the_difference_of_numpys_correlations():
    made, real = at_random(by_panel(world(80, 2), 1), 5), by_panel(world(80, 3), 2)
    names = [*PANEL, "echo"]  # all that is sometimes missing
    phi = [np.corrcoef(cohort.visits.select(pl.col(names).is_null()).to_numpy().T) for cohort in (made, real)]
    found = missing_together(made, real, SETTING)
    errors = np.abs(phi[0] - phi[1])
    assert found[WHOLE] == pytest.approx(errors[np.triu_indices(4, 1)].mean())
    assert found["visits.echo"] == pytest.approx(errors[3, :3].mean())
    assert "visits.grade" not in found


def test_missing_at_random_is_seen_by_the_right_metric():
    real, fresh = by_panel(world(150, 3), 2), by_panel(world(150, 4), 3)
    damaged = at_random(fresh, 5)
    assert missing_together(fresh, real, SETTING)[WHOLE] < 0.1
    assert missing_together(damaged, real, SETTING)[WHOLE] > 0.4  # three of six pairs fall from 1 to 0
    assert missing_rate(damaged, real, SETTING) == missing_rate(fresh, real, SETTING)


def test_static_attributes_count_too_and_nothing_missing_in_the_sample_is_no_correlation():
    schema = Schema(static={"a": StaticColumn(kind="count"), "b": StaticColumn(kind="count")})
    table = pl.DataFrame({"patient_id": range(40), "a": [1, None] * 20, "b": [2, None] * 20})
    real, full = Cohort(table, schema=schema), Cohort(table.fill_null(3), schema=schema)
    assert missing_together(full, real, SETTING) == {WHOLE: 1, "static.a": 1, "static.b": 1}
    with pytest.raises(NotComputableError, match="sometimes missing"):
        missing_together(real, full, SETTING)


def test_a_sample_without_visits_has_everything_missing():
    real = world(20, 1)
    empty = Cohort(real.static, real.visits.clear(), schema=real.schema, origin="synthetic")
    assert missing_rate(empty, real, SETTING)["visits.grade"] == 1


def test_patients_and_time_are_not_looked_at():
    made, real = by_panel(world(50, 2), 1), by_panel(world(50, 3), 2)
    for metric in (missing_rate, missing_together):
        for other in (relabelled(made), dealt_across_patients(made)):
            assert metric(other, real, SETTING) == pytest.approx(metric(made, real, SETTING))


def test_awkward_cohorts_are_like_themselves_or_have_a_reason():
    bare = Schema(visit_time=VisitTime(column="day"), channels={"x": Channel(kind="continuous")})
    no_visits = pl.DataFrame(schema={"patient_id": pl.Int64, "day": pl.Float64, "x": pl.Float64})
    bare = Cohort(pl.DataFrame({"patient_id": [1]}), no_visits, schema=bare, origin="synthetic")
    for cohort in (*awkward_cohorts().values(), bare):
        for metric in (missing_rate, missing_together):
            try:
                assert set(metric(cohort, cohort, SETTING).values()) == {0.0}
            except NotComputableError as error:
                assert "it needs" in str(error)
