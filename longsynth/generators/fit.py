"""From an encoded cohort to a fitted model: the stages, one after the other, and the record of what happened."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort
from longsynth.generators.model import Architecture, Model
from longsynth.generators.specs import outcome_shares
from longsynth.networks.sequence import SequenceSize
from longsynth.seeding import child_seed, stream
from longsynth.training.batches import CohortDataModule
from longsynth.training.crossfit import CrossFitModule, assign_folds
from longsynth.training.plan import Plan, StagePlan
from longsynth.training.trainer import Hardware, quiet_training, run_stage


@dataclass(frozen=True)
class FitSettings:
    """What a fit is told besides the data."""

    objective: str
    backbone: str
    plan: Plan
    hardware: Hardware
    seed: int
    folder: Path
    resume: bool
    progress: bool


def fit_model(encoder: CohortEncoder, encoded: EncodedCohort, settings: FitSettings) -> tuple[Model, dict[str, Any]]:
    """Fit both generators and return them with the training record, a dict of plain JSON values."""
    plan, seed = settings.plan, settings.seed
    size = SequenceSize(plan.hidden_size, plan.n_units, plan.dropout, plan.free_gaps)
    longest = int(encoded.n_visits.max(initial=0))
    architecture = Architecture(
        plan.n_members,
        plan.static_units,
        size,
        settings.backbone,
        outcome_shares(encoded),
        longest + longest // 2 + 2,
    )
    model = Model(encoder, architecture, seed)
    folds = assign_folds(encoded.n_patients, plan.n_members, stream(seed, "folds"))
    record: dict[str, Any] = {"objective": settings.objective, "n_patients": encoded.n_patients}
    if model.static:
        record["static"] = _likelihood_stage("static", list(model.static), encoder, encoded, folds, plan.static, settings)
    if model.sequence:
        with_visits = np.flatnonzero(encoded.n_visits > 0)
        part, part_folds = encoded.take(with_visits), folds[with_visits]
        record["sequence"] = _likelihood_stage(
            "sequence", list(model.sequence), encoder, part, part_folds, plan.sequence, settings
        )
    return model, record


def _likelihood_stage(
    name: str,
    members: list[Any],
    encoder: CohortEncoder,
    encoded: EncodedCohort,
    folds: np.ndarray,
    plan: StagePlan,
    settings: FitSettings,
) -> dict[str, Any]:
    """Train ``members`` in place by held-out likelihood; skipped if a resumed fit has finished it."""
    started = time.perf_counter()
    mean_rows = 1.0 if name == "static" else 2.0 * float(encoded.n_visits.mean())
    seed = child_seed(settings.seed, name)
    data = CohortDataModule(encoded, encoder.time_scale, folds, plan.batch_size, seed)
    module = CrossFitModule(members, folds, plan, plan.batch_size * mean_rows, seed)
    with quiet_training(seed):
        record = run_stage(
            module,
            data,
            settings.folder / name,
            settings.hardware,
            max_epochs=plan.max_epochs,
            patience=plan.patience,
            progress=settings.progress,
            resume=settings.resume,
        )
    for member, average in zip(members, module.averages, strict=True):
        member.load_state_dict(average.state_dict())
    return record | {"seconds": round(time.perf_counter() - started, 1)}
