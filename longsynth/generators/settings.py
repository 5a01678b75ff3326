"""What a fit is told besides the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from longsynth.training.plan import Plan
from longsynth.training.trainer import Hardware


@dataclass(frozen=True)
class FitSettings:
    """Objective, backbone, plan and hardware of a fit, its seed, and where its checkpoints go."""

    objective: str
    backbone: str
    plan: Plan
    hardware: Hardware
    seed: int
    folder: Path
    resume: bool
    progress: bool
