"""A fit goes back from the tail to the best held-out weights when members' own patients show less there."""

from dataclasses import replace

import pytest
import torch
from quick import make_quick, quick_plan

import longsynth as ls
from longsynth.generators import fit

torch.set_num_threads(1)


@pytest.fixture
def fitted(monkeypatch):
    """Fit with given AUCs of the attack on members, in the tail and at the best held-out likelihood."""
    make_quick(monkeypatch)
    usual = quick_plan(50, "likelihood")
    soon_worse = replace(usual, sequence=replace(usual.sequence, max_epochs=6, learning_rate=1.0, average_decay=0.0))
    assert soon_worse.sequence.keep_tail
    monkeypatch.setattr("longsynth.synthesizer.plan_for", lambda *_: soon_worse)
    train = ls.simulate_cohort(50, seed=0)

    def fitted(in_tail, at_best):
        found = iter([in_tail, at_best])
        monkeypatch.setattr(fit, "membership_held_out", lambda *_: next(found))
        return ls.Synthesizer(0, "likelihood", accelerator="cpu").fit(train)

    return fitted


@pytest.mark.parametrize(
    ("in_tail", "at_best", "goes_back"), [(0.5, 0.4, False), (0.56, 0.52, True), (0.56, 0.6, False)]
)
def test_membership_decides_how_far_the_tail_goes(in_tail, at_best, goes_back, fitted):
    record = fitted(in_tail, at_best).training_record["sequence"]
    assert record["tail_membership"] == in_tail
    assert record["best_epoch"] < record["epochs"] - 1
    assert record["kept_epoch"] == (record["best_epoch"] if goes_back else record["epochs"] - 1)


def test_a_tail_that_is_kept_after_all_is_the_same_tail(fitted):
    never_left, came_back = (fitted(*found).sample(20, seed=0) for found in [(0.5, 0.4), (0.56, 0.6)])
    assert never_left.static.equals(came_back.static)
    assert never_left.visits.equals(came_back.visits)
