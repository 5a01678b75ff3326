"""Metrics that read whole sequences: forecasts, detection, alignment and clusters; by hand, and each damage seen."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import dealt_across_patients, relabelled, shuffled_in_time, world

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.alignment import (
    _padded,
    alignment_kernel,
    soft_warping,
    squared_discrepancy,
    warping_distances,
)
from longsynth.evaluation.base import METRICS, WHOLE, Setting
from longsynth.evaluation.metrics import alignment, sequence_detection, warping
from longsynth.evaluation.metrics.signature import _mean_distance, _signatures
from longsynth.evaluation.metrics.warping import _told_apart
from longsynth.evaluation.paths import Paths, paired_paths
from longsynth.evaluation.tslearn_lazily import tslearn
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Channel, Schema, VisitTime

ALIGNED = ("alignment_mmd", "dtw_neighbour", "soft_dtw_divergence")
NAMES = ("detect_sequence", "forecast_skill", "signature_mmd", "cluster_shares", *ALIGNED)
SETTING = Setting()


def value(name: str, sample: Cohort, reference: Cohort) -> float:
    return METRICS[name].function(sample, reference, SETTING)[WHOLE]


def cohort_of(values: np.ndarray, times: np.ndarray | None = None) -> Cohort:
    """One channel ``x``, shape (N, L); NaN = no visit."""
    n, length = values.shape
    times = np.tile(np.arange(length, dtype=float), (n, 1)) if times is None else times
    visits = pl.DataFrame({"patient_id": np.repeat(np.arange(n), length), "t": times.ravel(), "x": values.ravel()})
    visits = visits.filter(~pl.col("x").is_nan())
    schema = Schema(visit_time=VisitTime(column="t"), channels={"x": Channel(kind="continuous")})
    return Cohort(pl.DataFrame({"patient_id": np.arange(n)}), visits, schema=schema)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sequence_detection, "N_SEEDS", 2)
    for module in (alignment, warping):
        monkeypatch.setattr(module, "MOST_PATIENTS", 40)


def test_paths_are_ranks_carried_forward_thinned_and_padded():
    schema = Schema(
        visit_time=VisitTime(column="t"),
        channels={"x": Channel(kind="continuous"), "ward": Channel(kind="categorical", levels=("a", "b"))},
    )
    ids = [0, 0, 0, *range(1, 11)]
    visits = pl.DataFrame({
        "patient_id": ids, "t": [0.0, 1, 2] + [0.0] * 10, "x": [None, 5.0, None] + [1.0] * 5 + [9.0] * 5,
        "ward": ["a", None, "b"] + ["a"] * 10,
    })  # fmt: skip
    cohort = Cohort(visits.select("patient_id").unique(), visits, schema=schema)
    paths, _ = paired_paths(cohort, cohort, np.random.default_rng(0), 11, 3)
    longest = int(np.argmax(paths.length))
    x, is_a, is_b, time = paths.of(longest).T
    assert x.tolist() == [0, 0, 0]  # the median of the reference, before it is seen, when it is, and after
    assert is_a[0] == is_a[1] > is_a[2]
    assert is_b[0] == is_b[1] < is_b[2]
    assert (np.diff(time) > 0).all()
    assert paths.observed[longest].tolist() == [[0, 1], [1, 0], [0, 1]]
    assert sorted(paths.length) == [1] * 10 + [3]
    assert (paths.points[~paths.inside] == 0).all()
    thinned, _ = paired_paths(cohort, cohort, np.random.default_rng(0), 11, 2)
    assert thinned.of(longest)[:, -1].tolist() == [time[0], time[2]]


def test_the_skill_of_a_forecast_is_what_the_process_allows():
    """A level of a patient and as much noise: the last value has error 1, the best forecast from it 3/4."""
    rng = np.random.default_rng(1)
    cohorts = [cohort_of(rng.normal(size=(700, 1)) + rng.normal(size=(700, 7))) for _ in range(2)]
    skill = value("forecast_skill", *cohorts)
    assert 0.25 - 0.05 < skill < 0.25 + 0.03
    constant = cohort_of(np.full((700, 7), 0.0))
    assert value("forecast_skill", constant, cohorts[1]) == pytest.approx(
        0.0, abs=0.09
    )  # the mean: error 2 / 2, 3 x 0.03


def test_forecasts_learnt_from_damaged_patients_are_worse():
    fresh, real = world(150, 2), world(150, 3)
    good = value("forecast_skill", fresh, real)
    assert value("forecast_skill", dealt_across_patients(fresh), real) < good - 0.1
    assert good < 1


def test_sequences_are_detected_where_their_order_is_broken():
    fresh, real = world(120, 2, drift=1.0), world(120, 3, drift=1.0)
    assert abs(value("detect_sequence", fresh, real) - 0.5) < 3 * 0.037  # standard error of an AUC, 120 a side
    for damage in (shuffled_in_time, dealt_across_patients):
        assert value("detect_sequence", damage(fresh), real) > 0.75
    doubled = cohort_with_times(fresh, 2)
    assert value("detect_sequence", doubled, cohort_with_times(real, 1)) > 0.9


def cohort_with_times(cohort: Cohort, factor: float) -> Cohort:
    schema = cohort.schema.model_copy(update={"terminal_event": None})
    return Cohort(cohort.static, cohort.visits.with_columns(pl.col("day") * factor), schema=schema)


def test_discrepancy_by_hand_and_without_bias():
    kernel = np.array([[1, 0.5, 0.1, 0.2], [0.5, 1, 0.3, 0.4], [0.1, 0.3, 1, 0.8], [0.2, 0.4, 0.8, 1]])
    assert squared_discrepancy(kernel, 2) == pytest.approx(0.5 + 0.8 - 2 * 0.25)
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        points = rng.normal(size=20)
        found.append(squared_discrepancy(np.exp(-((points[:, None] - points) ** 2)), 10))
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)


def unequal_records() -> tuple[np.ndarray, np.ndarray]:
    """Of 1 to 30 visits, in any order of length, NaN beyond them; two patients are far from all others."""
    rng = np.random.default_rng(5)
    length = np.concatenate([[30, 1], rng.integers(1, 15, 18), [7, 30]])
    points = rng.normal(size=(len(length), 30, 3))
    points[[1, 4]] += 1000.0
    points[np.arange(30) >= length[:, None]] = np.nan
    return points, length


@pytest.mark.parametrize("sigma", [0.3, 2.0, 50.0])
def test_alignments_are_those_of_tslearn(sigma):
    points, length = unequal_records()
    found, expected = alignment_kernel(points, length, sigma), tslearn("metrics").cdist_gak(points, sigma=sigma)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)


def test_distances_under_time_warping_are_those_of_tslearn():
    points, length = unequal_records()
    found = warping_distances(points, length)
    np.testing.assert_allclose(found, tslearn("metrics").cdist_dtw(points), rtol=1e-12, atol=1e-12)
    assert (found == found.T).all()


@pytest.mark.parametrize("gamma", [0.01, 1.0, 100.0])
def test_soft_time_warping_is_that_of_tslearn(gamma):
    points, length = unequal_records()
    found, expected = soft_warping(points, length, gamma), tslearn("metrics").cdist_soft_dtw(points, gamma=gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


def test_neighbours_and_energy_by_hand():
    """Patients 0 and 1 against 2 and 3; patient 1 is as near to 0 as to 2."""
    apart = np.array([[0, 1, 3, 4], [1, 0, 1, 3], [3, 1, 0, 2.0], [4, 3, 2, 0]])
    assert _told_apart(apart, 2) == (1 + 0.5 + 0 + 1) / 4
    assert -squared_discrepancy(apart, 2) == 2 * (3 + 4 + 1 + 3) / 4 - 1 - 2


def test_the_padding_of_aligned_patients_is_not_part_of_them():
    both = [Paths(np.ones((2, width, 2)), np.ones((2, width, 4)), np.array([width, 1])) for width in (3, 5)]
    padded = _padded(both, 5)
    assert (~np.isnan(padded)).all(axis=2).sum(axis=1).tolist() == [3, 1, 5, 1]
    assert padded[2, 4].tolist() == [1, 1, 0.5]


def test_few_patients_repeated_are_far_from_the_others_when_aligned():
    real = world(60, 3)
    by_chance = [value("alignment_mmd", world(60, seed), real) for seed in (4, 5, 6)]
    assert value("alignment_mmd", repeated(world(3, 2), 20), real) > 3 * max(map(abs, by_chance))


def test_copies_of_real_patients_are_nearer_than_real_ones_and_copies_of_each_other_are_nearest():
    real = world(40, 3)
    assert value("dtw_neighbour", relabelled(real), real) == 0
    assert 0.3 < value("dtw_neighbour", world(40, 4), real) < 0.7
    assert value("dtw_neighbour", repeated(world(4, 2), 10), real) > 0.9


def test_stretched_times_are_far_under_soft_time_warping():
    fresh, real = cohort_with_times(world(60, 2), 1), cohort_with_times(world(60, 3), 1)
    by_chance = [abs(value("soft_dtw_divergence", cohort_with_times(world(60, seed), 1), real)) for seed in (4, 5, 6)]
    assert value("soft_dtw_divergence", cohort_with_times(fresh, 2), real) > 3 * max(by_chance)


def repeated(cohort: Cohort, times: int) -> Cohort:
    copies = [
        [table.with_columns(pl.col("patient_id") + f" {number}") for number in range(times)]
        for table in (cohort.static, cohort.visits)
    ]
    return Cohort(*map(pl.concat, copies), schema=cohort.schema)


def test_signatures_by_hand():
    """Channel a moves before channel b, or after it: the same end points, another area between them."""
    points = np.array([[[1.0, 0], [1, 1]], [[0, 1.0], [1, 1]]])
    first, second = _signatures(Paths(points, np.ones_like(points), np.array([2, 2])))
    assert first.tolist() == [1, 1, 0.5, 1, 0, 0.5]  # int a da, int a db, int b da, int b db
    assert second.tolist() == [1, 1, 0.5, 0, 1, 0.5]
    made, real = np.random.default_rng(4).normal(size=(2, 30, 3))
    kernel = np.vstack([made, real]) @ np.vstack([made, real]).T
    assert _mean_distance(made, real) == pytest.approx(squared_discrepancy(kernel, 30) / 3)


def test_signatures_tell_the_order_of_visits():
    real, fresh = world(150, 2, drift=1.0), world(150, 3, drift=1.0)
    by_chance = [value("signature_mmd", world(150, seed, drift=1.0), real) for seed in range(4, 10)]
    for damage in (shuffled_in_time, dealt_across_patients):
        assert value("signature_mmd", damage(fresh), real) > np.mean(by_chance) + 5 * np.std(by_chance)


def test_shares_of_clusters_are_the_shares_of_kinds():
    """Patients who rise and patients who fall: half of each against nine in ten."""
    slopes = np.linspace(-1, 1, 5) * 10
    rng = np.random.default_rng(3)

    def kinds(share: float) -> Cohort:
        rises = np.arange(200) < share * 200
        return cohort_of(np.where(rises[:, None], slopes, -slopes) + rng.normal(size=(200, 5)))

    found = METRICS["cluster_shares"].function(kinds(0.9), kinds(0.5), SETTING)
    assert found[WHOLE] >= 0.4 - 1e-9
    assert found[WHOLE] == pytest.approx(0.4, abs=0.1)
    assert value("cluster_shares", kinds(0.5), kinds(0.5)) < 0.2
    assert sum(found.values()) - found[WHOLE] == pytest.approx(2 * found[WHOLE])


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_the_order_of_rows_and_patients_do_not_matter(name):
    sample, reference = world(50, 2), world(60, 3)
    found = METRICS[name].function(sample, reference, SETTING)
    assert METRICS[name].function(relabelled(sample), relabelled(reference), SETTING) == pytest.approx(found, abs=1e-6)
    assert METRICS[name].function(sample, reference, SETTING) == found


@pytest.mark.parametrize("name", NAMES)
def test_awkward_cohorts_have_finite_values_or_a_reason(name):
    for cohort in awkward_cohorts().values():
        try:
            found = METRICS[name].function(cohort, cohort, SETTING)
        except NotComputableError as error:
            assert str(error)
        else:
            assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_without_visits_has_a_reason(name):
    cohort = world(20, 1)
    with pytest.raises(NotComputableError):
        value(name, Cohort(cohort.static, cohort.visits.clear(), schema=cohort.schema, origin="synthetic"), cohort)
