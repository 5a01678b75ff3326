"""Estimates from synthetic patients, with a normal law as synthesizer: intervals hold the truth as often as told."""

import numpy as np
import pytest

from longsynth.evaluation.estimates import combine_synthetic, refitted_interval
from longsynth.exceptions import ConfigError


def test_combined_estimates_cover_the_truth_and_single_ones_do_not():
    """Normal data, its mean; synthetic patients from the normal law fitted to the real ones."""
    rng, n, m = np.random.default_rng(0), 100, 5
    covered, naive = 0, 0
    for _ in range(2000):
        real = rng.normal(0, 1, n)
        made = rng.normal(real.mean(), real.std(ddof=1), (m, n))
        means, variances = made.mean(axis=1), made.var(axis=1, ddof=1) / n
        estimate, error = combine_synthetic(means, variances, n, n)
        covered += abs(estimate) < 1.96 * error
        naive += abs(means[0]) < 1.96 * np.sqrt(variances[0])
    assert 0.93 <= covered / 2000 <= 0.97
    assert naive / 2000 < 0.88
    assert combine_synthetic(np.array([1.0, 3.0]), np.array([4.0, 4.0]), 50, 100) == (2.0, 2.0)


@pytest.mark.parametrize(("estimates", "n"), [([], 10), ([1.0, 2.0], 10), ([1.0], 0)])
def test_what_cannot_be_combined_is_refused(estimates, n):
    with pytest.raises(ConfigError):
        combine_synthetic(np.array(estimates), np.ones(1), 10, n)


@pytest.mark.parametrize("n_refits", [5, 20])
def test_refits_count_noise_and_bias_of_a_fit(n_refits):
    """A fit that moves the mean towards 1 and adds noise to it, drawn from without end."""
    rng, n, noise, truth, cases = np.random.default_rng(0), 100, 0.2, 0.7, 4000

    def fit(mean, *shape):
        sample = rng.normal(mean, 1 / np.sqrt(n), shape)
        return sample + 0.05 * (1 - sample) + rng.normal(0, noise, shape)

    covered = {0.95: 0, 0.5: 0}
    for _ in range(cases):
        estimate = float(fit(truth))
        refitted = fit(estimate, n_refits)
        for level in covered:
            low, high = refitted_interval(estimate, refitted, level)
            covered[level] += low <= truth <= high
    for level, count in covered.items():
        assert abs(count / cases - level) < 4 * np.sqrt(level * (1 - level) / cases)


def test_an_interval_needs_many_more_draws_than_patients():
    """The draw's variance is that of the fit with equal numbers, a twentieth of it with twenty times as many."""
    rng, cases = np.random.default_rng(0), 4000

    def coverage(share):
        held = 0
        for _ in range(cases):
            fitted = rng.normal()
            estimate, *refitted = np.append(fitted, fitted + rng.normal(size=10)) + np.sqrt(share) * rng.normal(size=11)
            low, high = refitted_interval(estimate, np.array(refitted))
            held += low <= 0 <= high
        return held / cases

    assert coverage(1 / 20) > 0.93
    assert coverage(1) < 0.9


def test_the_interval_is_the_t_interval_about_the_estimate_without_its_bias():
    low, high = refitted_interval(1.0, np.array([1.0, 2.0, 3.0]))
    assert np.isclose([low, high], 0.0 + 4.302653 * np.sqrt(4 / 3) * np.array([-1, 1])).all()


@pytest.mark.parametrize(("refitted", "level"), [([], 0.95), ([1.0], 0.95), ([1.0, 2.0], 1.0), ([1.0, 2.0], 0.0)])
def test_too_few_refits_and_impossible_levels_are_refused(refitted, level):
    with pytest.raises(ConfigError, match=r"refits|level"):
        refitted_interval(0.0, np.array(refitted), level)
