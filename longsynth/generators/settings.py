"""What a fit is told besides the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from longsynth.training.plan import Plan, plan_for
from longsynth.training.trainer import Hardware


@dataclass(frozen=True)
class FitSettings:
    """Objective, backbone, plan and hardware of a fit, its seed, where its checkpoints go, and if they outlast it."""

    objective: str
    backbone: str
    plan: Plan
    hardware: Hardware
    seed: int
    folder: Path
    resume: bool
    progress: bool
    is_kept: bool


def private_settings(n_patients: int, folder: Path, seed: int, progress: bool = False) -> FitSettings:
    """Return the settings of a private fit that nobody resumes, on one device."""
    hardware = Hardware("auto", 1, "auto", "32-true")
    plan = plan_for(n_patients, "likelihood")
    whether = {"resume": False, "progress": progress, "is_kept": False}
    return FitSettings("likelihood", "recurrent", plan, hardware, seed, folder, **whether)
