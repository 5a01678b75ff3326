"""A fit goes back from the tail to the best held-out weights when members' own patients show."""

from dataclasses import replace

import pytest
import torch
from quick import make_quick, quick_plan

import longsynth as ls
from longsynth.generators import fit

torch.set_num_threads(1)


@pytest.mark.parametrize(("membership", "goes_back"), [(0.50, False), (0.56, True)])
def test_membership_decides_how_far_the_tail_goes(membership, goes_back, monkeypatch):
    train = ls.simulate_cohort(50, seed=0)
    make_quick(monkeypatch)
    monkeypatch.setattr(fit, "membership_held_out", lambda *_: membership)
    usual = quick_plan(50, "likelihood")
    soon_worse = replace(usual, sequence=replace(usual.sequence, max_epochs=6, learning_rate=1.0, average_decay=0.0))
    assert soon_worse.sequence.keep_tail
    monkeypatch.setattr("longsynth.synthesizer.plan_for", lambda *_: soon_worse)
    record = ls.Synthesizer(0, "likelihood", accelerator="cpu").fit(train).training_record["sequence"]
    assert record["tail_membership"] == membership
    assert record["best_epoch"] < record["epochs"] - 1
    if goes_back:
        assert record["kept_epoch"] == record["best_epoch"]
    else:
        assert record["kept_epoch"] == record["epochs"] - 1
