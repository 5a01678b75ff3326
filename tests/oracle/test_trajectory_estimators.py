"""What trajectory metrics estimate, against closed forms, simulated truth and other libraries."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import ks_2samp
from sklearn.linear_model import Ridge

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE, Setting
from longsynth.evaluation.metrics.informative import _regression, _visiting_coefficients
from longsynth.evaluation.metrics.slopes import mean_slope, patient_slopes, slope_arm_effect
from longsynth.evaluation.metrics.temporal import _autocorrelations, _binned, _pairs
from longsynth.evaluation.metrics.transitions import transition
from longsynth.evaluation.metrics.variance import variance_components
from longsynth.evaluation.metrics.visit_process import (
    time_since_last_visit,
    visit_count_by_event,
    visit_gap,
    visit_span,
)
from longsynth.evaluation.visit_arrays import (
    VisitArrays,
    carried_forward,
    deviations,
    lagged_correlations,
    rank_scores,
    visit_arrays,
)
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime

SETTING = Setting(arm="arm")
SCHEMA = Schema(
    visit_time=VisitTime(column="t"),
    terminal_event=TerminalEvent(duration="end", event="died", event_types={1: "death"}),
    static={"arm": StaticColumn(kind="binary", levels=(0, 1))},
    channels={"x": Channel(kind="continuous"), "state": Channel(kind="categorical", levels=("a", "b"))},
)


def arrays_of(values: np.ndarray, times: np.ndarray | None = None) -> VisitArrays:
    """Patients of equally many visits, shape (N, L)."""
    n, length = values.shape
    times = np.tile(np.arange(length, dtype=float), (n, 1)) if times is None else times
    return VisitArrays(["x"], np.repeat(np.arange(n), length), times.ravel(), values.reshape(-1, 1))


def levels_and_noise(rng: np.random.Generator, n: int, length: int, between: float, phi: float) -> np.ndarray:
    noise = rng.normal(size=(n, length))
    for k in range(1, length):
        noise[:, k] = phi * noise[:, k - 1] + np.sqrt(1 - phi**2) * noise[:, k]
    return between * rng.normal(size=(n, 1)) + noise


def cohort_of(t: list[list[float]], end: list[float], died: list[int], **channels: list[list[object]]) -> Cohort:
    ids = [f"p{i}" for i in range(len(t))]
    static = pl.DataFrame({"patient_id": ids, "arm": [i % 2 for i in range(len(t))], "end": end, "died": died})
    flat = {name: [value for row in rows for value in row] for name, rows in ({"t": t} | channels).items()}
    visits = pl.DataFrame({"patient_id": [i for i, row in zip(ids, t, strict=True) for _ in row]} | flat)
    kept = {name: SCHEMA.channels[name] for name in channels}
    return Cohort(static, visits, schema=SCHEMA.model_copy(update={"channels": kept}))


def within_three_errors(found: list, truth: object) -> None:
    table = np.array(found)
    error = table.std(axis=0, ddof=1) / np.sqrt(len(table))
    assert (np.abs(table.mean(axis=0) - truth) < 3 * error).all(), (table.mean(axis=0), truth, error)


def test_lagged_correlations_are_numpys_over_the_pairs_with_both():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 2))
    values[:, 1] += values[:, 0]
    values[rng.random(values.shape) < 0.2] = np.nan
    patient = np.repeat(np.arange(60), 5)
    for lag in (0, 1, 3):
        pairs = [(i, i + lag) for i in range(300 - lag) if patient[i] == patient[i + lag]]
        x, y = values[[i for i, _ in pairs], 0], values[[j for _, j in pairs], 1]
        both = ~(np.isnan(x) | np.isnan(y))
        expected = np.corrcoef(x[both], y[both])[0, 1]
        assert lagged_correlations(values, patient, lag)[0, 1] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(lagged_correlations(values, patient, 5)).all()  # nobody has six visits


def test_carried_forward_and_deviations_by_hand():
    nan = np.nan
    values = np.array([[1.0, nan], [nan, 4.0], [5.0, nan], [nan, nan], [2.0, 7.0]])
    patient = np.array([0, 0, 0, 1, 1])
    expected = [[1, nan], [1, 4], [5, 4], [nan, nan], [2, 7]]
    np.testing.assert_array_equal(carried_forward(values, patient), expected)
    np.testing.assert_array_equal(deviations(values, patient, 2, fewest=2)[:, 0], [-2, nan, 2, nan, nan])
    assert carried_forward(values[:0], patient[:0]).shape == (0, 2)


def test_autocorrelation_and_variogram_of_a_gaussian_process_are_the_closed_forms():
    rng = np.random.default_rng(1)
    phi, lags = 0.6, np.array([1, 2, 3])
    pearson = (1 + phi**lags) / 2  # half of the variance is between patients
    spearman = 6 / np.pi * np.arcsin(pearson / 2)
    correlations, variograms = [], []
    for _ in range(60):
        arrays = arrays_of(levels_and_noise(rng, 150, 6, between=1.0, phi=phi))
        ranks = VisitArrays(arrays.names, arrays.patient, arrays.time, rank_scores(arrays.values))
        correlations.append(_autocorrelations(ranks.values, ranks.patient)[:, 0])
        variograms.append(_binned(*_pairs(ranks, "x"), np.array([0.5, 1.5, 2.5, 3.5])))
    few = 1 / 150  # the bias of a correlation in 150 independent patients
    assert np.mean(correlations, axis=0) == pytest.approx(spearman, abs=3 * np.std(correlations) / np.sqrt(60) + few)
    assert np.mean(variograms, axis=0) == pytest.approx(1 - spearman, abs=3 * np.std(variograms) / np.sqrt(60) + few)


def test_variance_components_recover_the_truth_with_unequal_numbers_of_visits():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        values = levels_and_noise(rng, 60, 7, between=1.5, phi=0.0)
        values[np.arange(7) >= rng.integers(1, 8, (60, 1))] = np.nan
        found.append(variance_components(arrays_of(values))[0])
    within_three_errors(found, [1.5**2, 1.0])


def test_variance_components_by_hand():
    values = np.array([[1.0, 3, np.nan], [5, 7, 9], [2, 2, np.nan], [0, 2, np.nan], [4, 6, 8], [50, np.nan, np.nan]])
    means, n = np.array([2, 7, 2, 1, 6.0]), np.array([2, 3, 2, 2, 3])
    within = (2 + 8 + 0 + 2 + 8) / (n - 1).sum()
    expected = [means.var(ddof=1) - within * (1 / n).mean(), within]
    np.testing.assert_allclose(variance_components(arrays_of(values))[0], expected)


def test_slopes_are_numpys():
    rng = np.random.default_rng(3)
    times, values = np.sort(rng.random((8, 5)), axis=1), rng.normal(size=(8, 5))
    values[0, 1:] = np.nan  # one value: no slope
    values[1, 2] = np.nan
    found = patient_slopes(arrays_of(values, times), "x")
    assert found.patient.tolist() == [1, 2, 3, 4, 5, 6, 7]
    seen = ~np.isnan(values)
    expected = [np.polyfit(times[i][seen[i]], values[i][seen[i]], 1)[0] for i in range(1, 8)]
    np.testing.assert_allclose(found.slope, expected)


def test_the_mean_slope_is_right_and_so_is_its_interval():
    """Patients differ in slope, in noise of their slopes, and in how long they are followed."""
    rng = np.random.default_rng(4)
    slope, slope_sd, n_seeds = 0.4, 0.3, 500
    found, covered = [], 0
    for _ in range(n_seeds):
        times = np.cumsum(rng.exponential(1.0, (100, 6)), axis=1)
        own = rng.normal(slope, slope_sd, (100, 1))
        values = rng.normal(size=(100, 1)) + own * times + rng.normal(size=times.shape)
        values[np.arange(6) >= rng.integers(2, 7, (100, 1))] = np.nan
        mean, error = mean_slope(patient_slopes(arrays_of(values, times), "x"))
        found.append(mean)
        covered += abs(mean - slope) < 1.96 * error
    within_three_errors(found, slope)
    assert covered / n_seeds == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / n_seeds))


def test_the_effect_of_the_arm_on_slopes_is_standard_normal_between_equal_samples():
    rng = np.random.default_rng(5)

    def trial(effect: float) -> Cohort:
        t = [list(range(5)) for _ in range(80)]
        x = [list(rng.normal() + effect * (i % 2) * np.arange(5) + rng.normal(size=5)) for i in range(80)]
        return cohort_of(t, [9.0] * 80, [0] * 80, x=x)

    z = [slope_arm_effect(trial(-0.5), trial(-0.5), SETTING)[WHOLE] for _ in range(60)]
    assert abs(np.mean(z)) < 3 / np.sqrt(60)
    assert np.std(z) == pytest.approx(1, abs=3 / np.sqrt(2 * 60))
    assert slope_arm_effect(trial(0.0), trial(-0.5), SETTING)[WHOLE] > 3


def test_transitions_by_hand():
    made = cohort_of([[0.0, 1, 2]] * 20, [9.0] * 20, [0] * 20, state=[["a", "a", "b"]] * 20)
    real = cohort_of([[0.0, 1, 2]] * 20, [9.0] * 20, [0] * 20, state=[["a", "a", "a"]] * 10 + [["a", "b", "a"]] * 10)
    # from a: to b in 20 of 40 against 10 of 30; from b (10 of 40 real transitions): never in the sample
    expected = (30 * abs(20 / 40 - 10 / 30) + 10 * 1) / 40
    assert transition(made, real, SETTING)[WHOLE] == pytest.approx(expected)


def test_transitions_that_differ_by_gap_are_seen_where_the_pooled_matrix_is_the_same():
    """In one cohort the state changes over long gaps, in the other over short ones."""
    times = [[0.0, 1, 11]] * 30
    late = cohort_of(times, [20.0] * 30, [0] * 30, state=[["a", "a", "b"], ["b", "b", "a"]] * 15)
    early = cohort_of(times, [20.0] * 30, [0] * 30, state=[["a", "b", "b"], ["b", "a", "a"]] * 15)
    assert transition(late, early, SETTING)[WHOLE] == pytest.approx(1)


def test_regressions_are_ridge_with_centred_predictors():
    rng = np.random.default_rng(6)
    before, time, outcome = rng.normal(size=(80, 2)), rng.random(80), rng.normal(size=(80, 3))
    predictors = np.column_stack([before, rank_scores(time[:, None])])
    expected = Ridge(alpha=0.01 * 80).fit(predictors, outcome).coef_.T
    np.testing.assert_allclose(_regression(before, time, outcome), expected, atol=1e-10)


def test_gaps_that_depend_on_values_have_the_simulated_coefficient():
    """log gap = -0.3 x + noise with x standard normal: per standard deviation of ranks -0.3 corr(x, rank x)."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(100):
        x = rng.normal(size=(100, 6))
        gaps = np.exp(-0.3 * x + 0.3 * rng.normal(size=x.shape))
        times = np.column_stack([np.zeros(100), np.cumsum(gaps, axis=1)[:, :-1]])
        found.append(_visiting_coefficients(arrays_of(x, times))[0])
    ridge = 1 / 1.01
    within_three_errors(found, -0.3 * np.sqrt(3 / np.pi) * ridge)


def test_distances_between_visits_are_scipys():
    rng = np.random.default_rng(8)
    cohorts = []
    for scale in (1.0, 1.3):
        t = [np.cumsum(rng.exponential(scale, rng.integers(2, 7))).round(3).tolist() for _ in range(40)]
        died = [i // 2 % 2 for i in range(40)]
        cohorts.append((cohort_of(t, [row[-1] + 1 + i for i, row in enumerate(t)], died), t, died))
    (made, t, died), (real, u, _) = cohorts
    gaps = [[np.float64(f"{gap:.4g}") for row in rows for gap in np.diff(row)] for rows in (t, u)]
    assert visit_gap(made, real, SETTING)[WHOLE] == pytest.approx(ks_2samp(*gaps).statistic)
    second = [[np.float64(f"{np.diff(row)[1]:.4g}") for row in rows if len(row) > 2] for rows in (t, u)]
    assert visit_gap(made, real, SETTING)["gap 2"] == pytest.approx(ks_2samp(*second).statistic)
    spans = [[np.float64(f"{row[-1] - row[0]:.4g}") for row in rows] for rows in (t, u)]
    assert visit_span(made, real, SETTING)[WHOLE] == pytest.approx(ks_2samp(*spans).statistic)
    counts = [[len(row) for row, is_dead in zip(rows, died, strict=True) if is_dead] for rows in (t, u)]
    found = visit_count_by_event(made, real, SETTING)
    assert found["death"] == pytest.approx(ks_2samp(*counts).statistic)
    assert found[WHOLE] == pytest.approx((found["death"] + found["censored"]) / 2)
    assert time_since_last_visit(made, real, SETTING)[WHOLE] == 0  # 1 + i in both


def test_visit_arrays_are_the_table():
    cohort = cohort_of([[0.0, 2], [1.0]], [5.0, 5], [0, 1], x=[[1.0, None], [3.0]])
    arrays = visit_arrays(cohort, ["x"])
    assert (arrays.n_patients, arrays.patient.tolist(), arrays.time.tolist()) == (2, [0, 0, 1], [0, 2, 1])
    assert [column.tolist() for column in arrays.column("x")] == [[0, 1], [0, 1], [1, 3]]
