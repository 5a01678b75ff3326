"""Every objective learns every toy world."""

from dataclasses import replace

import pytest
import torch

import longsynth as ls
from longsynth.training.plan import plan_for
from tests.learning.worlds import WORLDS

torch.set_num_threads(1)


def one_member(*told):
    """The usual plan for one member instead of five, in fewer and larger steps: the worlds are easy."""
    usual = plan_for(*told)
    sequence = replace(usual.sequence, learning_rate=5e-3, max_epochs=30)
    return replace(
        usual, n_members=1, static=replace(usual.static, learning_rate=3e-3, max_epochs=25), sequence=sequence
    )


def is_learned(world, objective, backbone="recurrent"):
    synthesizer = ls.Synthesizer(0, objective, backbone, accelerator="cpu").fit(world.make(300, 0))
    return world.is_learned(synthesizer.sample(600, seed=1))


@pytest.mark.parametrize("name", WORLDS)
def test_hybrid(name, monkeypatch):
    monkeypatch.setattr("longsynth.synthesizer.plan_for", one_member)
    assert is_learned(WORLDS[name], "hybrid"), WORLDS[name].reason


@pytest.mark.parametrize("name", ["alternating_state", "slope_by_arm"])
def test_transformer(name, monkeypatch):
    monkeypatch.setattr("longsynth.synthesizer.plan_for", one_member)
    assert is_learned(WORLDS[name], "likelihood", "transformer"), WORLDS[name].reason


@pytest.mark.parametrize("name", ["slope_by_arm"])
def test_adversarial(name):
    assert is_learned(WORLDS[name], "adversarial"), WORLDS[name].reason


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WORLDS if name != "slope_by_arm"])
def test_adversarial_on_the_other_worlds(name):
    assert is_learned(WORLDS[name], "adversarial"), WORLDS[name].reason
