"""Statistics of attacks against published examples, other libraries, closed forms, and their stated coverage."""

import numpy as np
import pytest
from scipy.stats import beta, binom, binomtest, norm
from sklearn.metrics import roc_auc_score

from longsynth.exceptions import NotComputableError
from longsynth.privacy import ranking, rates
from longsynth.privacy.rates import Estimate


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 30), (15, 30), (30, 30), (263, 1000)])
def test_wilson_is_that_of_scipy(hits, n):
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert rates.wilson(hits / n, n)[1:] == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(
    ("hits", "n", "others", "m", "low", "high"),
    [  # Newcombe (1998), table II, method 10
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_newcombe_gives_the_published_intervals(hits, n, others, m, low, high):
    found = rates.newcombe(rates.wilson(hits / n, n), rates.wilson(others / m, m))
    assert found.value == pytest.approx(hits / n - others / m)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5.1e-5)


def test_the_resampled_rate_is_jeffreys_posterior_of_a_rate():
    spread = rates.resampled_rate(np.repeat([1.0, 0.0], [3, 37]), np.random.default_rng(0))
    posterior = beta(3.5, 37.5)
    # Standard error of a quantile of n resamples: sqrt(q (1 - q) / n) / density.
    for q in (0.025, 0.5, 0.975):
        at = posterior.ppf(q)
        error = np.sqrt(q * (1 - q) / len(spread)) / posterior.pdf(at)
        assert np.quantile(spread, q) == pytest.approx(at, abs=4 * error)


def test_several_attempts_on_a_patient_are_one_piece_of_evidence():
    rng = np.random.default_rng(0)
    patients = rng.permutation(np.repeat(np.arange(50), 20))
    hit = rng.random(50) < 0.3
    means = rates.patient_means(hit[patients].astype(float), patients)
    assert means.tolist() == hit.tolist()
    assert rates.effective_n(means) == pytest.approx(50)
    independent = rates.patient_means((rng.random(1000) < 0.3).astype(float), patients)
    # The variance of 50 means has a relative standard error of sqrt(2 / 49).
    assert rates.effective_n(independent) == pytest.approx(1000, rel=3 * np.sqrt(2 / 49))
    assert rates.effective_n(np.zeros(50)) == 50


@pytest.mark.parametrize(("n", "m", "p", "q"), [(300, 150, 0.02, 0.02), (80, 70, 0.13, 0.13), (500, 500, 0.3, 0.1)])
def test_the_interval_of_the_residual_risk_covers_it(n, m, p, q):
    rng, repeats, truth = np.random.default_rng(1), 400, (p - q) / (1 - q)
    found = [
        rates.residual((rng.random(n) < p).astype(float), (rng.random(m) < q).astype(float), rng)
        for _ in range(repeats)
    ]
    upper = _most_alarms(repeats)
    assert sum(one.risk.low > truth for one in found) <= upper
    assert sum(one.risk.high < truth for one in found) <= upper
    assert sum(one.risk.low > truth or one.risk.high < truth for one in found) >= repeats // 100
    if p == q:
        assert sum(one.p_value <= 0.025 for one in found) <= upper


def test_the_interval_over_clusters_covers_the_risk():
    """Five attempts a patient, whose chances differ from patient to patient: ignoring that would cover far less."""
    rng, repeats = np.random.default_rng(2), 300

    def patients(n: int, rate: float) -> np.ndarray:
        chance = rng.beta(rate, 1 - rate, n)  # intraclass correlation 1/2
        return rng.binomial(5, chance) / 5

    found = [rates.residual(patients(120, 0.3), patients(100, 0.2), rng).risk for _ in range(repeats)]
    assert sum(one.low > 0.125 for one in found) <= _most_alarms(repeats)
    assert sum(one.high < 0.125 for one in found) <= _most_alarms(repeats)


def test_no_success_at_all_is_not_called_no_risk():
    found = rates.residual(np.zeros(100), np.zeros(60), np.random.default_rng(0))
    assert found.risk.value == 0
    assert 0.01 < found.risk.high < 0.04
    assert found.p_value > 0.4


def test_success_on_every_control_patient_leaves_nothing_to_measure():
    with pytest.raises(NotComputableError, match="every control patient"):
        rates.residual(np.ones(30), np.ones(30), np.random.default_rng(0))


def test_draws_add_their_variance_and_one_draw_adds_none():
    together = Estimate(0.1, 0.05, 0.2)
    assert rates.pooled([Estimate(0.1, 0.0, 0.3)], together) == together
    found = rates.pooled([Estimate(value, 0, 1) for value in (0.05, 0.1, 0.15)], together)
    between = 1.959964**2 * 0.05**2 * 4 / 3
    assert found.low == pytest.approx(0.1 - np.sqrt(0.05**2 + between), abs=1e-6)
    assert found.high == pytest.approx(0.1 + np.sqrt(0.1**2 + between), abs=1e-6)


def test_holm_by_hand():
    assert rates.holm(np.array([0.01, 0.04, 0.03, 0.5])).tolist() == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert rates.holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_the_least_risk_that_a_sample_finds_is_found_four_times_in_five():
    rng, repeats = np.random.default_rng(3), 400
    risk = rates.minimum_detectable_risk(400, 300, 0.1)
    p = 0.1 + risk * 0.9
    found = [
        rates.residual((rng.random(400) < p).astype(float), (rng.random(300) < 0.1).astype(float), rng).p_value
        for _ in range(repeats)
    ]
    # The control rate is shrunk by half a success, worth less than 1 % of power; 3 standard errors of a rate of 0.8.
    assert np.mean(np.array(found) <= 0.025) == pytest.approx(0.8, abs=3 * 0.02 + 0.01)


@pytest.mark.parametrize(
    ("control", "risk", "needed"), [(0.02, 0.03, 605), (0.02, 0.09, 117), (0.1, 0.05, 829), (0.3, 0.09, 872)]
)
def test_patients_needed(control, risk, needed):
    """Normal approximation, by hand: ``(1.95996 + 0.84162)^2 (p (1 - p) + q (1 - q)) / (p - q)^2``."""
    assert rates.patients_needed(risk, control) == pytest.approx(needed, abs=1)
    assert rates.minimum_detectable_risk(needed, needed, control) == pytest.approx(risk, rel=0.07)


def test_too_few_patients_can_find_nothing():
    assert rates.minimum_detectable_risk(2, 2, 0.5) == 1.0


def test_the_area_is_that_of_sklearn_with_ties():
    rng = np.random.default_rng(4)
    members, control = rng.integers(0, 6, 80), rng.integers(0, 5, 50)
    expected = roc_auc_score(np.repeat([1, 0], [80, 50]), np.concatenate([members, control]))
    assert ranking.auc(members, control).value == pytest.approx(expected)


def test_the_interval_of_the_area_has_a_width_where_all_members_are_recognised():
    found = ranking.auc(np.full(100, 2.0), np.zeros(50))
    assert found.value == found.high == 1
    assert 0.95 < found.low < 0.99
    assert ranking.auc(np.zeros(50), np.ones(100)).high == pytest.approx(1 - found.low, abs=1e-6)


@pytest.mark.parametrize(("n", "m", "shift"), [(300, 150, 0.0), (300, 150, 1.0), (1000, 500, 2.0)])
def test_intervals_of_ranking_cover_the_truth(n, m, shift):
    """Normal scores: the area is Phi(shift / sqrt 2), the true-positive rate 1 - Phi(z_0.99 - shift)."""
    rng, repeats = np.random.default_rng(5), 300
    area, rate = norm.cdf(shift / np.sqrt(2)), norm.sf(norm.isf(0.01) - shift)
    outside, above, values = np.zeros(2), np.zeros(2), []
    for _ in range(repeats):
        members, control = rng.normal(shift, 1, n), rng.normal(size=m)
        found = ranking.auc(members, control)
        outside += [found.low > area, found.high < area]
        values.append(ranking.true_positive_rate(members, control))
        spread = ranking.resampled_true_positive_rate(members, control, rng)
        found = rates.with_interval(values[-1], spread)
        above += [found.low > rate, found.high < rate]
    assert outside.max() <= _most_alarms(repeats, 0.04)  # Hanley-McNeil's error is an approximation
    assert above[1] <= _most_alarms(repeats)  # the side that a privacy verdict rests on
    assert above[0] <= _most_alarms(repeats, 0.08)  # 1.5 control patients above the threshold tell little of it
    if shift == 0:
        assert np.mean(values) == pytest.approx(0.01, abs=3 * np.std(values) / np.sqrt(repeats))


def test_the_false_positive_rate_that_few_control_patients_can_show():
    assert ranking.false_positive_rate(500) == ranking.false_positive_rate(99) == 0.01
    assert ranking.false_positive_rate(49) == 0.02
    assert ranking.true_positive_rate(np.full(20, 3.0), np.arange(3.0)) == 1
    assert ranking.true_positive_rate(np.full(20, 2.0), np.arange(3.0)) == 0  # a tie is no recognition


def _most_alarms(repeats: int, rate: float = 0.025) -> int:
    """The 99.9 % quantile of the number of alarms at a rate."""
    return int(binom.ppf(0.999, repeats, rate))
