"""Epsilon against a second accountant and against closed forms; smaller is stronger privacy."""

import math

import pytest
from oracle.epsilon_by_dp_accounting import SETTINGS
from scipy.optimize import brentq
from scipy.stats import norm

from longsynth.exceptions import PrivacyError
from longsynth.training.accounting import epsilon_of, noise_for

EPSILON = {
    "one release": 3.0976,
    "subsampled, few patients": 10.8241,
    "two releases and a training, epsilon 3": 4.0191,
    "two releases and a training, epsilon 1": 1.4603,
    "two releases and a training, epsilon 8": 9.3225,
    "two releases and a training, epsilon 0.1": 0.1037,
    "two releases and a training, epsilon 0.05": 0.0493,
    "many small samples": 5.7209,
}
"""By dp-accounting 0.6.0, for adding or removing one patient; made by epsilon_by_dp_accounting.py."""


def gaussian_epsilon(noise: float, delta: float) -> float:
    """Exact epsilon of one Gaussian release (Balle and Wang 2018, arXiv:1805.06530, theorem 8)."""

    def excess(epsilon: float) -> float:
        tail = math.exp(epsilon + norm.logcdf(-1 / (2 * noise) - epsilon * noise))
        return float(norm.cdf(1 / (2 * noise) - epsilon * noise) - tail - delta)

    return float(brentq(excess, 0.0, 200.0))


@pytest.mark.parametrize("name", SETTINGS)
def test_epsilon_agrees_with_a_second_accountant(name):
    events, delta = SETTINGS[name]
    found = epsilon_of(events, delta)
    assert EPSILON[name] <= found <= 1.02 * EPSILON[name]


@pytest.mark.parametrize("noise", [0.4, 1.5, 5.0, 50.0, 150.0])
def test_epsilon_of_one_release_is_the_exact_one(noise):
    exact = gaussian_epsilon(noise, 1e-6)
    assert exact <= epsilon_of([(noise, 1.0, 1)], 1e-6) <= 1.02 * exact + 6e-4


def test_releases_of_everybody_compose_as_one_with_less_noise():
    noises = (6.0, 2.0, 9.0)
    together = sum(1 / noise**2 for noise in noises) ** -0.5
    exact = gaussian_epsilon(together, 1e-6)
    assert exact <= epsilon_of([(noise, 1.0, 1) for noise in noises], 1e-6) <= 1.02 * exact


def test_every_event_costs_something_and_noiseless_ones_everything():
    events = [(6.0, 1.0, 1), (2.0, 0.05, 100)]
    one = epsilon_of(events[:1], 1e-6)
    assert 0.0 == epsilon_of([], 1e-6) < one < epsilon_of(events, 1e-6) < epsilon_of([*events, (2.0, 0.05, 100)], 1e-6)
    assert epsilon_of([*events, (0.0, 0.05, 1)], 1e-6) == math.inf


@pytest.mark.parametrize("epsilon", [0.1, 0.3, 3.0])
def test_the_noise_for_a_budget_spends_it_and_no_more(epsilon):
    def events(noise: float) -> list[tuple[float, float, int]]:
        return [(40.0, 1.0, 1), (noise, 0.05, 100)]

    noise = noise_for(epsilon, 1e-6, events)
    assert 0.99 * epsilon < epsilon_of(events(noise), 1e-6) <= epsilon


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 1.0, 10.0, 30.0])
def test_the_noise_of_one_release_is_hardly_more_than_the_least(epsilon):
    noise = noise_for(epsilon, 1e-6, lambda noise: [(noise, 1.0, 1)])
    assert gaussian_epsilon(noise, 1e-6) <= epsilon
    assert gaussian_epsilon(noise / (1.05 if epsilon < 0.1 else 1.02), 1e-6) > epsilon


def test_no_noise_is_enough_once_the_budget_is_spent():
    with pytest.raises(PrivacyError, match=r"more than 11\.0.*--after"):
        noise_for(1.0, 1e-6, lambda noise: [(0.5, 1.0, 1), (noise, 0.05, 10)])
