"""Distances between patients: by hand, expected values under equality, and mode collapse seen by coverage."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from metric_worlds import column_permuted, dealt_across_patients, halves, relabelled, with_visits, world
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import METRICS, WHOLE, Setting
from longsynth.evaluation.metrics.distance import coverage, density, mmd, precision, recall, squared_mmd
from longsynth.evaluation.patient_space import patient_points
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Schema, StaticColumn

SETTING = Setting()
ALL = [mmd, precision, recall, density, coverage]
K = 5


def points_cohort(points: np.ndarray) -> Cohort:
    columns = [f"x{i}" for i in range(points.shape[1])]
    schema = Schema(static={name: StaticColumn(kind="continuous") for name in columns})
    table = pl.DataFrame(dict(zip(columns, points.T, strict=True))).with_columns(patient_id=np.arange(len(points)))
    return Cohort(table, schema=schema)


def repeated(cohort: Cohort, n_kept: int = 20) -> Cohort:
    """Mode collapse: as many patients, but they are copies of a few."""
    ids = cohort.static["patient_id"]
    copies = pl.DataFrame({"patient_id": ids.gather(np.arange(len(ids)) % n_kept), "copy": ids + "c"})
    static, visits = (
        copies.join(table, on="patient_id").drop("patient_id").rename({"copy": "patient_id"})
        for table in (cohort.static, cohort.visits)
    )
    return Cohort(static, visits, schema=cohort.schema)


def test_mmd_is_the_mean_of_a_kernel_over_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), rng.normal(0.5, 1, (9, 3))
    both = np.concatenate([x, y])
    median = np.median([np.linalg.norm(a - b) for i, a in enumerate(both) for b in both[:i]])
    kernel = rbf_kernel(both, gamma=1 / (2 * median**2))
    x_pairs = kernel[:12, :12][~np.eye(12, dtype=bool)].mean()
    y_pairs = kernel[12:, 12:][~np.eye(9, dtype=bool)].mean()
    assert squared_mmd(x, y) == pytest.approx(x_pairs + y_pairs - 2 * kernel[:12, 12:].mean())


def test_mmd_is_unbiased_and_bounded():
    rng = np.random.default_rng(1)
    found = [squared_mmd(*rng.normal(size=(2, 20, 4))) for _ in range(300)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)
    assert squared_mmd(np.zeros((10, 2)), np.zeros((10, 2))) == 0
    assert squared_mmd(np.zeros((10, 2)), np.ones((10, 2))) == pytest.approx(2 * (1 - np.exp(-0.5)))


def test_neighbours_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    cohorts = [points_cohort(rng.normal(shift, 1, (40, 3))) for shift in (0.3, 0)]
    y, x = patient_points(*cohorts)
    radii = {id(p): NearestNeighbors(n_neighbors=K).fit(p).kneighbors()[0][:, -1] for p in (x, y)}  # without itself
    reached = [[np.linalg.norm(a - b) <= radii[id(x)][i] for b in y] for i, a in enumerate(x)]
    reached_by_sample = [[np.linalg.norm(a - b) <= radii[id(y)][j] for a in x] for j, b in enumerate(y)]
    expected = [np.any(reached, axis=0).mean(), np.any(reached_by_sample, axis=0).mean(),
                np.sum(reached) / (K * len(y)), np.any(reached, axis=1).mean()]  # fmt: skip
    found = [metric(*cohorts, SETTING)[WHOLE] for metric in (precision, recall, density, coverage)]
    assert found == pytest.approx(expected)


def test_expected_coverage_and_density_of_a_fresh_sample():
    rng = np.random.default_rng(3)
    n, n_draws = 30, 60
    pairs = [[points_cohort(rng.normal(size=(n, 2))) for _ in range(2)] for _ in range(n_draws)]
    uncovered = np.prod([(n - 1 - t) / (2 * n - 1 - t) for t in range(K)])  # the 5 nearest of all others are real
    covered = [coverage(*pair, SETTING)[WHOLE] for pair in pairs]
    assert np.mean(covered) == pytest.approx(1 - uncovered, abs=3 * np.std(covered) / np.sqrt(n_draws))
    dense = [density(*pair, SETTING)[WHOLE] for pair in pairs]
    expected = n / (n - 1 + 1)  # of n others in the sample, each is nearer than the 5th of n - 1 with chance 5 / n
    assert np.mean(dense) == pytest.approx(expected, abs=3 * np.std(dense) / np.sqrt(n_draws))
    assert METRICS["coverage"].best == pytest.approx(1 - uncovered, abs=0.02)


def test_mode_collapse_is_seen_by_coverage_and_recall():
    fresh, real = halves(world(300, seed=1))
    collapsed = repeated(fresh)
    assert coverage(fresh, real, SETTING)[WHOLE] > 0.9
    assert coverage(collapsed, real, SETTING)[WHOLE] < 0.7
    assert recall(collapsed, real, SETTING)[WHOLE] < 0.5 < recall(fresh, real, SETTING)[WHOLE]
    assert precision(collapsed, real, SETTING)[WHOLE] > 0.9  # each copy is plausible
    assert mmd(collapsed, real, SETTING)[WHOLE] > mmd(fresh, real, SETTING)[WHOLE]


def test_unreal_patients_are_seen_by_precision_and_density():
    fresh, real = halves(world(300, seed=1))
    unreal = fresh
    for seed, name in enumerate(real.schema.channels):
        unreal = column_permuted(unreal, name, seed)
    for metric in (precision, density):
        assert metric(unreal, real, SETTING)[WHOLE] < metric(fresh, real, SETTING)[WHOLE] - 0.05
    dealt = dealt_across_patients(fresh)
    assert density(dealt, real, SETTING)[WHOLE] < density(fresh, real, SETTING)[WHOLE] - 0.2
    assert mmd(dealt, real, SETTING)[WHOLE] > mmd(fresh, real, SETTING)[WHOLE] + 0.01


def test_units_ids_and_order_do_not_matter():
    made, real = world(30, seed=2), world(30, seed=3)
    in_other_units = [
        with_visits(cohort, cohort.visits.with_columns(marker=pl.col("marker") * 1000)) for cohort in (made, real)
    ]
    for metric in ALL:
        value = metric(made, real, SETTING)[WHOLE]
        assert metric(relabelled(made), relabelled(real), SETTING)[WHOLE] == pytest.approx(value)
        assert metric(*in_other_units, SETTING)[WHOLE] == pytest.approx(value)


def test_points_of_levels_and_missing_values():
    schema = Schema(
        static={
            "site": StaticColumn(kind="categorical", levels=("a", "b", "c")),
            "arm": StaticColumn(kind="binary", levels=(0, 1)),
            "age": StaticColumn(kind="continuous"),
        }
    )
    table = pl.DataFrame(
        {"patient_id": range(4), "site": ["a", "b", None, "a"], "arm": [0, 1, 1, 0], "age": [0.1, None, 0.3, 0.2]}
    )
    made, real = (Cohort(table[rows], schema=schema) for rows in ([0, 1], [2, 3]))
    points = np.concatenate(patient_points(made, real))
    site, arm, age = points[:, :3], points[:, 3], points[:, 4:]
    assert np.linalg.norm(site[0] - site[1]) == pytest.approx(0.5)
    assert np.linalg.norm(site[1] - site[2]) == pytest.approx(0.5)
    assert (site[0] == site[3]).all()
    assert arm[1] - arm[0] == pytest.approx(0.5)
    assert age[:, 0].tolist() == pytest.approx([1 / 6, 1 / 2, 5 / 6, 1 / 2])
    assert age[:, 1].tolist() == [0, 0.5, 0, 0]


def test_awkward_cohorts_are_finite_or_have_a_reason():
    for cohort in awkward_cohorts().values():
        for metric in (mmd, coverage):  # the others stand on the same points
            try:
                assert np.isfinite(metric(cohort, cohort, SETTING)[WHOLE])
            except NotComputableError as error:
                assert cohort.n_patients < 10
                assert "patients" in str(error)
