"""Fits that learn next to nothing, in a second or two, for tests of what stands around the model."""

from dataclasses import replace
from functools import partial

import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from longsynth.training import plan


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Fit and judge with next to no effort while ``patch`` lasts."""
    patch.setattr("longsynth.synthesizer.plan_for", quick_plan)
    quick_classifier = partial(HistGradientBoostingClassifier, max_iter=3)
    patch.setattr("longsynth.evaluation.detection.HistGradientBoostingClassifier", quick_classifier)


def quick_plan(*arguments: object) -> plan.Plan:
    """The plan that ``plan_for`` gives with two members, two epochs and one round."""
    usual = plan.plan_for(*arguments)
    few = {"n_rounds": 1, "n_drawn": 32, "critic_steps": 2, "generator_steps": 2}
    return replace(
        usual,
        n_members=2,
        static=replace(usual.static, max_epochs=2),
        sequence=replace(usual.sequence, max_epochs=2),
        refinement=replace(usual.refinement, **few),
        adversarial=replace(usual.adversarial, **few),
    )
