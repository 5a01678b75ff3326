import polars as pl
import pytest
from awkward import awkward_cohorts, plain_schema, plain_tables

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.split import split
from longsynth.exceptions import CohortError, ConfigError
from longsynth.schema.types import Schema

AWKWARD = awkward_cohorts()


def ids(cohort: Cohort) -> list:
    return cohort.static[cohort.schema.patient_id].to_list()


@pytest.mark.parametrize("name", [name for name in AWKWARD if name != "one patient"])
def test_each_patient_is_on_one_side_with_all_visits(name):
    cohort = AWKWARD[name]
    train, holdout = split(cohort)
    assert sorted(ids(train) + ids(holdout)) == ids(cohort)
    assert holdout.n_patients == 4
    assert train.n_visits + holdout.n_visits == cohort.n_visits
    assert set(holdout.visits[cohort.schema.patient_id]) <= set(ids(holdout))


def test_row_order_and_id_type_do_not_matter_but_the_seed_does():
    static, visits = plain_tables()
    holdouts = [
        ids(split(Cohort(table, visits, schema=plain_schema()), seed=4)[1]) for table in (static, static.reverse())
    ]
    assert holdouts[0] == holdouts[1]
    assert len({tuple(ids(split(AWKWARD["plain"], seed=seed)[1])) for seed in range(10)}) > 5
    as_number = Cohort(pl.DataFrame({"patient_id": range(30)}), schema=Schema())
    as_text = Cohort(pl.DataFrame({"patient_id": [str(i) for i in range(30)]}), schema=Schema())
    assert sorted(map(str, ids(split(as_number)[1]))) == ids(split(as_text)[1])


@pytest.mark.parametrize(("share", "n_holdout"), [(0.25, 3), (0.01, 1), (0.99, 11), (0.5, 6)])
def test_shares_are_rounded_with_a_patient_left_on_each_side(share, n_holdout):
    assert split(AWKWARD["plain"], holdout=share)[1].n_patients == n_holdout


def test_impossible_splits_are_refused():
    for share in (0, 1, -0.5, 30, float("nan")):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            split(AWKWARD["plain"], holdout=share)
    with pytest.raises(CohortError, match="two patients"):
        split(AWKWARD["one patient"])
