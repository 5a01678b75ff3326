"""A refined model is kept only if held-out patients speak for it."""

import pytest
import torch
from quick import make_quick

import longsynth as ls
from longsynth.exceptions import NotComputableError
from longsynth.generators import refine

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def train():
    return ls.simulate_cohort(50, seed=0)


def fit_with_scores(train, monkeypatch, refined, control, membership):
    """Fit while held-out patients say this of the refined model, which is judged first, and of its control."""
    make_quick(monkeypatch)
    detections = iter([refined, control])
    monkeypatch.setattr(refine, "detect_held_out", lambda *_: next(detections))
    monkeypatch.setattr(refine, "membership_held_out", lambda *_: membership)
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
    record, same = fit_with_scores(train, monkeypatch, refined, control, membership)
    assert record["kept"] is kept
    assert record["gain"] == pytest.approx(sum(control) / 3 - sum(refined) / 3)
    assert record["membership"] == (membership if record["gain"] > record["standard_error"] else None)
    assert same is not kept


@pytest.mark.parametrize("detection", [0.513007823546, 0.52, 0.6, 0.7])
def test_a_gain_of_one_draw_alone_is_no_gain(train, monkeypatch, detection):
    record, same = fit_with_scores(train, monkeypatch, [0.43, 0.49, 0.49], [0.48, detection, 0.49], 0.50)
    assert record["gain"] == pytest.approx(record["standard_error"])
    assert not record["kept"]
    assert same


def test_what_cannot_be_judged_is_not_kept(train, monkeypatch):
    make_quick(monkeypatch)

    def fail(*_):
        raise NotComputableError("too few patients")

    monkeypatch.setattr(refine, "detect_held_out", fail)
    record = ls.Synthesizer(0, "hybrid", accelerator="cpu").fit(train).training_record["refinement"]
    assert record["kept"] is False
    assert "too few" in record["reason"]
