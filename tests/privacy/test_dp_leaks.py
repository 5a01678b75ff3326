"""Beside the noisy sums nothing of the patients reaches a private fit: no fact, type, time, length or error."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from dated_worlds import BIRTH, FOLLOWED, dated_cohort
from private_worlds import GRADES, declared_schema, forget_fits, made_cohort, quick_private, without

import longsynth as ls
from longsynth.cohort import dates
from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import PrivacyError
from longsynth.generators import private_fit
from longsynth.training import dp_sgd
from longsynth.training.noise import SecretRandomness

BUDGET = ls.PrivacyBudget(epsilon=8, delta=1e-3)


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    quick_private(monkeypatch)


def fit(train: Cohort, folder: Path, *, resume: bool = False, seed: int = 0) -> ls.Synthesizer:
    forget_fits()
    synthesizer = ls.Synthesizer(seed, privacy=BUDGET, accelerator="cpu")
    return synthesizer.fit(train, work_dir=folder, resume=resume)


def as_written(cohort: Cohort, *, odd_one: bool) -> Cohort:
    """The cohort as a text file gives it; only the first patient has values with a decimal point, if at all."""
    first = pl.col("patient_id") == "p000"

    def text(column: str) -> pl.Expr:
        odd = pl.lit("1.5") if column == "bili" else pl.lit("20.5") if column == "age" else pl.lit("1.0")
        whole = pl.col(column).round(0).cast(pl.Int64).cast(pl.String)
        return (pl.when(first).then(odd).otherwise(whole) if odd_one else whole).alias(column)

    static = cohort.static.with_columns(text("age"), text("arm"), text("status"))
    visits = cohort.visits.with_columns(text("bili"), text("flares"))
    return Cohort(static, visits, schema=cohort.schema)


@pytest.fixture(scope="module")
def neighbours() -> tuple[Cohort, Cohort]:
    """A cohort, and the same without a patient who stands out in every way that there is."""
    train = made_cohort(declared_schema(), [30, 0, *[1, 2, 3] * 10], 3, missing=0.1)
    alone = pl.when(pl.col("patient_id") == "p000").then(pl.lit(GRADES[2])).otherwise(pl.lit(GRADES[0]))
    train = Cohort(train.static, train.visits.with_columns(grade=alone), schema=train.schema)
    return as_written(train, odd_one=True), as_written(without(train, 0), odd_one=False)


@pytest.fixture(scope="module")
def dated_neighbours() -> tuple[Cohort, Cohort]:
    """Dates that follow others; one patient's are as far from their visit and baseline as bounds allow, or missing."""
    train = dated_cohort([30, 0, *[1, 2, 3] * 10], 3)
    first = pl.col("patient_id") == "p0000"
    static = train.static.with_columns(
        pl.when(first).then(pl.lit(BIRTH[0])).otherwise("birth").alias("birth"),
        pl.when(first).then(None).otherwise("consent").alias("consent"),
    )
    visits = train.visits.with_columns(
        *(pl.when(first).then(pl.lit(FOLLOWED[1])).otherwise(name).alias(name) for name in ("appointment", "reported"))
    )
    train = Cohort(*dates.restore(static, visits, train.schema), schema=train.schema)
    return train, without(train, 0)


def artifact(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def fitted_on_equal_sums(cohorts: tuple[Cohort, Cohort], folder: Path, patch: pytest.MonkeyPatch) -> list[Path]:
    """Artifacts of both cohorts if all that is released of them, and all gradients, are the same."""
    nobody = lambda _network, rows, _plan: torch.zeros(sum(p.numel() for p in _network.parameters()))  # noqa: E731
    patch.setattr(dp_sgd, "clipped_sum", nobody)
    patch.setattr("longsynth.synthesizer.SecretRandomness", lambda: SecretRandomness(lambda n: b"\x40" * n))
    fit(cohorts[0], folder / "first")
    patch.setattr(private_fit, "check_cohort", lambda *_: None)  # it would refuse the releases of another cohort
    written = []
    for number, cohort in enumerate(cohorts):
        work = folder / f"work{number}"
        work.mkdir()
        shutil.copy(folder / "first" / private_fit.RELEASES, work)
        fit(cohort, work, resume=True).save(folder / f"model{number}")
        written.append(folder / f"model{number}")
    return written


def test_equal_noisy_sums_give_equal_artifacts_to_the_byte(neighbours, tmp_path, monkeypatch):
    with_patient, without_patient = fitted_on_equal_sums(neighbours, tmp_path, monkeypatch)
    assert artifact(with_patient) == artifact(without_patient)
    both = [ls.load(folder).sample(30, seed=0) for folder in (with_patient, without_patient)]
    assert both[0].static.equals(both[1].static) and both[0].visits.equals(both[1].visits)


def test_equal_noisy_sums_give_equal_artifacts_also_of_dates(dated_neighbours, tmp_path, monkeypatch):
    with_patient, without_patient = fitted_on_equal_sums(dated_neighbours, tmp_path, monkeypatch)
    assert artifact(with_patient) == artifact(without_patient)


def test_a_typical_date_that_is_read_off_the_patients_is_noticed(dated_neighbours, tmp_path, monkeypatch):
    """Planted: what stands in for a missing reference date is the median of the data, as without a budget."""
    usual = private_fit.fit_private

    def faulty(train, ledger, settings, randomness):
        model, record = usual(train, ledger, settings, randomness)
        place = next(i for i, item in enumerate(model.encoder.static_items) if item.name == "birth")
        item = model.encoder.static_items[place]
        read_off = replace(item.reference, typical=float(train.static["birth"].to_physical().mean()))
        model.encoder.static_items[place] = replace(item, reference=read_off)
        return model, record

    monkeypatch.setattr("longsynth.synthesizer.fit_private", faulty)
    with_patient, without_patient = fitted_on_equal_sums(dated_neighbours, tmp_path, monkeypatch)
    assert artifact(with_patient) != artifact(without_patient)


@pytest.mark.parametrize("fault", ["types of the data", "levels as they occur", "longest record", "time it took"])
def test_a_fact_that_is_not_paid_for_is_noticed(fault, neighbours, tmp_path, monkeypatch):
    """Planted faults: each makes the artifacts of neighbours differ although every sum is the same."""
    usual = private_fit.fit_private

    def faulty(train, ledger, settings, randomness):
        model, record = usual(train, ledger, settings, randomness)
        first = model.encoder.channel_items[0]
        if fault == "types of the data":
            model.encoder.channel_items[0] = replace(first, dtype=str(train.visits[first.name].dtype))
        elif fault == "levels as they occur":
            record["levels"] = train.visits["grade"].unique().sort().to_list()
        elif fault == "longest record":
            longest = int(train.visits.group_by("patient_id").len()["len"].max())
            model.architecture = replace(model.architecture, max_visits=longest)
        else:
            record["seconds"] = 0.1 * train.n_visits
        return model, record

    monkeypatch.setattr("longsynth.synthesizer.fit_private", faulty)
    with_patient, without_patient = fitted_on_equal_sums(neighbours, tmp_path, monkeypatch)
    assert artifact(with_patient) != artifact(without_patient)


def test_what_is_read_off_the_releases_needs_no_patients(neighbours, tmp_path):
    """Post-processing sees a schema and numbers with noise, never the cohort."""
    fit(neighbours[0], tmp_path)
    told = json.loads((tmp_path / private_fit.RELEASES).read_text())
    assert set(told) == {"sizes", "cells", "ledger"}
    exact = [np.abs(np.array(told[name]) - np.round(told[name])) < 1e-9 for name in ("sizes", "cells")]
    assert not any(found.any() for found in exact)


def test_the_record_of_a_fit_has_no_exact_number_of_patients_visits_or_seconds(neighbours, tmp_path):
    synthesizer = fit(neighbours[0], tmp_path / "work")
    text = json.dumps(synthesizer.training_record)
    assert "seconds" not in text and '"n_patients"' not in text
    assert synthesizer.training_record["private"]["n_patients_noisy"] != neighbours[0].n_patients


@pytest.mark.parametrize("n", [1, 2, 19])
def test_a_small_cohort_is_not_refused_by_its_exact_number(n, tmp_path):
    train = made_cohort(declared_schema(), [3] * n, 0)
    try:
        fit(train, tmp_path)
    except PrivacyError as refused:  # by the noisy number, which is paid for
        assert "delta" in str(refused)


def test_equal_seeds_give_other_noise(neighbours, tmp_path):
    first, second = (fit(neighbours[0], tmp_path / name, seed=7) for name in ("a", "b"))
    told = [json.loads((tmp_path / name / private_fit.RELEASES).read_text()) for name in ("a", "b")]
    assert all(told[0][name] != told[1][name] for name in ("sizes", "cells"))
    assert weights(first) != weights(second)


def test_a_seed_that_reaches_the_noise_is_noticed(neighbours, tmp_path, monkeypatch):
    """Planted: with randomness that follows a seed, two fits share their noise, and their difference has none."""
    seeded = lambda: SecretRandomness(np.random.default_rng(7).bytes)  # noqa: E731
    monkeypatch.setattr("longsynth.synthesizer.SecretRandomness", seeded)
    first, second = (fit(neighbours[0], tmp_path / name, seed=7) for name in ("a", "b"))
    assert weights(first) == weights(second)


def test_the_noise_comes_from_the_operating_system(monkeypatch):
    asked = []
    usual = SecretRandomness.__init__.__defaults__
    monkeypatch.setattr("os.urandom", lambda n: asked.append(n) or b"\x01" * n)
    assert [getattr(part, "__name__", "") for part in usual] == ["urandom"]
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = SecretRandomness().normal(8)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    assert not np.array_equal(first, SecretRandomness().normal(8))


def weights(synthesizer: ls.Synthesizer) -> list[float]:
    networks = synthesizer._model.networks().values()
    return [float(value.double().sum()) for network in networks for value in network.state_dict().values()]


def test_the_number_of_threads_does_not_follow_the_number_of_visits(neighbours, monkeypatch):
    """Their number changes the last digits of the weights."""
    seen = []

    def fitting(*_):
        seen.append(torch.get_num_threads())
        return None, {}

    monkeypatch.setattr("longsynth.synthesizer.fit_private", fitting)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for most in (0, 10**9):
            monkeypatch.setattr("longsynth.synthesizer.MANY_VISITS", most)
            ls.Synthesizer(privacy=ls.PrivacyBudget(8, 1e-3)).fit(neighbours[0])
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]
