"""A private fit that is cut off and carried on asks the patients no second time, and no other fit is carried on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from private_worlds import (
    Processes,
    declared_schema,
    forget_fits,
    made_cohort,
    model_of,
    plan_of,
    quick_private,
    training_of,
)

import longsynth as ls
from longsynth.cohort.cohort import Cohort
from longsynth.encoding.private_sizes import Sizes
from longsynth.exceptions import ConfigError, PrivacyError
from longsynth.generators import private_fit
from longsynth.training.accounting import epsilon_of
from longsynth.training.dp_sgd import STEPS_AN_EPOCH, PrivateTraining
from longsynth.training.noise import SecretRandomness
from longsynth.training.private_plan import private_plan

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


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file with its bytes."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


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
    assert (
        synthesizer.ledger.spends[:2]
        == private_fit.PrivacyLedger.from_json(json.loads(told)["ledger"], private_fit.epsilon_of).spends
    )
    assert synthesizer.sample(5).n_patients == 5


def test_a_fit_that_is_carried_on_ends_as_one_that_was_not_cut_off(train, steps, tmp_path, monkeypatch):
    same = lambda: SecretRandomness(lambda n: np.random.default_rng(n).bytes(n))  # noqa: E731
    monkeypatch.setattr("longsynth.synthesizer.SecretRandomness", same)
    cut_off(train, tmp_path / "a", monkeypatch, at=15)
    carried_on = new().fit(train, work_dir=tmp_path / "a", resume=True)
    forget_fits()
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


@pytest.mark.parametrize("next_delta", [1e-3, 2e-3])
def test_a_delta_that_was_too_large_costs_the_first_release_once(next_delta, train, steps, tmp_path, monkeypatch):
    """The noisy sizes are taken over with the noise that they have, at what that costs under the next budget."""
    monkeypatch.setattr(private_fit, "noise_for", lambda epsilon, delta, _: 0.5 - delta)
    monkeypatch.setattr(private_fit, "epsilon_of", lambda events, delta: sum(1 / event[0] for event in events) + delta)
    refused = new(ls.PrivacyBudget(epsilon=8, delta=0.09))
    with pytest.raises(PrivacyError, match="resume=True"):
        refused.fit(train, work_dir=tmp_path)
    told = json.loads((tmp_path / private_fit.FIRST_RELEASE).read_text())
    monkeypatch.setattr(private_fit, "size_sums", lambda *_: pytest.fail("the patients were asked again"))
    synthesizer = new(ls.PrivacyBudget(epsilon=8, delta=next_delta)).fit(train, work_dir=tmp_path, resume=True)
    first, second, third = synthesizer.ledger.spends
    assert first.noise_multiplier == refused.ledger.spends[0].noise_multiplier == told["noise_multiplier"]
    assert first.epsilon == 1 / first.noise_multiplier + next_delta < second.epsilon < third.epsilon
    assert json.loads((tmp_path / private_fit.RELEASES).read_text())["sizes"] == told["sizes"]


def test_a_fit_that_was_cut_off_between_the_releases_makes_the_second_one_alone(train, steps, tmp_path, monkeypatch):
    def killed(*_):
        raise Killed

    with monkeypatch.context() as while_fitting, pytest.raises(Killed):
        while_fitting.setattr(private_fit, "cell_sums", killed)
        new().fit(train, work_dir=tmp_path)
    monkeypatch.setattr(private_fit, "size_sums", lambda *_: pytest.fail("the patients were asked again"))
    assert len(new().fit(train, work_dir=tmp_path, resume=True).ledger.spends) == 3


def test_what_a_first_release_left_over_is_all_that_there_is(train, tmp_path, monkeypatch):
    """With the accountant: sizes of a generous delta are dearer under a smaller one, and all spends fit the budget."""
    small = lambda n: replace(private_plan(n), n_steps=10)  # noqa: E731
    monkeypatch.setattr(private_fit, "private_plan", small)
    monkeypatch.setattr(private_fit, "N_OWN_PATIENTS", 50)
    with pytest.raises(PrivacyError, match="delta is too large"):
        new(ls.PrivacyBudget(epsilon=8, delta=0.09)).fit(train, work_dir=tmp_path)
    spends = new().fit(train, work_dir=tmp_path, resume=True).ledger.spends
    assert 0 < spends[0].epsilon < spends[1].epsilon < spends[2].epsilon <= 8
    events = [(one.noise_multiplier, one.sample_rate, one.n_steps) for one in spends]
    assert spends[2].epsilon == pytest.approx(epsilon_of(events, 1e-3))


def test_a_budget_that_is_less_than_what_was_paid_for_is_told_how_much_it_takes(train, tmp_path, monkeypatch):
    monkeypatch.setattr(private_fit, "private_plan", lambda n: replace(private_plan(n), n_steps=10))
    monkeypatch.setattr(private_fit, "N_OWN_PATIENTS", 50)
    with pytest.raises(PrivacyError, match="delta is too large"):
        new(ls.PrivacyBudget(epsilon=8, delta=0.09)).fit(train, work_dir=tmp_path)
    with pytest.raises(PrivacyError, match=r"epsilon above [\d.]+, or a fit .*empty work_dir") as refused:
        new(ls.PrivacyBudget(epsilon=0.5, delta=1e-3)).fit(train, work_dir=tmp_path, resume=True)
    least = float(str(refused.value).split("epsilon above ")[1].split(",")[0])
    spends = new(ls.PrivacyBudget(epsilon=1.01 * least, delta=1e-3)).fit(train, work_dir=tmp_path, resume=True)
    assert len(spends.ledger.spends) == 3


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("left", [(), (private_fit.RELEASES,)])
def test_what_was_paid_for_is_not_paid_for_again_by_mistake(left, train, steps, tmp_path):
    """A fit from the start, where one was that has spent something, must be asked for; nothing is spent or lost."""
    new().fit(train, work_dir=tmp_path)
    for name in left:  # cut off between the two releases
        (tmp_path / name).unlink()
    before, other = contents(tmp_path), made_cohort(declared_schema(), [1, 2, 3] * 9, 8)
    for synthesizer, cohort in ((new(), train), (new(seed=1), train), (new(), other)):
        with pytest.raises(ConfigError, match=r"resume=True.*empty work_dir.*once more"):
            synthesizer.fit(cohort, work_dir=tmp_path)
        assert synthesizer.ledger.spends == []
        assert contents(tmp_path) == before
    with pytest.raises(ConfigError, match="another cohort"):
        new().fit(other, work_dir=tmp_path, resume=True)
    new().fit(train, work_dir=tmp_path, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_fit_without_a_budget_does_not_take_over_what_was_paid_for(resume, train, steps, tmp_path):
    new().fit(train, work_dir=tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"under its budget.*empty work_dir"):
        ls.Synthesizer(0, "likelihood", accelerator="cpu").fit(train, work_dir=tmp_path, resume=resume)
    assert contents(tmp_path) == before


def test_counts_that_do_not_say_whose_they_are_are_not_taken_over(train, steps, tmp_path):
    new().fit(train, work_dir=tmp_path)
    (tmp_path / "cohort.sha256").unlink()
    with pytest.raises(ConfigError, match="another cohort"):
        new().fit(train, work_dir=tmp_path, resume=True)
    assert not (tmp_path / "cohort.sha256").exists()


def test_processes_that_start_from_other_margins_are_stopped(train):
    """Codes alone do not tell: processes with other noisy counts may agree on the classes and not on their shares."""
    sizes, beside = Sizes(20.0, 16, 256.0), Processes(2)
    models = [model_of(train, sizes, plan_of()) for _ in range(2)]
    training_of(train, models[0], plan_of(), beside=beside).on_fit_start()
    training_of(train, models[1], plan_of(), beside=beside, rank=1).on_fit_start()
    models[1].static[0].head.margins += 0.1
    with pytest.raises(ConfigError, match="same noisy counts"):
        training_of(train, models[1], plan_of(), beside=beside, rank=1).on_fit_start()


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
    fitted = new().fit(train, work_dir=tmp_path / "a")
    forget_fits()
    killed = cut_off(train, tmp_path / "b", monkeypatch, at=15)
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
