"""A refined model is kept only if held-out patients speak for it."""

import pytest
import torch
from quick import make_quick

import longsynth as ls
from longsynth.exceptions import NotComputableError
from longsynth.generators import refine
from longsynth.generators.held_out import HeldOutScore

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def train():
    return ls.simulate_cohort(50, seed=0)


def fit_with_scores(train, monkeypatch, refined, control):
    """Fit while ``score_held_out`` returns these scores; the refined model is scored first."""
    make_quick(monkeypatch)
    scores = iter([refined, control])
    monkeypatch.setattr(refine, "score_held_out", lambda *_: next(scores))
    hybrid = ls.Synthesizer(0, "hybrid", accelerator="cpu").fit(train)
    plain = ls.Synthesizer(0, "likelihood", accelerator="cpu").fit(train)
    same = all(
        torch.equal(one, other)
        for name, network in hybrid._model.networks().items()
        for one, other in zip(
            network.state_dict().values(), plain._model.networks()[name].state_dict().values(), strict=True
        )
    )
    return hybrid.training_record["refinement"], same


@pytest.mark.parametrize(
    ("refined", "membership", "control", "kept"),
    [
        ([0.52, 0.53, 0.54], 0.50, [0.60, 0.61, 0.62], True),
        ([0.52, 0.53, 0.54], 0.56, [0.60, 0.61, 0.62], False),
        ([0.60, 0.61, 0.62], 0.50, [0.52, 0.53, 0.54], False),
        ([0.50, 0.55, 0.60], 0.50, [0.51, 0.56, 0.61], False),
    ],
)
def test_gain_noise_and_membership_decide(train, monkeypatch, refined, membership, control, kept):
    scores = HeldOutScore(refined, membership), HeldOutScore(control, 0.5)
    record, same = fit_with_scores(train, monkeypatch, *scores)
    assert record["kept"] is kept
    assert record["gain"] == pytest.approx(sum(control) / 3 - sum(refined) / 3)
    assert same is not kept


def test_what_cannot_be_judged_is_not_kept(train, monkeypatch):
    make_quick(monkeypatch)

    def fail(*_):
        raise NotComputableError("too few patients")

    monkeypatch.setattr(refine, "score_held_out", fail)
    record = ls.Synthesizer(0, "hybrid", accelerator="cpu").fit(train).training_record["refinement"]
    assert record["kept"] is False
    assert "too few" in record["reason"]
