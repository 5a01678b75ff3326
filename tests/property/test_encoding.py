"""Encoding loses nothing up to the declared precision, whatever the column holds."""

import json

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from hypothesis import given
from hypothesis import strategies as st

from longsynth.encoding import CohortEncoder
from longsynth.encoding.levels import LevelCodec, fit_levels, level_numbers
from longsynth.encoding.numeric import NumericCodec, find_decimals, fit_numeric

COLUMNS = st.lists(
    st.one_of(
        st.integers(-5, 5).map(float),
        st.floats(-1e4, 1e4, allow_nan=False).map(lambda x: round(x, 2)),
        st.just(float("nan")),
    ),
    min_size=1,
    max_size=300,
)


@pytest.mark.parametrize("bounds", [(None, None), (0.0, None), (0.0, 9.0), (-5.0, -0.0)])
@pytest.mark.parametrize("decimals", [None, 0, 1])
def test_no_value_is_minus_zero(bounds, decimals):
    codec = NumericCodec(np.array([0.0, 1.0]), np.zeros((1, 2)), 0.0, decimals, bounds, 1.0)
    values = codec.conform(np.array([-3.0, -0.04, -0.0, 0.0, 0.04, 3.0]))
    assert not np.signbit(values[values == 0]).any()


@given(COLUMNS, st.sampled_from([4, 16, 48]))
def test_numbers_come_back_at_their_precision(values, n_bins):
    data = np.array(values)
    codec = fit_numeric(data, np.arange(len(data)), n_bins=n_bins, decimals=2)
    back = codec.decode(*codec.encode(data))
    np.testing.assert_allclose(back, data, rtol=0, atol=5e-3)


@given(COLUMNS, COLUMNS)
def test_values_never_seen_in_train_come_back_too(train, others):
    codec = fit_numeric(np.array(train), np.arange(len(train)), n_bins=8, decimals=2)
    data = np.array(others)
    np.testing.assert_allclose(codec.decode(*codec.encode(data)), data, rtol=0, atol=5e-3)


@given(COLUMNS)
def test_codec_survives_json(values):
    data = np.array(values)
    codec = fit_numeric(data, np.arange(len(data)), n_bins=8)
    again = NumericCodec.from_json(json.loads(json.dumps(codec.to_json())))
    np.testing.assert_array_equal(again.encode(data)[0], codec.encode(data)[0])
    np.testing.assert_array_equal(again.edges, codec.edges)


def test_heaped_values_are_atoms_and_come_back_as_often():
    rng = np.random.default_rng(0)
    heaped = np.where(rng.random(4000) < 0.3, 0.0, rng.lognormal(1, 1, 4000))
    codec = fit_numeric(heaped, np.arange(4000), n_bins=48)
    zero = codec.encode(np.zeros(1))[0][0]
    assert codec.knots[zero, 0] == codec.knots[zero, -1] == 0.0
    assert np.diff(codec.cumulative)[zero] == pytest.approx((heaped == 0).mean())
    drawn = codec.decode(rng.choice(codec.n_classes, 20_000, p=np.diff(codec.cumulative)), rng.random(20_000))
    assert (drawn == 0).mean() == pytest.approx(0.3, abs=0.02)
    assert np.quantile(drawn, [0.5, 0.9]) == pytest.approx(np.quantile(heaped, [0.5, 0.9]), rel=0.05)


def test_one_patients_repeated_value_is_no_atom():
    values = np.concatenate([np.linspace(0, 1, 400), np.full(100, 0.37777)])
    owners = np.concatenate([np.arange(400), np.full(100, 400)])
    codec = fit_numeric(values, owners, n_bins=16)
    code = codec.encode(np.array([0.37777]))[0][0]
    assert codec.knots[code, 0] < codec.knots[code, -1]


def test_extremes_of_single_patients_are_not_kept():
    rng = np.random.default_rng(1)
    values = rng.normal(size=2000)
    values[7], values[11] = 9.87654, -9.12345
    codec = fit_numeric(values, np.arange(2000), n_bins=48, decimals=5)
    assert 9.87654 not in codec.knots
    assert -9.12345 not in codec.knots
    assert codec.decode(*codec.encode(values[[7, 11]])) == pytest.approx([9.87654, -9.12345], abs=1e-9)


def test_decoded_values_stay_in_bounds_on_the_grid():
    codec = fit_numeric(np.linspace(0, 10, 500), np.arange(500), n_bins=16, decimals=1, bounds=(0.25, 9.77))
    values = codec.decode(np.repeat(np.arange(codec.n_classes), 50), np.tile(np.linspace(0, 1, 50), codec.n_classes))
    assert values.min() == 0.3
    assert values.max() == 9.7
    np.testing.assert_allclose(values, np.round(values, 1))


@pytest.mark.parametrize(("values", "decimals"), [([1.0, 20.0], 0), ([0.25, 1.5], 2), (np.pi * np.arange(9), None)])
def test_decimals_are_found(values, decimals):
    assert find_decimals(np.array(values)) == decimals


@given(st.lists(st.integers(-1, 99), min_size=1, max_size=400))
def test_levels_come_back_even_when_rare_ones_share_a_class(numbers):
    levels = tuple(f"level {i}" for i in range(100))
    codec = fit_levels(np.array(numbers), levels)
    codec = LevelCodec.from_json(json.loads(json.dumps(codec.to_json())))
    codes, positions = codec.encode(np.array(numbers))
    assert codes.max() <= codec.n_classes <= 64
    np.testing.assert_array_equal(codec.decode(codes, positions), numbers)


def test_levels_match_whatever_their_type():
    for column in (pl.Series([1, 0, None]), pl.Series([1.0, 0.0, None]), pl.Series([True, False, None])):
        assert level_numbers(column, (0, 1)).tolist() == [1, 0, -1]


@pytest.mark.parametrize("name", awkward_cohorts())
def test_awkward_cohorts_come_back(name):
    cohort = awkward_cohorts()[name]
    encoder = CohortEncoder().fit(cohort)
    encoder = CohortEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    key = cohort.schema.patient_id
    ids = [f"synthetic-{row:04d}" for row in range(cohort.n_patients)]
    back = encoder.inverse_transform(encoder.transform(cohort), ids)
    for table, again in ((cohort.static, back.static), (cohort.visits, back.visits)):
        for column in table.drop(key).columns:
            assert again[column].dtype == table[column].dtype, column
            if table[column].dtype.is_float():
                np.testing.assert_allclose(again[column].to_numpy(), table[column].to_numpy(), atol=1e-6)
            else:
                assert again[column].to_list() == table[column].to_list(), column


def test_knots_of_few_patients_hold_none_of_their_values():
    values = np.sort(np.random.default_rng(0).normal(size=400))
    codec = fit_numeric(values, np.arange(400), n_bins=48)
    inner = codec.knots[2:-2, 1:-1].ravel()
    assert np.isin(inner, values).mean() == 0.0
