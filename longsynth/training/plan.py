"""How long and how hard to train, by the number of patients.

The figures come from measurements on cohorts of 218 to 9,477 patients (docs/benchmarks.md); no user needs to set them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class StagePlan:
    """Settings of one likelihood stage.

    ``patience`` counts epochs without improvement of the held-out likelihood; ``cosine`` decays the learning rate over
    ``max_epochs``, else it stays constant. ``keep_tail``: keep the averaged weights at the end of the patience rather
    than those at the best held-out likelihood, because free-running samples still improve there.
    """

    batch_size: int
    learning_rate: float
    weight_decay: float
    average_decay: float
    max_epochs: int
    patience: int
    cosine: bool
    keep_tail: bool = False


@dataclass(frozen=True)
class RoundPlan:
    """Settings of the adversarial rounds.

    Each round draws ``n_drawn`` synthetic patients a member, takes ``critic_steps`` steps of the critic and
    ``generator_steps`` of the generator. ``weight`` is that of the critic's patients beside the real ones.
    """

    n_rounds: int
    n_drawn: int
    critic_steps: int
    generator_steps: int
    batch_size: int
    learning_rate: float
    weight: float


@dataclass(frozen=True)
class Plan:
    """Everything that depends on the size of the cohort."""

    n_members: int
    hidden_size: int
    n_units: int
    static_units: int
    dropout: float
    free_gaps: bool
    static: StagePlan
    sequence: StagePlan
    refinement: RoundPlan
    adversarial: RoundPlan

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return asdict(self)


def plan_for(n_patients: int, objective: str) -> Plan:
    """Return the plan for a cohort of ``n_patients`` train patients.

    A pure GAN learns from its own patients, of which there are as many as it likes: one member, no dropout.
    """
    plan = _likelihood_plan(n_patients)
    return replace(plan, n_members=1, dropout=0.0) if objective == "adversarial" else plan


def _likelihood_plan(n_patients: int) -> Plan:
    adversarial = RoundPlan(30, 512, 15, 15, 128, 2e-3, 1.0)
    if n_patients < 1000:
        return Plan(
            n_members=5,
            hidden_size=64,
            n_units=32,
            static_units=16,
            dropout=0.25,
            free_gaps=False,
            static=StagePlan(20, 1e-3, 0.05, 0.98, 200, 12, False),
            sequence=StagePlan(20, 2e-3, 0.1, 0.98, 100, 12, False, keep_tail=True),
            refinement=RoundPlan(1, 300, 15, 10, 64, 5e-4, 1.0),
            adversarial=adversarial,
        )
    if n_patients < 5000:
        return Plan(
            n_members=3,
            hidden_size=64,
            n_units=32,
            static_units=32,
            dropout=0.15,
            free_gaps=n_patients >= 2000,
            static=StagePlan(48, 2e-3, 0.05, 0.98, 100, 8, False),
            sequence=StagePlan(48, 2e-3, 0.05, 0.98, 60, 4, False, keep_tail=True),
            refinement=RoundPlan(1, 500, 15, 10, 64, 5e-4, 1.0),
            adversarial=adversarial,
        )
    return Plan(
        n_members=1,
        hidden_size=96,
        n_units=48,
        static_units=48,
        dropout=0.1,
        free_gaps=True,
        static=StagePlan(128, 3e-3, 0.05, 0.995, 40, 5, False),
        sequence=StagePlan(64, 3e-3, 0.02, 0.99, 9, 3, True),
        refinement=RoundPlan(1, 1000, 30, 20, 64, 3e-4, 1.0),
        adversarial=adversarial,
    )
