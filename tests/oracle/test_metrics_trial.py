"""Effects of a treatment: lifelines, simulated truth, and arms swapped seen by every metric of the trial."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from lifelines.statistics import logrank_test
from metric_worlds import dealt_across_patients, relabelled, shuffled_in_time, with_static

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.simulate import SimulationTruth, simulate_cohort
from longsynth.evaluation.arms import log_rank, treated_patients
from longsynth.evaluation.base import METRICS, WHOLE, Setting
from longsynth.evaluation.cox import fit_cox
from longsynth.evaluation.metrics import trial
from longsynth.evaluation.survival import censoring_curve, kaplan_meier, outcome, step
from longsynth.exceptions import NotComputableError

YEAR = 365.25
TRUTH = SimulationTruth(hazard=0.15, hazard_severity=0.0, hazard_arm=-1.0, gap_severity=0.0)
ARM = Setting(arm="arm")
NAMES = ["treatment_log_hazard_ratio", "treatment_rmst", "treatment_decision", "type_one_error"]
EFFECTS = NAMES[:2]


def values(name, sample, reference):
    return METRICS[name].function(sample, reference, ARM)


def main_part(name, sample, reference):
    return values(name, sample, reference)[WHOLE]


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(400, 1, TRUTH)


@pytest.fixture(scope="module")
def fresh():
    return simulate_cohort(400, 2, TRUTH)


@pytest.fixture(scope="module")
def large():
    return simulate_cohort(3000, 3, TRUTH)


def swapped(cohort):
    return with_static(cohort, cohort.static.with_columns(arm=1 - pl.col("arm")))


def dealt_arms(cohort):
    """Arms that mean nothing."""
    return with_static(cohort, cohort.static.with_columns(pl.col("arm").shuffle(seed=1)))


def test_the_simulated_treatment_effect_and_censoring_are_recovered(large):
    durations, types = outcome(large)
    arm = treated_patients(large, "arm")
    fit = fit_cox(arm[:, None], durations, types > 0)
    assert fit.coefficients[0] == pytest.approx(TRUTH.hazard_arm, abs=3 * fit.standard_errors[0])
    at = np.array([1.0, 2.0, 4.0]) * YEAR
    for group, rate in ((0, TRUTH.hazard), (1, TRUTH.hazard * np.exp(TRUTH.hazard_arm))):
        found = step(kaplan_meier(durations[arm == group], types[arm == group] > 0), at, 1.0)
        np.testing.assert_allclose(found, np.exp(-rate * at / YEAR), atol=3 * 0.5 / np.sqrt(1000))
    uncensored = step(censoring_curve(durations, types > 0), at, 1.0)
    np.testing.assert_allclose(uncensored, np.exp(-TRUTH.dropout_rate * at / YEAR), atol=3 * 0.5 / np.sqrt(2000))


def test_log_rank_agrees_with_lifelines():
    rng = np.random.default_rng(0)
    for decimals in (0, 6):
        durations, happened = rng.exponential(9, 150).round(decimals), rng.random(150) < 0.7
        treated = rng.integers(0, 2, (150, 3)).astype(float)
        found = log_rank(durations, happened, treated)
        for j in range(3):
            second = treated[:, j] == 1
            test = logrank_test(durations[second], durations[~second], happened[second], happened[~second])
            assert found[j] ** 2 == pytest.approx(test.test_statistic, rel=1e-8)
    more_events = log_rank(np.arange(40.0), np.ones(40, bool), (np.arange(40) < 20)[:, None] * 1.0)
    assert more_events[0] > 0
    assert log_rank(np.arange(4.0), np.zeros(4, bool), np.ones((4, 2))).tolist() == [0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_a_cohort_equals_itself_and_order_and_ids_do_not_matter(name, cohort, fresh):
    same = values(name, cohort, cohort)
    assert list(same.values()) == pytest.approx([METRICS[name].best] * len(same), abs=1e-12)
    expected = pytest.approx(values(name, fresh, cohort), rel=1e-6)
    assert values(name, relabelled(fresh), relabelled(cohort)) == expected


@pytest.mark.parametrize("name", EFFECTS)
def test_arms_swapped_turn_the_effect_round_and_arms_dealt_take_it_away(name, cohort, fresh):
    none = main_part(name, dealt_arms(cohort), cohort)
    twice = main_part(name, swapped(cohort), cohort)
    assert abs(twice) > 2 * abs(main_part(name, fresh, cohort))
    assert 0.2 < none / twice < 0.8
    sign = {"treatment_log_hazard_ratio": 1, "treatment_rmst": -1}[name]
    assert np.sign(twice) == sign  # the treatment lowers the hazard


def test_the_decision_is_the_same_in_a_fresh_sample_and_another_with_arms_swapped_or_dealt(cohort, fresh):
    assert values("treatment_decision", fresh, cohort) == {"direction": 1, "decision": 1}
    assert values("treatment_decision", swapped(fresh), cohort) == {"direction": 0, "decision": 0}
    assert values("treatment_decision", dealt_arms(fresh), cohort)["decision"] == 0
    assert values("treatment_decision", dealt_arms(fresh), dealt_arms(cohort))["decision"] == 1


def test_event_times_permuted_take_the_effect_away(cohort):
    shuffled = cohort.static.select("follow_up", "status").sample(fraction=1, shuffle=True, seed=0)
    damaged = Cohort(cohort.static.with_columns(shuffled), cohort.visits, schema=cohort.schema, drop_after_event=True)
    assert main_part("treatment_log_hazard_ratio", damaged, cohort) > 0.5
    assert main_part("treatment_rmst", damaged, cohort) < 0


@pytest.mark.parametrize("name", NAMES)
def test_damage_to_visits_is_not_seen(name, cohort, fresh):
    for damaged in (shuffled_in_time, dealt_across_patients):
        assert values(name, damaged(fresh), cohort) == values(name, fresh, cohort)


def test_the_type_one_error_is_that_of_the_test(cohort, fresh):
    rates = [trial._false_findings(c, ARM) for c in (cohort, fresh, simulate_cohort(1000, 4, TRUTH))]
    for rate in rates:
        assert rate == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / trial.N_PERMUTATIONS))
    few = with_static(cohort, cohort.static.with_columns(status=(pl.int_range(pl.len()) < 2).cast(pl.Int64)))
    assert trial._false_findings(few, ARM) < 0.03  # two events never give a significant difference
    assert values("type_one_error", few, cohort)[WHOLE] < -0.015


def test_without_two_arms_there_is_no_value(cohort):
    for name in NAMES:
        for arm, why in ((None, "name the static attribute"), ("stage", "two levels"), ("age", "two levels")):
            with pytest.raises(NotComputableError, match=why):
                METRICS[name].function(cohort, cohort, Setting(arm=arm))
        one_arm = with_static(cohort, cohort.static.with_columns(arm=pl.lit(0)))
        with pytest.raises(NotComputableError, match="fewer than 5"):
            values(name, one_arm, cohort)


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


@pytest.mark.parametrize("name", ["treatment_decision", "treatment_log_hazard_ratio", "treatment_rmst"])
def test_the_effect_of_treatment_is_looked_for_in_many_draws(name):
    assert METRICS[name].n_draws >= 20
