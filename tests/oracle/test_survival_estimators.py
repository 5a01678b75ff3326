"""Survival estimators: closed forms, lifelines and scikit-survival, coverage of their standard errors."""

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time

from longsynth.evaluation.survival import (
    at_risk,
    censoring_curve,
    common_horizon,
    cumulative_incidence,
    kaplan_meier,
    known_until,
    restricted_mean,
    step,
)
from longsynth.exceptions import NotComputableError


def exponential(n, rng, rate=1.0, longest=3.0):
    """Durations with hazard ``rate``, censored uniformly up to ``longest``."""
    event, end = rng.exponential(1 / rate, n), rng.uniform(0, longest, n)
    return np.minimum(event, end), event <= end


def test_at_risk_counts_those_who_end_at_the_time():
    assert at_risk(np.array([3.0, 1.0, 2.0, 2.0]), np.array([0.0, 1.0, 2.0, 2.5, 4.0])).tolist() == [4, 4, 3, 1, 0]


def test_the_restricted_mean_by_hand():
    durations, happened = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False])
    value, error = restricted_mean(durations, happened, 3.5)  # S: 1, 3/4 from 1, 3/8 from 3
    assert value == pytest.approx(1 + 2 * 3 / 4 + 0.5 * 3 / 8)
    left_at_1, left_at_3 = 2 * 3 / 4 + 0.5 * 3 / 8, 0.5 * 3 / 8
    assert error**2 == pytest.approx(left_at_1**2 / (4 * 3) + left_at_3**2 / (2 * 1))


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_restricted_mean_agrees_with_lifelines(decimals):
    durations, happened = exponential(300, np.random.default_rng(0))
    durations = durations.round(decimals)
    expected = restricted_mean_survival_time(KaplanMeierFitter().fit(durations, happened), t=1.3)
    assert restricted_mean(durations, happened, 1.3)[0] == pytest.approx(expected, abs=1e-8)


def test_without_censoring_the_restricted_mean_is_a_mean_and_its_error_that_of_a_mean():
    durations = np.random.default_rng(0).exponential(1, 50)
    value, error = restricted_mean(durations, np.ones(50, bool), 1.5)
    assert value == pytest.approx(np.minimum(durations, 1.5).mean())
    assert error == pytest.approx(np.minimum(durations, 1.5).std() / np.sqrt(50))
    assert restricted_mean(durations, np.ones(50, bool), 1e6)[0] == pytest.approx(durations.mean())


def test_intervals_of_the_restricted_mean_cover_the_truth():
    truth, rng, covered = 1 - np.exp(-1.5), np.random.default_rng(0), 0
    for _ in range(500):
        value, error = restricted_mean(*exponential(200, rng), 1.5)
        covered += abs(value - truth) < 1.96 * error
    assert 0.93 <= covered / 500 <= 0.97


def test_intervals_of_a_difference_of_restricted_means_cover_the_truth():
    truth, rng, covered = (1 - np.exp(-1.5)) - (1 - np.exp(-1.5 * 0.6)) / 0.6, np.random.default_rng(1), 0
    for _ in range(500):
        (first, error_1), (second, error_2) = (restricted_mean(*exponential(150, rng, rate), 1.5) for rate in (1, 0.6))
        covered += abs(first - second - truth) < 1.96 * np.hypot(error_1, error_2)
    assert 0.93 <= covered / 500 <= 0.97


def test_a_restricted_mean_beyond_what_is_known_has_no_value():
    durations, censored = np.array([1.0, 2.0]), np.array([True, False])
    with pytest.raises(NotComputableError, match="beyond"):
        restricted_mean(durations, censored, 2.1)
    with pytest.raises(NotComputableError, match="above 0"):
        restricted_mean(durations, censored, 0.0)
    assert restricted_mean(durations, ~censored, 2.1)[0] == pytest.approx(2.0)


def test_events_at_baseline_count():
    value, error = restricted_mean(np.array([0.0, 2.0]), np.array([True, False]), 2.0)
    assert value == pytest.approx(1.0)
    assert error == pytest.approx(np.sqrt(1**2 / (2 * 1)))


def test_cumulative_incidence_agrees_with_lifelines_without_ties():
    rng = np.random.default_rng(0)
    durations, types = rng.permutation(200) + 1.0, rng.integers(0, 3, 200)
    for code in (1, 2):
        fitted = AalenJohansenFitter(calculate_variance=False).fit(durations, types, event_of_interest=code)
        expected = fitted.cumulative_density_.iloc[:, 0]
        times, incidence = cumulative_incidence(durations, types, code)
        np.testing.assert_allclose(incidence, expected.loc[times], atol=1e-8)


def test_incidences_and_survival_add_up_to_one_also_with_ties():
    rng = np.random.default_rng(0)
    durations, types = rng.integers(1, 20, 200) * 1.0, rng.integers(0, 4, 200)
    curves = [cumulative_incidence(durations, types, code)[1] for code in (1, 2, 3)]
    np.testing.assert_allclose(sum(curves) + kaplan_meier(durations, types > 0)[1], 1, atol=1e-12)


def test_cumulative_incidence_of_two_exponentials_is_the_closed_form():
    rng = np.random.default_rng(0)
    n = 20_000
    first, second, end = rng.exponential(1 / 0.6, n), rng.exponential(1 / 0.4, n), rng.uniform(0, 3, n)
    durations = np.minimum(np.minimum(first, second), end)
    types = np.where(durations == end, 0, np.where(durations == first, 1, 2))
    for code, rate in ((1, 0.6), (2, 0.4)):
        found = step(cumulative_incidence(durations, types, code), np.array([0.5, 1.5]), 0.0)
        np.testing.assert_allclose(found, rate * (1 - np.exp(-np.array([0.5, 1.5]))), atol=3 * 0.5 / np.sqrt(n / 2))


def test_the_curve_of_censoring_lets_events_come_first():
    times, uncensored = censoring_curve(np.array([1.0, 1.0, 2.0, 2.0]), np.array([True, False, True, False]))
    assert times.tolist() == [1, 2]
    assert uncensored.tolist() == pytest.approx([1 - 1 / 3, 0])


def test_a_curve_is_known_for_ever_only_if_it_ends_at_zero():
    durations = np.array([1.0, 4.0, 4.0])
    assert known_until(kaplan_meier(durations, np.ones(3, bool))) == np.inf
    assert known_until(kaplan_meier(durations, np.array([True, True, False]))) == 4


def test_the_horizon_stops_at_censoring_but_not_at_death():
    long = kaplan_meier(np.arange(1.0, 101), np.zeros(100, bool))
    early = np.array([5.0, 10.0])
    assert common_horizon(np.arange(1.0, 101), long, long) == pytest.approx(95.05)
    assert common_horizon(np.arange(1.0, 101), kaplan_meier(early, np.zeros(2, bool)), long) == 10
    assert common_horizon(np.arange(1.0, 101), kaplan_meier(early, np.ones(2, bool)), long) == pytest.approx(95.05)
    with pytest.raises(NotComputableError, match="follow-up"):
        common_horizon(np.zeros(3), long, long)
