"""What every objective and backbone promises: equal seeds, equal patients, whatever the row order; and saving."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from awkward import awkward_cohorts
from quick import make_quick, quick_plan

import longsynth as ls
from longsynth.artifact import read_artifact, write_artifact
from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import ArtifactError, CohortError, ConfigError, NotFittedError

torch.set_num_threads(1)
KINDS = [
    ("likelihood", "recurrent"),
    ("likelihood", "transformer"),
    ("hybrid", "recurrent"),
    ("adversarial", "recurrent"),
]


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        yield


@pytest.fixture(scope="module")
def train():
    return ls.simulate_cohort(60, seed=0)


def equal(one: Cohort, other: Cohort) -> bool:
    return one.static.equals(other.static) and one.visits.equals(other.visits)


@pytest.mark.parametrize(("objective", "backbone"), KINDS)
def test_seeds_row_order_and_saving(train, objective, backbone, tmp_path):
    shuffled = Cohort(
        train.static.sample(fraction=1, shuffle=True, seed=1),
        train.visits.sample(fraction=1, shuffle=True, seed=2),
        schema=train.schema,
    )
    first = ls.Synthesizer(3, objective, backbone, accelerator="cpu").fit(train)
    again = ls.Synthesizer(3, objective, backbone, accelerator="cpu").fit(shuffled)
    drawn = first.sample(40, seed=5)
    assert drawn.n_visits > 0
    assert equal(drawn, again.sample(40, seed=5))
    assert not drawn.visits.equals(first.sample(40, seed=6).visits)
    first.save(tmp_path / "model")
    loaded = ls.load(tmp_path / "model")
    assert equal(drawn, loaded.sample(40, seed=5))
    assert loaded.training_record == first.training_record
    other = ls.Synthesizer(4, objective, backbone, accelerator="cpu").fit(train)
    assert not drawn.visits.equals(other.sample(40, seed=5).visits)


def test_large_cohorts_hold_a_tenth_out_of_one_member(train, monkeypatch):
    usual = quick_plan
    monkeypatch.setattr("longsynth.synthesizer.plan_for", lambda *told: replace(usual(*told), n_members=1))
    synthesizer = ls.Synthesizer(accelerator="cpu").fit(train)
    assert synthesizer.sample(30).n_patients == 30
    assert synthesizer.training_record["sequence"]["held_out_nll"] > 0


def test_fitting_leaves_the_global_random_state_alone(train):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    ls.Synthesizer(accelerator="cpu").fit(train).sample(10)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("name", awkward_cohorts())
def test_awkward_cohorts_are_fitted_and_drawn(name):
    """Twenty copies of each patient stand in for a cohort that is large enough to fit."""
    few = awkward_cohorts()[name]
    key = few.schema.patient_id
    static, visits = (
        pl.concat([table.with_columns(pl.format("{}-{}", pl.col(key), pl.lit(i)).alias(key)) for i in range(25)])
        for table in few.tables()
    )
    train = Cohort(static, visits if few.schema.visit_time is not None else None, schema=few.schema)
    drawn = ls.Synthesizer(accelerator="cpu").fit(train).sample(50, seed=1)
    assert drawn.n_patients == 50
    assert drawn.static.drop(key).schema == train.static.drop(key).schema
    if few.schema.visit_time is not None:
        assert drawn.visits.drop(key).schema == train.visits.drop(key).schema


def test_what_is_too_small_or_synthetic_is_refused(train):
    with pytest.raises(CohortError, match="fewer than 20"):
        ls.Synthesizer().fit(train.select(train.static["patient_id"].head(10)))
    with pytest.raises(CohortError, match="synthetic"):
        ls.Synthesizer().fit(ls.Synthesizer(accelerator="cpu").fit(train).sample(30))


def test_sizes_without_networks_to_fill_them_are_refused(train, tmp_path):
    """An altered architecture with fresh checksums must not make loading build more than the artifact holds."""
    ls.Synthesizer(0, "likelihood", accelerator="cpu").fit(train).save(tmp_path / "model")
    documents, tensors = read_artifact(tmp_path / "model")
    architecture = documents["architecture"]
    size = architecture["size"]
    altered = ({"n_members": 10**7}, {"static_units": 10**5}, {"size": {**size, "hidden_size": 10**5}})
    for change in altered:
        write_artifact(tmp_path / "model", {**documents, "architecture": {**architecture, **change}}, tensors)
        with pytest.raises(ArtifactError, match="not a fitted synthesizer"):
            ls.load(tmp_path / "model")


def test_only_cohorts_are_fitted(train):
    with pytest.raises(CohortError, match="a DataFrame cannot be fitted; make a cohort"):
        ls.Synthesizer().fit(train.static)


def test_arguments_are_checked():
    for wrong in ({"objective": "gan"}, {"backbone": "lstm"}, {"seed": -1}):
        with pytest.raises(ConfigError):
            ls.Synthesizer(**wrong)
    with pytest.raises(NotFittedError):
        ls.Synthesizer().sample(3)
