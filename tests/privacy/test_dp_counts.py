"""How noisy counts are read: what is nothing but noise decides as little as it can."""

import tracemalloc

import numpy as np
import polars as pl
import pytest
from private_worlds import declared_schema, made_cohort, margins_of

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.grids import MAX_CELLS, level_cells, numeric_cells, weigh_levels
from longsynth.encoding.private import cell_encoder
from longsynth.encoding.private_counts import cell_sums, n_counts, visits_length
from longsynth.encoding.private_sizes import Sizes, read_sizes, size_sums

TRAIN = made_cohort(declared_schema(), [1, 3, 5, 8, 11, 16] * 50, 0)
TRUE_BOUND = 16


@pytest.mark.parametrize("sd", [5.0, 10.0, 15.0])
def test_noise_alone_hardly_ever_sets_the_contribution_bound(sd):
    """A bound that is too large drowns the counts of all channels."""
    exact, rng = size_sums(TRAIN), np.random.default_rng(0)
    noisy = exact + sd * rng.normal(size=(5000, len(exact)))
    bounds = np.array([read_sizes(one, sd, TRAIN.schema, None).max_visits for one in noisy])
    assert (bounds > TRUE_BOUND).mean() < 0.002
    assert (bounds == TRUE_BOUND).mean() > 0.85


def test_where_nothing_stands_out_the_most_common_is_taken():
    found = read_sizes(size_sums(TRAIN), 1000.0, TRAIN.schema, None)
    assert found.max_visits > 1 and found.longest > 1


@pytest.mark.parametrize(("upper", "decimals"), [(1e4, 3), (2e9, 0), (1e12, 6), (1e300, 0)])
def test_a_declared_range_of_very_many_values_takes_few_cells(upper, decimals):
    """One number a recordable value would fill the memory: times of day are counted in seconds."""
    tracemalloc.start()
    cells = numeric_cells(0.0, upper, decimals, (0.0, upper))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cells.n_classes <= MAX_CELLS and most < 2e6
    codes, _ = cells.encode(np.array([0.0, upper / 2, upper, np.nan]))
    assert codes[0] == 0 and codes[2] == cells.n_classes - 1 and codes[3] == cells.n_classes
    assert 0 < codes[1] < codes[2]


def test_very_many_levels_are_counted_each():
    """A code list of diagnoses is longer than small integers count."""
    cells = level_cells(tuple(f"code {number}" for number in range(40_000)))
    codes, _ = cells.encode(np.array([0, 39_999, -1]))
    assert codes.tolist() == [0, 39_999, 40_000]


@pytest.mark.parametrize("missing", [0.0, 0.9])
def test_the_visits_of_a_patient_take_up_the_whole_bound_however_sparse_they_are(missing):
    """Noise is scaled to the bound: what stays below it is lost in noise."""
    cohort = made_cohort(declared_schema(), [8, 30, 1], 0, missing=missing)
    sizes = Sizes(3.0, 16, 256.0, usual_visits=8)
    cells = cell_encoder(cohort.schema, sizes)
    n_sums = sum(n_counts(codec) - 1 for codec in (*(item.codec for item in cells.channel_items), cells.gap))
    n_after = len(cells.channel_items) + 1 + 3
    encoded = cells.transform(cohort)
    alone = [cell_sums(cells, encoded.take(np.array([row])), sizes)[-n_sums - n_after : -n_after] for row in range(3)]
    usual, long, short = (float(np.linalg.norm(part)) for part in alone)
    assert usual == pytest.approx(visits_length(cells)) and long == pytest.approx(visits_length(cells))
    assert short < usual / 2, "a patient with fewer visits than usual weighs less"


def test_shares_of_values_and_of_missing_ones_are_those_of_the_visits():
    """Without noise, and with as many visits each, the weights of patients cancel out."""
    cohort = made_cohort(declared_schema(), [6] * 300, 0, missing=0.4)
    found = margins_of(cohort, Sizes(300.0, 8, 4096.0, usual_visits=64))
    for item in found.encoder.channel_items:
        values = cohort.visits[item.name]
        assert item.codec.missing_share == pytest.approx(values.null_count() / len(values), abs=1e-3)
    grades = next(item.codec for item in found.encoder.channel_items if item.name == "grade")
    shares = [(cohort.visits["grade"] == level).mean() for level in grades.levels]
    assert grades.shares == pytest.approx(shares, abs=1e-3)


def test_patients_with_few_measurements_do_not_weigh_more_where_it_is_counted_what_is_missing():
    cohort = made_cohort(declared_schema(), [10] * 400, 0, missing=0.0)
    half = pl.col("patient_id").str.slice(1).cast(pl.Int64) % 2 == 0
    channels = [pl.when(half).then(None).otherwise(pl.col(name)).alias(name) for name in ("bili", "flares", "grade")]
    sparse = Cohort(cohort.static, cohort.visits.with_columns(channels), schema=cohort.schema)
    found = margins_of(sparse, Sizes(400.0, 16, 4096.0, usual_visits=8))
    assert [item.codec.missing_share for item in found.encoder.channel_items] == pytest.approx([0.5] * 3, abs=1e-3)


def test_a_declared_bound_far_above_the_records_is_not_used_in_full():
    """Noise in the number of further visits is as large as the bound."""
    exact = size_sums(TRAIN)
    assert read_sizes(exact, 0.0, TRAIN.schema, 1000).max_visits == 2 * TRUE_BOUND
    assert read_sizes(exact, 0.0, TRAIN.schema, 5).max_visits == 5


@pytest.mark.parametrize(("sd", "least", "most"), [(0.0, 0.0999, 0.1001), (10.0, 0.08, 0.12), (50.0, 0.01, 0.12)])
def test_missing_values_stay_possible_however_much_noise_there_is(sd, least, most):
    codec = weigh_levels(level_cells(("a", "b")), np.array([450.0, 450.0, 100.0]), sd, missing_sd=sd)
    assert least <= codec.missing_share <= most


def test_a_complete_column_of_many_patients_gets_no_missing_values():
    noise = 30 * np.random.default_rng(1).normal(size=200)
    shares = [
        weigh_levels(level_cells(("a", "b")), np.array([9e3, 9e3, one]), 30.0, 30.0).missing_share for one in noise
    ]
    assert np.median(shares) < 1e-5 and np.mean(shares) < 2e-4


def test_a_level_is_the_less_impossible_the_more_noise_there_is():
    shares = [
        weigh_levels(level_cells(("a", "b")), np.array([1000.0, -5.0, 0.0]), sd, None).class_shares[1]
        for sd in (0.0, 1.0, 50.0)
    ]
    assert 0 < shares[0] < shares[1] < shares[2] < 0.02
