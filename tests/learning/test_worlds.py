"""The toy worlds themselves: their own draws pass, copies without the law fail."""

import polars as pl
import pytest

from longsynth.cohort.cohort import Cohort
from tests.learning.worlds import MOST_VISITS, WORLDS, shuffled_gaps, shuffled_values

N = 300
LOSES_THE_LAW = {
    "alternating_state": shuffled_values,
    "slope_by_arm": shuffled_values,
    "hazard_by_biomarker": shuffled_values,
    "shortening_gaps": shuffled_gaps,
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", WORLDS)
def test_a_fresh_draw_passes_and_a_damaged_copy_fails(name, seed):
    world = WORLDS[name]
    cohort = world.make(N, seed)
    assert world.is_learned(cohort)
    assert not world.is_learned(LOSES_THE_LAW[name](cohort, seed))


@pytest.mark.parametrize("name", WORLDS)
def test_damage_to_something_else_is_not_seen(name):
    world = WORLDS[name]
    harmless = shuffled_gaps if LOSES_THE_LAW[name] is shuffled_values else shuffled_values
    assert world.is_learned(harmless(world.make(N, 0), 0))


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_are_small_and_repeatable(name):
    world = WORLDS[name]
    cohort, again, other = (world.make(N, seed) for seed in (0, 0, 1))
    assert cohort.n_patients == N
    assert cohort.visits.group_by("patient_id").len()["len"].max() <= MOST_VISITS
    assert cohort.visits.equals(again.visits) and not cohort.visits.equals(other.visits)


@pytest.mark.parametrize("name", WORLDS)
def test_scores_do_not_depend_on_the_order_of_the_patients(name):
    world = WORLDS[name]
    cohort = world.make(N, 0)
    renamed = pl.col("patient_id").cast(pl.String).str.reverse()
    other = Cohort(cohort.static.with_columns(renamed), cohort.visits.with_columns(renamed), schema=cohort.schema)
    assert world.score(other) == pytest.approx(world.score(cohort), abs=1e-9)


def test_arms_dealt_to_other_patients_lose_the_slope():
    world = WORLDS["slope_by_arm"]
    cohort = world.make(N, 0)
    arms = cohort.static.with_columns(pl.col("arm").shuffle(seed=0))
    assert not world.is_learned(Cohort(arms, cohort.visits, schema=cohort.schema))
