"""The adversarial stage: rounds for a pure GAN, and the refinement of a fitted model with its control.

A refined model is kept only if, on patients held out of each member, a classifier tells it from real patients less
well than a model that took as many steps of likelihood alone, by more than the standard error, and no membership shows.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.encoded import EncodedCohort
from longsynth.exceptions import NotComputableError
from longsynth.generators.held_out import MAX_MEMBERSHIP, detect_held_out, membership_held_out
from longsynth.generators.model import Model
from longsynth.generators.settings import FitSettings
from longsynth.seeding import child_seed
from longsynth.training.batches import make_batch
from longsynth.training.plan import RoundPlan
from longsynth.training.rounds import Member, RoundsModule
from longsynth.training.trainer import Hardware, quiet_training, run_stage

MAX_CRITIC_VISITS = 256
CLEARLY = 1 + 1e-6
"""One draw alone above chance gives a gain of exactly its standard error, which is none."""


def refine(
    model: Model, train: Cohort, encoded: EncodedCohort, folds: np.ndarray, settings: FitSettings
) -> dict[str, Any]:
    """Refine ``model`` in place, or leave it as it was.

    Returns
    -------
    dict
        Whether it was ``kept``; ``detections`` by held-out patients, of the refined model and of its control, which
        took as many steps of likelihood alone; ``gain``: how much lower that of the refined model is, and its
        ``standard_error``; ``membership`` of the refined model, if it gained.
    """
    started = time.perf_counter()
    plan = settings.plan.refinement
    candidates = {"refined": copy.deepcopy(model), "control": copy.deepcopy(model)}
    for name, candidate in candidates.items():
        train_rounds(name, candidate, encoded, folds, plan, settings, anchor=1.0, adversarial=name == "refined")
    seed = child_seed(settings.seed, "scores")
    membership = None
    try:
        detections = {name: detect_held_out(candidate, train, folds, seed) for name, candidate in candidates.items()}
        gain, noise = _gain(detections["refined"], detections["control"])
        if gain > noise * CLEARLY:
            membership = membership_held_out(candidates["refined"], train, folds, seed)
    except NotComputableError as error:
        return {"kept": False, "reason": f"held-out patients cannot judge it: {error}"}
    kept = membership is not None and membership <= MAX_MEMBERSHIP
    if kept:
        for network, refined in zip(model.sequence, candidates["refined"].sequence, strict=True):
            network.load_state_dict(refined.state_dict())
    return {
        "kept": kept,
        "gain": gain,
        "standard_error": noise,
        "likelihood_steps": plan.n_rounds * plan.generator_steps,
        "detections": detections,
        "membership": membership,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _gain(refined: list[float], control: list[float]) -> tuple[float, float]:
    """How much lower the first detections are than the second ones, and the standard error; below 0.5 is chance."""
    found = [np.maximum(values, 0.5) for values in (control, refined)]
    gain = found[0].mean() - found[1].mean()
    return float(gain), float(np.sqrt(sum(values.var(ddof=1) / len(values) for values in found)))


def train_rounds(
    name: str,
    model: Model,
    encoded: EncodedCohort,
    folds: np.ndarray,
    plan: RoundPlan,
    settings: FitSettings,
    *,
    anchor: float,
    adversarial: bool,
) -> None:
    """Run the rounds ``plan`` asks for on ``model``, in place. They run on the CPU: the work of a round is small."""
    seed = child_seed(settings.seed, name)
    members = [_member(model, number, encoded, folds) for number in range(model.architecture.n_members)]
    loss_scale = max(2.0 * float(encoded.n_visits.mean()), 1.0)
    with quiet_training(seed):
        module = RoundsModule(
            members,
            plan,
            loss_scale,
            anchor=anchor,
            adversarial=adversarial,
            train_static=anchor == 0.0,
            seed=seed,
        )
        run_stage(
            module,
            None,
            settings.folder / name,
            Hardware(accelerator="cpu"),
            max_epochs=plan.n_rounds,
            patience=None,
            progress=settings.progress,
            resume=settings.resume,
        )


def _member(model: Model, number: int, encoded: EncodedCohort, folds: np.ndarray) -> Member:
    scale = model.encoder.time_scale
    rows = np.flatnonzero(folds != number)

    def draw(n: int, seed: int) -> Any:
        drawn = model.sample(n, seed, member=number)
        return make_batch(drawn, scale, np.flatnonzero(drawn.n_visits <= MAX_CRITIC_VISITS))

    return Member(
        static=model.static[number] if model.static else None,
        sequence=model.sequence[number] if model.sequence else None,
        rows=rows,
        critic_rows=rows[encoded.n_visits[rows] <= MAX_CRITIC_VISITS],
        draw=draw,
        real=lambda chosen: make_batch(encoded, scale, chosen),
    )
