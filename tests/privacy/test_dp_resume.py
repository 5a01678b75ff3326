"""A private fit that is cut off and carried on asks the patients no second time, and no other fit is carried on."""

import json
from pathlib import Path

import numpy as np
import pytest
from private_worlds import declared_schema, made_cohort, quick_private

import longsynth as ls
from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import ConfigError, PrivacyError
from longsynth.generators import private_fit
from longsynth.training.dp_sgd import STEPS_AN_EPOCH, PrivateTraining
from longsynth.training.noise import SecretRandomness

BUDGET = ls.PrivacyBudget(epsilon=8, delta=1e-3)
N_STEPS = 3 * STEPS_AN_EPOCH


class Killed(RuntimeError):
    """Stands for a power cut."""


@pytest.fixture
def steps(monkeypatch) -> list[int]:
    """The steps that were made; private fits are of few steps."""
    quick_private(monkeypatch, N_STEPS)
    made: list[int] = []
    usual = PrivateTraining.training_step

    def step(self, *told):
        made.append(self.global_step)
        return usual(self, *told)

    monkeypatch.setattr(PrivateTraining, "training_step", step)
    return made


@pytest.fixture(scope="module")
def train() -> Cohort:
    return made_cohort(declared_schema(), [0, *[1, 2, 3] * 10], 3)


def new(budget: ls.PrivacyBudget = BUDGET, seed: int = 0) -> ls.Synthesizer:
    return ls.Synthesizer(seed, privacy=budget, accelerator="cpu")


def cut_off(train: Cohort, folder: Path, patch: pytest.MonkeyPatch, *, at: int) -> ls.Synthesizer:
    """A fit that is killed in step ``at``."""
    synthesizer = new()
    usual = PrivateTraining.training_step

    def step(self, *told):
        if self.global_step == at:
            raise Killed
        return usual(self, *told)

    with patch.context() as while_fitting:
        while_fitting.setattr(PrivateTraining, "training_step", step)
        with pytest.raises(Killed):
            synthesizer.fit(train, work_dir=folder)
    return synthesizer


@pytest.mark.parametrize("at", [0, 15])
def test_a_fit_that_was_cut_off_is_carried_on_without_a_second_release(at, train, steps, tmp_path, monkeypatch):
    cut_off(train, tmp_path, monkeypatch, at=at)
    told = (tmp_path / private_fit.RELEASES).read_bytes()
    steps.clear()

    def asked(*_):
        raise AssertionError("the patients were asked again")

    monkeypatch.setattr(private_fit, "size_sums", asked)
    monkeypatch.setattr(private_fit, "cell_sums", asked)
    synthesizer = new().fit(train, work_dir=tmp_path, resume=True)
    assert (tmp_path / private_fit.RELEASES).read_bytes() == told
    assert steps == list(range(at // STEPS_AN_EPOCH * STEPS_AN_EPOCH, N_STEPS))
    assert [spend.n_steps for spend in synthesizer.ledger.spends] == [1, 1, N_STEPS]
    assert synthesizer.ledger.spends[:2] == private_fit.PrivacyLedger.from_json(json.loads(told)["ledger"]).spends
    assert synthesizer.sample(5).n_patients == 5


def test_a_fit_that_is_carried_on_ends_as_one_that_was_not_cut_off(train, steps, tmp_path, monkeypatch):
    same = lambda: SecretRandomness(lambda n: np.random.default_rng(n).bytes(n))  # noqa: E731
    monkeypatch.setattr("longsynth.synthesizer.SecretRandomness", same)
    cut_off(train, tmp_path / "a", monkeypatch, at=15)
    carried_on = new().fit(train, work_dir=tmp_path / "a", resume=True)
    in_one_go = new().fit(train, work_dir=tmp_path / "b")
    for name, network in carried_on._model.networks().items():
        for mine, other in zip(network.parameters(), in_one_go._model.networks()[name].parameters(), strict=True):
            assert mine.equal(other)


def test_a_finished_fit_is_read_and_makes_no_step(train, steps, tmp_path):
    first = new().fit(train, work_dir=tmp_path)
    steps.clear()
    second = new().fit(train, work_dir=tmp_path, resume=True)
    assert steps == []
    assert first.ledger == second.ledger


def test_the_steps_made_are_the_steps_paid_for(train, steps, tmp_path):
    synthesizer = new().fit(train, work_dir=tmp_path)
    assert steps == list(range(synthesizer.ledger.spends[-1].n_steps))


def test_stopping_early_on_a_real_loss_is_noticed(train, steps, tmp_path, monkeypatch):
    """Planted: a trainer that watches a loss on real patients stops before the steps that were paid for."""
    usual = PrivateTraining.training_step

    def step(self, *told):
        usual(self, *told)
        self.trainer.should_stop = self.global_step >= 15

    monkeypatch.setattr(PrivateTraining, "training_step", step)
    synthesizer = new().fit(train, work_dir=tmp_path)
    assert steps != list(range(synthesizer.ledger.spends[-1].n_steps))


def test_no_loss_is_watched_or_logged(train, steps, tmp_path):
    new().fit(train, work_dir=tmp_path)
    told = json.loads((tmp_path / "private" / "finished.json").read_text())
    assert told == {"epochs": N_STEPS // STEPS_AN_EPOCH, "seen": {}}
    logged = [path.read_text().split("\n")[0] for path in (tmp_path / "private").glob("*.csv")]
    assert not any("loss" in line or "nll" in line for line in logged)


# ----------------------------------------------------------------------------------------------------------- refusals


def test_a_fit_with_another_budget_is_not_carried_on(train, steps, tmp_path, monkeypatch):
    cut_off(train, tmp_path, monkeypatch, at=15)
    other = ls.PrivacyBudget(epsilon=9, delta=1e-3)
    with pytest.raises(ConfigError, match="another budget"):
        new(other).fit(train, work_dir=tmp_path, resume=True)


@pytest.mark.parametrize("n_before", [0, 15])
def test_a_fit_of_another_cohort_is_not_carried_on_and_costs_nothing(n_before, train, steps, tmp_path, monkeypatch):
    cut_off(train, tmp_path, monkeypatch, at=n_before)
    if not n_before:
        (tmp_path / private_fit.RELEASES).unlink()  # killed before the releases were written
    other, synthesizer = made_cohort(declared_schema(), [1, 2, 3] * 9, 8), new()
    with pytest.raises(ConfigError, match="another cohort"):
        synthesizer.fit(other, work_dir=tmp_path, resume=True)
    assert synthesizer.ledger.spends == []


def test_a_fit_with_another_seed_is_not_carried_on(train, steps, tmp_path, monkeypatch):
    cut_off(train, tmp_path, monkeypatch, at=15)
    with pytest.raises(ConfigError, match="other settings"):
        new(seed=1).fit(train, work_dir=tmp_path, resume=True)


def test_a_budget_is_spent_once(train, steps, tmp_path, monkeypatch):
    fitted, killed = new().fit(train, work_dir=tmp_path / "a"), cut_off(train, tmp_path / "b", monkeypatch, at=15)
    fitted.save(tmp_path / "model")
    for synthesizer in (fitted, killed, ls.load(tmp_path / "model")):
        with pytest.raises(PrivacyError, match=r"spent.*new Synthesizer"):
            synthesizer.fit(train)


def test_the_ledger_is_written_before_the_patients_are_asked(train, steps, monkeypatch):
    """A fit that fails in a release has spent it."""
    synthesizer = new()

    def broken(*_):
        raise Killed

    monkeypatch.setattr(private_fit, "size_sums", broken)
    with pytest.raises(Killed):
        synthesizer.fit(train)
    assert len(synthesizer.ledger.spends) == 1
