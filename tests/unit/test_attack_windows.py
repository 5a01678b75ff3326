"""Windows of visits: the distance against its definition, ties, missing values, and where windows lie."""

import numpy as np
import polars as pl
import pytest
from attack_worlds import CONTROL, FRESH, MEMBERS, release
from metric_worlds import relabelled, with_visits, world

from longsynth.privacy.base import Knowledge, prepare_release
from longsynth.privacy.coded import scaling_of
from longsynth.privacy.records import records_of
from longsynth.privacy.windows import (
    Choice,
    all_stretches,
    chosen_starts,
    nearest_patients,
    nearest_stretches,
    patient_distances,
    windows_at,
)


def delta(a, b, width):
    """One term of the distance, as it is defined."""
    if np.isnan(a) or np.isnan(b):
        return float(np.isnan(a) != np.isnan(b))
    return min(abs(a - b) / width, 1)


def defined_distance(real, made, scaling, place, start, k, patients, static):
    """Mean of all terms between k visits of a target from ``place`` on and k visits from ``start`` on."""
    width, gap = scaling.values[1], scaling.gap
    terms = [
        delta(real.values[place + t, c], made.values[start + t, c], width[c])
        for t in range(k)
        for c in range(len(width))
    ]
    for t in range(k - 1):
        gaps = [
            records.time[first + t + 1] - records.time[first + t] for records, first in ((real, place), (made, start))
        ]
        terms.append(delta(*gaps, gap))
    terms.append(delta(real.time[place], made.time[start], scaling.time))
    for column in range(static):
        pair = (real.static[patients[0], column], made.static[patients[1], column])
        terms.append(delta(*pair, scaling.static[1, column]))
    return np.mean(terms)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_distance_is_the_defined_one(k):
    members, made = world(12, 5, n_visits=4), world(9, 6, n_visits=4)
    prepared = prepare_release(made, members, members)
    synthetic, real = prepared.coded_synthetic[0], prepared.coded_real["members"]
    rng = np.random.default_rng(0)
    patient, first = chosen_starts(real.records.n_visits, k, "random", rng)
    windows = windows_at(real, patient, first, Knowledge(k=k, time="exact"), rng, static=np.arange(3))
    expected = np.ones((len(patient), made.n_patients))
    for i, (target, shift) in enumerate(zip(patient, first, strict=True)):
        place = real.records.start[target] + shift
        for s in range(made.n_patients):
            for start in range(synthetic.records.start[s], synthetic.records.start[s + 1] - k + 1):
                apart = defined_distance(
                    real.records, synthetic.records, synthetic.scaling, place, start, k, (target, s), 3
                )
                expected[i, s] = min(expected[i, s], apart)
    np.testing.assert_allclose(patient_distances(windows, synthetic), expected, atol=1e-5)


def test_both_missing_is_equal_and_one_missing_is_far():
    seen = MEMBERS.visits.with_columns(marker=pl.lit(1.0), echo=pl.lit(2.0), count=1, sign=1, grade=pl.lit("a"))
    unseen = seen.with_columns(echo=pl.lit(None, pl.Float64))
    full, empty = with_visits(MEMBERS, seen), with_visits(MEMBERS, unseen)
    for made, real, apart in ((full, full, 0), (empty, empty, 0), (full, empty, 0.2), (empty, full, 0.2)):
        prepared = prepare_release(made, real, real)
        target = prepared.coded_real["members"]
        windows = windows_at(
            target, np.array([0]), np.array([0]), Knowledge(k=1, time="none"), np.random.default_rng(0)
        )
        distances = patient_distances(windows, prepared.coded_synthetic[0])[0]
        has_visits = prepared.synthetic[0].n_visits > 0
        np.testing.assert_allclose(distances[has_visits], apart, atol=1e-6)
        assert (distances[~has_visits] == 1).all()


def test_the_scale_is_that_of_the_synthetic_side():
    wide = with_visits(MEMBERS, MEMBERS.visits.with_columns(pl.col("marker") * 100))
    scales = [prepare_release(FRESH, real, CONTROL).coded_real["members"].scaling for real in (MEMBERS, wide)]
    np.testing.assert_array_equal(scales[0].values, scales[1].values)
    values = np.concatenate([records_of(FRESH).values, records_of(CONTROL).values])[:, 0]
    low, high = np.quantile(values, [0.05, 0.95])
    assert scaling_of([records_of(FRESH), records_of(CONTROL)]).values[1, 0] == pytest.approx(high - low)


def test_a_constant_column_makes_every_other_value_far():
    made = with_visits(FRESH, FRESH.visits.with_columns(marker=pl.lit(5.0)))
    prepared = prepare_release(made, MEMBERS, CONTROL)
    marker = np.abs(prepared.coded_real["members"].values[0] - prepared.coded_synthetic[0].values[0, 0])
    assert (marker[prepared.train.values[:, 0] != 5] >= 1).all()


def test_ties_are_broken_evenly_and_alike_for_the_same_state():
    distances = np.zeros((4000, 4), dtype=np.float32)
    distances[:, 3] = 0.5
    nearest = nearest_patients(distances, 1, np.random.default_rng(0))[:, 0]
    counts = np.bincount(nearest, minlength=4)
    assert counts[3] == 0
    assert (np.abs(counts[:3] - 4000 / 3) < 4 * np.sqrt(4000 * 2 / 9)).all()
    np.testing.assert_array_equal(nearest, nearest_patients(distances, 1, np.random.default_rng(0))[:, 0])


def test_several_nearest_patients():
    distances = np.array([[0.3, 0.1, 0.2, 0.9]], dtype=np.float32)
    assert sorted(nearest_patients(distances, 2, np.random.default_rng(0))[0]) == [1, 2]
    assert sorted(nearest_patients(distances, 9, np.random.default_rng(0))[0]) == [0, 1, 2, 3]


def test_the_nearest_stretch_belongs_to_the_nearest_patient():
    prepared = release(FRESH)
    real, synthetic = prepared.coded_real["members"], prepared.coded_synthetic[0]
    rng = np.random.default_rng(0)
    patient, first = chosen_starts(real.records.n_visits, 2, "random", rng)
    windows = windows_at(real, patient, first, Knowledge(), rng, static=np.array([0, 1]))
    stretches = all_stretches(synthetic, 2)
    nearest = nearest_stretches(windows, synthetic, [Choice(stretches), Choice(stretches, hidden=1)], rng)
    assert np.isin(nearest, stretches).all()
    distances = patient_distances(windows, synthetic)
    found = distances[np.arange(len(patient)), synthetic.patient[nearest[0]]]
    np.testing.assert_allclose(found, distances.min(axis=1), atol=2e-6)
    without = patient_distances(windows_at(real, patient, first, Knowledge(), rng, static=np.array([0])), synthetic)
    found = without[np.arange(len(patient)), synthetic.patient[nearest[1]]]
    np.testing.assert_allclose(found, without.min(axis=1), atol=2e-6)


def test_stretches_lie_within_one_patient():
    synthetic = release(FRESH).coded_synthetic[0]
    for k in (1, 2, 5):
        stretches = all_stretches(synthetic, k)
        assert len(stretches) == np.maximum(synthetic.records.n_visits - k + 1, 0).sum()
        np.testing.assert_array_equal(synthetic.patient[stretches], synthetic.patient[stretches + k - 1])


def test_places_in_the_record():
    n_visits = np.array([0, 2, 5, 3])
    rng = np.random.default_rng(0)
    assert [part.tolist() for part in chosen_starts(n_visits, 3, "first", rng)] == [[2, 3], [0, 0]]
    assert [part.tolist() for part in chosen_starts(n_visits, 3, "last", rng)] == [[2, 3], [2, 0]]
    assert [part.tolist() for part in chosen_starts(n_visits, 3, "all", rng)] == [[2, 2, 3], [0, 2, 0]]
    drawn = np.concatenate([chosen_starts(n_visits, 3, "random", rng)[1] for _ in range(50)])
    assert set(drawn) == {0, 1, 2}
    assert all(part.size == 0 for part in chosen_starts(np.array([1]), 3, "all", rng))


def test_errors_of_what_is_known_are_made_on_numbers_and_times_only():
    real = release(FRESH).coded_real["members"]
    places = chosen_starts(real.records.n_visits, 2, "first", np.random.default_rng(0))
    exact, vague = (
        windows_at(real, *places, knowledge, np.random.default_rng(1))
        for knowledge in (Knowledge(), Knowledge(value_noise=0.1, time="jittered", jitter=5))
    )
    errors = vague.values - exact.values
    observed = exact.values < 1e3
    assert (errors[:, :, 3:] == 0).all()
    assert (errors[~observed] == 0).all()
    assert errors[:, :, 0].std() == pytest.approx(0.1, rel=0.15)
    gaps = (vague.gaps - exact.gaps) * real.scaling.gap
    assert np.abs(gaps).max() <= 10 + 1e-3
    assert gaps.std() == pytest.approx(5 * np.sqrt(2 / 3), rel=0.2)


def test_records_do_not_depend_on_ids_or_rows():
    one, other = records_of(MEMBERS), records_of(relabelled(MEMBERS))
    for name in ("static", "values", "time", "start"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    ages = MEMBERS.static["age"].to_numpy()[one.rows]
    np.testing.assert_array_equal(one.static[:, 1], ages)
    np.testing.assert_array_equal(one.features, other.features)


def of_unequal_length():
    """Patients with 0 to 5 visits."""
    cohort = world(30, seed=4, n_visits=5)
    number = pl.int_range(pl.len()).over("patient_id")
    kept = pl.col("patient_id").rank("dense") % 6 > number
    return prepare_release(with_visits(cohort, cohort.visits.filter(kept)), MEMBERS, CONTROL)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_pieces_are_all_stretches(k, size):
    coded = of_unequal_length().coded_synthetic[0]
    made = coded.ranked
    pieces = made.pieces(k, size)
    firsts = np.concatenate([made.visit[piece.visits[0]] for piece in pieces])
    np.testing.assert_array_equal(np.sort(firsts), all_stretches(coded, k))
    for piece in pieces:
        first = made.visit[piece.visits[0]]
        assert len(first) <= size
        np.testing.assert_array_equal(coded.patient[first], made.patient[piece.patients])
        for t, visits in enumerate(piece.visits):
            np.testing.assert_array_equal(made.visit[visits], first + t)


def test_the_size_of_tiles_changes_nothing(monkeypatch):
    prepared = of_unequal_length()
    real, synthetic = prepared.coded_real["members"], prepared.coded_synthetic[0]
    places = chosen_starts(real.records.n_visits, 2, "random", np.random.default_rng(0))
    windows = windows_at(real, *places, Knowledge(), np.random.default_rng(0), static=np.array([0, 1]))
    choices = [Choice(all_stretches(synthetic, 2)), Choice(all_stretches(synthetic, 2)[::3], hidden=1)]

    def found():
        nearest = nearest_stretches(windows, synthetic, choices, np.random.default_rng(0))
        return patient_distances(windows, synthetic), nearest

    whole = found()
    monkeypatch.setattr("longsynth.privacy.windows._TILE", 16)
    monkeypatch.setattr("longsynth.privacy.windows._ROWS", 2)
    for one, other in zip(whole, found(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (whole[0][:, synthetic.records.n_visits < 2] > 0).all()


def test_records_of_some_patients():
    records = of_unequal_length().synthetic[0]
    chosen = np.array([7, 0, 12])
    some = records.only(chosen)
    np.testing.assert_array_equal(some.n_visits, records.n_visits[chosen])
    np.testing.assert_array_equal(some.features, records.features[chosen])
    for i, row in enumerate(chosen):
        own = slice(some.start[i], some.start[i + 1])
        np.testing.assert_array_equal(some.time[own], records.time[records.start[row] : records.start[row + 1]])
