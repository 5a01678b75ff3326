"""Prognoses learnt from one cohort and tried on another: scikit-survival's values, known answers, planted damage."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from lifelines import CoxPHFitter
from metric_worlds import SCHEMA, dealt_across_patients, relabelled, shuffled_in_time, with_static, world

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import METRICS, WHOLE, Setting
from longsynth.evaluation.metrics import prediction  # noqa: F401
from longsynth.evaluation.risk_model import baseline_covariates, brier_score, fit_risk_model
from longsynth.evaluation.survival import outcome
from longsynth.exceptions import NotComputableError

NAMES = ["cindex_tstr", "brier_tstr", "calibration"]


def values(name, sample, reference):
    return METRICS[name].function(sample, reference, Setting())


def whole(name, sample, reference):
    return values(name, sample, reference)[WHOLE]


@pytest.fixture(scope="module")
def cohort():
    return world(400, seed=1)


@pytest.fixture(scope="module")
def fresh():
    return world(400, seed=2)


def outcome_permuted(cohort):
    shuffled = cohort.static.select("futime", "status").sample(fraction=1, shuffle=True, seed=0)
    return Cohort(cohort.static.with_columns(shuffled), cohort.visits, schema=cohort.schema, drop_after_event=True)


def test_the_brier_score_agrees_with_scikit_survival():
    """Values of `sksurv.metrics.brier_score` and `integrated_brier_score`, scikit-survival 0.28.0, train = test."""
    i = np.arange(40)
    durations, happened = 1 + (i * 17 % 41) * 0.5, i * 3 % 5 < 3
    times = np.array([3, 6.5, 10, 14, 18.25])
    predicted = np.exp(-np.exp(np.sin(i))[:, None] * times * 0.05)
    scores = brier_score(predicted, durations, happened, times)
    expected = [0.13657205690451057, 0.22913470369291136, 0.2783414327866963, 0.3521193774503118, 0.22013709278099877]
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    integrated = np.trapezoid(scores, times) / (times[-1] - times[0])
    assert integrated == pytest.approx(0.2626253566951051, rel=1e-12)


def test_the_brier_score_without_censoring_is_a_mean_square():
    rng = np.random.default_rng(0)
    durations, predicted = rng.integers(1, 9, 50) * 1.0, rng.random((50, 3))
    times = np.array([2.0, 4.0, 6.5])
    expected = ((predicted - (durations[:, None] > times)) ** 2).mean(axis=0)
    np.testing.assert_allclose(brier_score(predicted, durations, np.ones(50, bool), times), expected)


def test_the_brier_score_does_not_depend_on_censoring_and_is_best_for_the_truth():
    rng, n, times = np.random.default_rng(0), 40_000, np.array([0.5, 1.0])
    log_hazard = rng.normal(0, 1, n)
    event, end = rng.exponential(np.exp(-log_hazard)), np.ceil(rng.uniform(0, 2.5, n) * 10) / 10
    truth = np.exp(-np.exp(log_hazard)[:, None] * times)
    expected = (truth * (1 - truth)).mean(axis=0)
    found = brier_score(truth, np.minimum(event, end), event <= end, times)
    np.testing.assert_allclose(found, expected, atol=3 * 0.25 / np.sqrt(n / 2))
    assert (brier_score(truth**1.3, np.minimum(event, end), event <= end, times) > found).all()


def test_predicted_survival_agrees_with_lifelines(cohort, fresh):
    model = fit_risk_model(cohort)
    fill = [pl.col(name).fill_null(value) for name, value in model.medians.items()]
    train, test = (baseline_covariates(c).select(fill) for c in (cohort, fresh))
    durations, types = outcome(cohort)
    table = train.with_columns(d=durations, e=types > 0).to_pandas()
    exact = {"precision": 1e-14, "r_precision": 1e-17}
    fitted = CoxPHFitter(penalizer=0.1).fit(table, "d", "e", fit_options=exact)
    times = model.fit.times[[3, 50, 150]]
    expected = fitted.predict_survival_function(test.to_pandas(), times=times).to_numpy().T
    np.testing.assert_allclose(model.survival(fresh, times), expected, rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_order_ids_and_later_visits_do_not_matter(name, cohort, fresh):
    there = values(name, fresh, cohort)
    assert values(name, relabelled(fresh), relabelled(cohort)) == pytest.approx(there, rel=1e-8)
    by_patient = fresh.visits.group_by("patient_id", maintain_order=True)
    first = Cohort(fresh.static, by_patient.first(), schema=SCHEMA)
    assert values(name, first, cohort) == pytest.approx(there, rel=1e-8)


def test_a_fresh_sample_teaches_what_real_patients_do(cohort, fresh):
    """Standard errors with 400 patients, about half with events: C 0.02, the overall ratio 0.07, of a third 0.15."""
    informed = world(400, seed=5)
    assert abs(whole("cindex_tstr", fresh, cohort) - whole("cindex_tstr", informed, cohort)) < 3 * 0.02
    assert abs(whole("brier_tstr", fresh, cohort) - whole("brier_tstr", informed, cohort)) < 0.005
    found = values("calibration", fresh, cohort)
    assert set(found) == {WHOLE, "low risk", "middle risk", "high risk"}
    assert found.pop(WHOLE) == pytest.approx(1, abs=3 * 0.07)
    assert list(found.values()) == pytest.approx([1, 1, 1], abs=3 * 0.15)


def test_event_times_permuted_are_seen_by_all_but_calibration(cohort, fresh):
    damaged = outcome_permuted(fresh)
    assert whole("cindex_tstr", damaged, cohort) < whole("cindex_tstr", fresh, cohort) - 3 * 0.02
    assert whole("brier_tstr", damaged, cohort) > whole("brier_tstr", fresh, cohort) + 0.005
    assert list(values("calibration", damaged, cohort).values()) == pytest.approx([1] * 4, abs=3 * 0.15)


def test_an_effect_that_is_too_strong_is_seen_by_the_risk_groups(cohort, fresh):
    """Those who die get the ages of the oldest: the old are predicted to die, the young to live."""
    died = fresh.static["status"].to_numpy() == 1
    ages = np.empty(len(died))
    ages[died], ages[~died] = np.split(np.sort(fresh.static["age"].to_numpy())[::-1], [died.sum()])
    found = values("calibration", with_static(fresh, fresh.static.with_columns(age=ages)), cohort)
    assert found["low risk"] > 1 + 3 * 0.15
    assert found["high risk"] < 1 - 2 * 0.09


def test_follow_up_on_another_scale_is_seen_by_all_but_concordance(cohort, fresh):
    slower = with_static(fresh, fresh.static.with_columns(pl.col("futime") * 3))
    assert whole("cindex_tstr", slower, cohort) == pytest.approx(whole("cindex_tstr", fresh, cohort), abs=1e-8)
    assert whole("brier_tstr", slower, cohort) > whole("brier_tstr", fresh, cohort) + 0.02
    assert whole("calibration", slower, cohort) > 1.5
    sooner = fresh.static.with_columns(pl.col("futime") / 3)
    faster = Cohort(sooner, fresh.visits, schema=SCHEMA, drop_after_event=True)
    assert whole("calibration", faster, cohort) < 1 - 3 * 0.07


@pytest.mark.parametrize("damage", [shuffled_in_time, dealt_across_patients])
def test_first_values_torn_from_their_patients_teach_less(damage, cohort, fresh):
    assert whole("cindex_tstr", damage(fresh), cohort) <= whole("cindex_tstr", fresh, cohort) + 0.02  # one SE


def test_a_model_that_is_never_right_is_worse_than_chance(cohort):
    opposite = with_static(cohort, cohort.static.with_columns(futime=1000 - pl.col("futime"), status=pl.lit(1)))
    assert whole("cindex_tstr", opposite, cohort) < 0.4


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
    assert n_values > 15
