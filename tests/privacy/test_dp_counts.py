"""How noisy counts are read: what is nothing but noise decides as little as it can."""

import numpy as np
import pytest
from private_worlds import declared_schema, made_cohort

from longsynth.encoding.grids import level_cells, weigh_levels
from longsynth.encoding.private import Sizes, cell_encoder, cell_sums, read_sizes, size_sums

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


def test_visits_weigh_more_where_counts_are_noisy():
    exact = size_sums(TRAIN)
    assert read_sizes(exact, 0.0, TRAIN.schema, None).usual_visits is None
    noisy = read_sizes(exact, 10.0, TRAIN.schema, None)
    assert noisy.usual_visits is not None and noisy.usual_visits <= noisy.max_visits / 2
    cells = cell_encoder(TRAIN.schema, noisy)
    plain = Sizes(noisy.n_patients, noisy.max_visits, noisy.longest)
    signals = [cell_sums(cells, cells.transform(TRAIN), one).sum() for one in (noisy, plain)]
    assert signals[0] > 1.1 * signals[1], "static columns count the same"


@pytest.mark.parametrize(("sd", "least", "most"), [(0.0, 0.0999, 0.1001), (10.0, 0.08, 0.12), (50.0, 0.01, 0.12)])
def test_missing_values_stay_possible_however_much_noise_there_is(sd, least, most):
    codec = weigh_levels(level_cells(("a", "b")), np.array([450.0, 450.0, 100.0]), sd, can_be_missing=True)
    assert least <= codec.missing_share <= most


def test_a_complete_column_of_many_patients_gets_no_missing_values():
    noise = 30 * np.random.default_rng(1).normal(size=200)
    shares = [
        weigh_levels(level_cells(("a", "b")), np.array([9e3, 9e3, one]), 30.0, True).missing_share for one in noise
    ]
    assert np.median(shares) < 1e-5 and np.mean(shares) < 2e-4


def test_a_level_is_the_less_impossible_the_more_noise_there_is():
    shares = [
        weigh_levels(level_cells(("a", "b")), np.array([1000.0, -5.0, 0.0]), sd, False).class_shares[1]
        for sd in (0.0, 1.0, 50.0)
    ]
    assert 0 < shares[0] < shares[1] < shares[2] < 0.02
