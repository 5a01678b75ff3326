"""Which patients are compared, the spread over halves, and the band of a ceiling."""

import numpy as np
import pytest
from metric_worlds import world

from longsynth.cohort.numbered import numbered
from longsynth.evaluation.splits import (
    CHEAP,
    STRATUM,
    Effort,
    band,
    compared,
    half_sample_sd,
    halves,
    real_splits,
    synthetic_draws,
)
from longsynth.seeding import stream

EFFORT = Effort(n_patients=60, n_splits=39, n_halves=20, n_draws=3)


def ids(cohort):
    return set(cohort.static["patient_id"])


def test_samples_are_of_equal_size_and_share_no_real_patient():
    pool = numbered(world(50, 1))
    pairs = list(real_splits(pool, 25, 10, seed=0))
    assert all(a.n_patients == b.n_patients == 25 and not ids(a) & ids(b) for a, b in pairs)
    assert len({frozenset(ids(a)) for a, _ in pairs}) == 10


def test_as_many_patients_are_compared_as_the_smallest_source_has():
    cohorts = {n: numbered(world(n, n)) for n in (30, 40, 50, 100)}
    sizes = [(30, 40, 100), (50, 40, 100), (50, 50, 50), (100, 100, 100)]
    found = [compared(*(cohorts[n] for n in size), EFFORT) for size in sizes]
    assert [one.n for one in found] == [30, 40, 25, 50]
    assert [one.n_draws for one in found] == [3, 3, 3, 3]
    whole = compared(cohorts[50], cohorts[50], cohorts[100], EFFORT)
    assert (whole.n, whole.n_draws) == (50, 1)
    assert [a.n_patients for a, _ in synthetic_draws(found[1], seed=0)] == [40, 40, 40]


def test_halves_are_halves():
    pair = (numbered(world(31, 1)), numbered(world(30, 2)))
    assert {(a.n_patients, b.n_patients) for a, b in halves(pair, 5, seed=0)} == {(15, 15)}


def test_the_spread_over_halves_is_that_of_the_statistic():
    """Of a mean: s / sqrt(n), within the 3 standard errors of a standard deviation from 4,000 halves."""
    values = stream(1).normal(size=41)
    found = [values[stream(2, k).permutation(41)[:20]].mean() for k in range(4000)]
    truth = values.std(ddof=1) / np.sqrt(41)
    assert half_sample_sd(np.array(found), 41) == pytest.approx(truth, rel=3 / np.sqrt(2 * 4000))


def test_the_spread_over_halves_of_a_standardised_statistic_is_that_of_the_statistic():
    """Of sqrt(n) mean / s, which has variance 1 for any n, over 300 samples; taken for a mean it would seem 1/2."""
    n, found = 200, []
    for k in range(300):
        values, halves_of_them = stream(k).normal(size=n), stream(k, "half")
        parts = np.array([halves_of_them.permutation(values)[: n // 2] for _ in range(40)])
        found.append(np.sqrt(n // 2) * parts.mean(axis=1) / parts.std(axis=1, ddof=1))
    standardised, plain = (np.mean([half_sample_sd(one, n, kind) ** 2 for one in found]) for kind in (True, False))
    error = np.sqrt(2 / 39 / 300)  # of the mean of 300 variances over 40 halves each, in shares of it
    assert standardised == pytest.approx(1, rel=3 * error + 0.02)  # t with 99 degrees of freedom has variance 1.02
    assert plain == pytest.approx(0.5, rel=3 * error + 0.02)


@pytest.mark.parametrize("n_splits", [19, 39, 79])
def test_the_band_is_exceeded_in_the_stated_share_of_cases(n_splits):
    """2.5 % each side, within 4 binomial standard errors over 4,000 ceilings."""
    values = stream(n_splits).normal(size=(4000, n_splits + 1))
    limits = np.array([band(row[1:]) for row in values])
    for beyond in (values[:, 0] > limits[:, 1], values[:, 0] < limits[:, 0]):
        assert beyond.mean() == pytest.approx(0.025, abs=4 * np.sqrt(0.025 * 0.975 / 4000))


def test_the_efforts_give_exact_bands():
    assert {(one.n_splits + 1) % 40 for one in (CHEAP, STRATUM)} == {0}
