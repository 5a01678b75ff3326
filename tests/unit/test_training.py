"""Folds, plans, and fits that are cut off and carried on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from quick import quick_plan

import longsynth as ls
from longsynth.exceptions import ConfigError
from longsynth.training.crossfit import CrossFitModule, assign_folds
from longsynth.training.dp_sgd import average_second_half
from longsynth.training.plan import plan_for
from longsynth.training.rounds import RoundsModule

torch.set_num_threads(1)


def test_folds_are_balanced_and_hold_everybody_out_once():
    folds = assign_folds(103, 5, np.random.default_rng(0))
    assert sorted(np.bincount(folds)) == [20, 20, 21, 21, 21]


def test_one_member_holds_a_tenth_out():
    folds = assign_folds(200, 1, np.random.default_rng(0))
    assert (folds == 0).sum() == 20
    assert (folds == -1).sum() == 180


def test_the_average_is_that_of_the_second_half_of_the_steps():
    average, module, found = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), []
    for step, value in enumerate([8.0, 6.0, 1.0, 2.0, 6.0], start=1):
        torch.nn.init.constant_(module.weight, value)
        average_second_half(average, module, step, n_steps=5)
        found.append(round(average.weight.item(), 5))
    assert found == [8.0, 6.0, 1.0, 1.5, 3.0]


@pytest.mark.parametrize("n", [20, 300, 999, 1000, 4999, 5000, 100_000])
def test_every_size_has_a_plan(n):
    assert plan_for(n, "hybrid").n_members >= 1
    assert plan_for(n, "adversarial").n_members == 1


class Killed(BaseException):
    """Stands for a signal that ends the process."""


@pytest.fixture(scope="module")
def train():
    return ls.simulate_cohort(50, seed=1)


@pytest.fixture
def four_epochs(monkeypatch):
    def plan(*told):
        usual = quick_plan(*told)
        longer = {name: replace(getattr(usual, name), max_epochs=4) for name in ("static", "sequence")}
        rounds = replace(usual.adversarial, n_rounds=4)
        return replace(usual, **longer, refinement=replace(rounds, n_rounds=2), adversarial=rounds)

    monkeypatch.setattr("longsynth.synthesizer.plan_for", plan)


def fit(train, folder=None, objective="hybrid", **options):
    return ls.Synthesizer(0, objective, accelerator="cpu").fit(train, work_dir=folder, **options)


def weights(synthesizer):
    return [value for network in synthesizer._model.networks().values() for value in network.state_dict().values()]


@pytest.mark.parametrize(
    ("objective", "module", "stage"),
    [
        ("hybrid", CrossFitModule, 0),
        ("hybrid", CrossFitModule, 1),
        ("hybrid", RoundsModule, 0),
        ("adversarial", RoundsModule, 0),
    ],
)
def test_a_resumed_fit_equals_an_uninterrupted_one(train, tmp_path, four_epochs, monkeypatch, objective, module, stage):
    """Kill the ``stage``-th stage of its kind with epochs to go; carry on; compare every weight."""
    whole = fit(train, objective=objective)
    begun = []

    def train_start(self):
        begun.append(self)

    def epoch_end(self):
        middle = 1 if module is RoundsModule and objective == "hybrid" else 2
        if len(begun) == stage + 1 and self.current_epoch == middle:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "on_train_start", train_start, raising=False)
        patch.setattr(module, "on_train_epoch_end", epoch_end, raising=False)
        with pytest.raises(Killed):
            fit(train, tmp_path, objective)
    resumed = fit(train, tmp_path, objective, resume=True)
    for one, other in zip(weights(whole), weights(resumed), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_checkpoints_of_another_fit_are_refused(train, tmp_path, four_epochs):
    fit(train, tmp_path, "likelihood")
    with pytest.raises(ConfigError, match="another cohort"):
        fit(ls.simulate_cohort(50, seed=2), tmp_path, "likelihood", resume=True)
    with pytest.raises(ConfigError, match="work_dir"):
        fit(train, resume=True)


def test_a_new_fit_ignores_old_checkpoints(train, tmp_path, four_epochs):
    fit(ls.simulate_cohort(50, seed=2), tmp_path, "likelihood")
    for one, other in zip(
        weights(fit(train, tmp_path, "likelihood")), weights(fit(train, None, "likelihood")), strict=True
    ):
        assert torch.equal(one, other)


def test_the_loss_weighs_every_visit_alike_whatever_the_batch(train):
    """The gradient of two batches adds up to that of both together: no division by a batch's own size."""
    synthesizer = ls.Synthesizer(0, "likelihood", accelerator="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("longsynth.synthesizer.plan_for", quick_plan)
        synthesizer.fit(train)
    model = synthesizer._model
    encoded = model.encoder.transform(train)
    from longsynth.training.batches import make_batch

    network = model.sequence[0].eval()
    module = CrossFitModule([network], np.full(50, -1), plan_for(300, "likelihood").sequence, 100.0, 0)
    batches = [make_batch(encoded, model.encoder.time_scale, rows) for rows in (range(10), range(10, 50), range(50))]
    losses = [module.training_step(batch, 0).item() for batch in batches]
    assert losses[0] + losses[1] == pytest.approx(losses[2], rel=1e-4)
