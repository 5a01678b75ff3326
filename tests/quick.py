"""Fits and comparisons of next to no effort, in a second or two, for tests of what stands around them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

import longsynth.evaluation.metrics
import longsynth.privacy.attacks  # noqa: F401
from longsynth.evaluation.base import METRICS
from longsynth.evaluation.splits import Effort
from longsynth.privacy.base import ATTACKS
from longsynth.registry import Registry
from longsynth.training import plan

QUICK_METRICS = ("ks", "tv", "detect_patient", "visit_count", "autocorrelation_within", "km_distance", "rmst_relative")
QUICK_ATTACKS = ("duplicates",)


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Fit and judge with next to no effort while ``patch`` lasts."""
    patch.setattr("longsynth.synthesizer.plan_for", quick_plan)
    patch.setattr("longsynth.evaluation.detection.N_TREES", 3)
    patch.setattr("longsynth.generators.held_out.FEW_TREES", 3)
    for effort in ("CHEAP", "COSTLY", "STRATUM"):
        patch.setattr(
            f"longsynth.evaluation.evaluate.{effort}", Effort(n_patients=60, n_splits=4, n_halves=3, n_draws=1)
        )
    patch.setattr("longsynth.evaluation.evaluate.METRICS", Few(METRICS, QUICK_METRICS))
    patch.setattr("longsynth.privacy.assess.ATTACKS", Few(ATTACKS, QUICK_ATTACKS))


class Few:
    """A registry of which some are taken where none are named."""

    def __init__(self, registry: Registry, names: tuple[str, ...]) -> None:
        self.registry, self.names = registry, names

    def __getitem__(self, name: str) -> object:
        return self.registry[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


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
