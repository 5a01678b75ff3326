"""From an encoded cohort to a fitted model: the stages, one after the other, and the record of what happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from longsynth.budget import ANEW
from longsynth.cohort.cohort import Cohort
from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort
from longsynth.exceptions import NotComputableError
from longsynth.generators.calibration import N_OWN_PATIENTS, fit_calibration
from longsynth.generators.folder import check_folder, check_unpaid
from longsynth.generators.held_out import MAX_MEMBERSHIP, membership_held_out
from longsynth.generators.model import Architecture, Model
from longsynth.generators.refine import refine, train_rounds
from longsynth.generators.settings import FitSettings
from longsynth.generators.specs import ending_odds, outcome_shares, usual_steps
from longsynth.networks.sequence import SequenceSize
from longsynth.seeding import child_seed, stream
from longsynth.training.batches import CohortDataModule
from longsynth.training.crossfit import CrossFitModule, assign_folds
from longsynth.training.plan import StagePlan
from longsynth.training.trainer import quiet_training, run_stage


def fit_model(encoder: CohortEncoder, train: Cohort, settings: FitSettings) -> tuple[Model, dict[str, Any]]:
    """Fit both generators to a cohort and return them with the training record, a dict of plain JSON values."""
    check_unpaid(settings.folder, f"carry it on under its budget, or fit {ANEW}")
    encoded = encoder.transform(train)
    told = {"plan": settings.plan.to_json(), "objective": settings.objective, "backbone": settings.backbone}
    check_folder(encoded, settings, told)
    model = Model(encoder, _architecture(encoder, encoded, settings), settings.seed)
    record: dict[str, Any] = {"objective": settings.objective, "n_patients": encoded.n_patients}
    if settings.objective == "adversarial":
        record["adversarial"] = _adversarial_stage(model, encoded, settings)
    else:
        record |= _likelihood_stages(model, train, encoded, settings)
    own = model.sample(N_OWN_PATIENTS, child_seed(settings.seed, "calibration"))
    model.calibration = fit_calibration(encoder, own)
    return model, record


def _adversarial_stage(model: Model, encoded: EncodedCohort, settings: FitSettings) -> dict[str, Any]:
    started, plan = time.perf_counter(), settings.plan.adversarial
    everybody = np.full(encoded.n_patients, -1)
    train_rounds("adversarial", model, encoded, everybody, plan, settings, anchor=0.0, adversarial=True)
    return {"rounds": plan.n_rounds, "seconds": _since(started)}


def _likelihood_stages(model: Model, train: Cohort, encoded: EncodedCohort, settings: FitSettings) -> dict[str, Any]:
    """Train the static, then the sequence networks; then refine them if asked to."""
    plan, encoder = settings.plan, model.encoder
    folds = assign_folds(encoded.n_patients, plan.n_members, stream(settings.seed, "folds"))
    record: dict[str, Any] = {}
    if model.static:
        record["static"] = _likelihood_stage("static", model.static, encoder, encoded, folds, plan.static, settings)
    if model.sequence:
        rows = np.flatnonzero(encoded.n_visits > 0)
        stage = partial(_likelihood_stage, "sequence", model.sequence, encoder, encoded.take(rows), folds[rows])
        record["sequence"] = stage(plan.sequence, settings)
        if plan.sequence.keep_tail:
            record["sequence"] |= _brake(model, train, folds, stage, settings)
        if settings.objective == "hybrid":
            record["refinement"] = refine(model, train, encoded, folds, settings)
    return record


def _brake(
    model: Model,
    train: Cohort,
    folds: np.ndarray,
    stage: Callable[[StagePlan, FitSettings], dict[str, Any]],
    settings: FitSettings,
) -> dict[str, Any]:
    """Go back from the tail to the weights of the best held-out likelihood if members' own patients show less there."""
    seed = child_seed(settings.seed, "brake")
    try:
        in_tail = membership_held_out(model, train, folds, seed)
    except NotComputableError as error:
        return {"tail_membership": str(error)}
    if in_tail <= MAX_MEMBERSHIP:
        return {"tail_membership": in_tail}
    plan, again = settings.plan.sequence, replace(settings, resume=True)
    kept = stage(replace(plan, keep_tail=False), again)
    at_best = membership_held_out(model, train, folds, seed)
    if at_best >= in_tail:
        kept = stage(plan, again)
    told = {"tail_membership": in_tail, "best_membership": at_best}
    return {name: kept[name] for name in kept if name != "seconds"} | told


def _architecture(encoder: CohortEncoder, encoded: EncodedCohort, settings: FitSettings) -> Architecture:
    plan = settings.plan
    ending_times, ending_log_odds = ending_odds(encoded, encoder.time_scale)
    longest = int(encoded.n_visits.max(initial=0))
    return Architecture(
        n_members=plan.n_members,
        static_units=plan.static_units,
        size=SequenceSize(plan.hidden_size, plan.n_units, plan.dropout, plan.free_gaps),
        backbone=settings.backbone,
        outcome_shares=outcome_shares(encoded),
        usual_steps=usual_steps(encoded),
        ending_times=ending_times,
        ending_log_odds=ending_log_odds,
        max_visits=longest + longest // 2 + 2,
    )


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 1)


def _likelihood_stage(
    name: str,
    networks: Sequence[nn.Module],
    encoder: CohortEncoder,
    encoded: EncodedCohort,
    folds: np.ndarray,
    plan: StagePlan,
    settings: FitSettings,
) -> dict[str, Any]:
    """Train ``networks`` in place by held-out likelihood; skipped if a resumed fit has finished it."""
    started = time.perf_counter()
    mean_rows = 1.0 if name == "static" else 2.0 * float(encoded.n_visits.mean())
    seed = child_seed(settings.seed, name)
    data = CohortDataModule(encoded, encoder.time_scale, folds, plan.batch_size, seed)
    module = CrossFitModule(list(networks), folds, plan, plan.batch_size * mean_rows, seed)
    with quiet_training(seed):
        record = run_stage(
            module,
            data,
            settings.folder / name,
            settings.hardware,
            max_epochs=plan.max_epochs,
            patience=plan.patience,
            keep_tail=plan.keep_tail,
            progress=settings.progress,
            resume=settings.resume,
        )
    for network, average in zip(networks, module.averages, strict=True):
        network.load_state_dict(average.state_dict())
    return record | {"seconds": _since(started)}
