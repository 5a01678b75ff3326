"""What patients held out of each member say of a model: whether it is told from them, and whether it knows its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.encoded import EncodedCohort, concatenate
from longsynth.evaluation.detection import detect_patient
from longsynth.generators.model import Model
from longsynth.privacy.membership import mia_auc
from longsynth.seeding import child_seed

N_SCORE_DRAWS = 3
MAX_SCORED = 2000
MAX_MEMBERSHIP = 0.53


@dataclass(frozen=True)
class HeldOutScore:
    """How a model does on patients held out of each member.

    ``detections`` are the AUCs, by draw, of a classifier between held-out and synthetic patients; ``membership`` is the
    mean AUC of the nearest-patient attack on each member's own train patients. 0.5 is best for both.
    """

    detections: list[float]
    membership: float


def score_held_out(model: Model, train: Cohort, folds: np.ndarray, seed: int) -> HeldOutScore:
    """Score a model on held-out patients; draws are seeded, so that two models are compared on equal noise."""
    held_out = train.select(_ids(train, np.flatnonzero(folds >= 0)[:MAX_SCORED]))
    parts = _draw(model, folds, N_SCORE_DRAWS, seed)
    detections = []
    for draw in range(N_SCORE_DRAWS):
        drawn = [_share(part, draw, N_SCORE_DRAWS) for part in parts]
        detections.append(detect_patient(_decoded(model, concatenate(drawn)), held_out, draw, n_repeats=1))
    first = [_share(part, 0, N_SCORE_DRAWS) for part in parts]
    return HeldOutScore(detections, _membership(model, train, folds, first))


def membership_held_out(model: Model, train: Cohort, folds: np.ndarray, seed: int) -> float:
    """Return the mean AUC, over members, of the nearest-patient attack on each member's own train patients."""
    return _membership(model, train, folds, _draw(model, folds, 1, seed))


def _membership(model: Model, train: Cohort, folds: np.ndarray, parts: list[EncodedCohort]) -> float:
    attacked = []
    for number, part in enumerate(parts):
        known = (_ids(train, np.flatnonzero(rows)[:MAX_SCORED]) for rows in (folds != number, folds == number))
        attacked.append(mia_auc(_decoded(model, part), *(train.select(ids) for ids in known)))
    return float(np.mean(attacked))


def _draw(model: Model, folds: np.ndarray, n_draws: int, seed: int) -> list[EncodedCohort]:
    """Draw from each member, ``n_draws`` times as many patients as are held out of it; one long draw is faster."""
    sizes = [min(int((folds == number).sum()), MAX_SCORED) for number in range(model.architecture.n_members)]
    return [
        model.sample(n_draws * size, child_seed(seed, "score", number), member=number)
        for number, size in enumerate(sizes)
    ]


def _share(drawn: EncodedCohort, draw: int, n_draws: int) -> EncodedCohort:
    size = drawn.n_patients // n_draws
    return drawn.take(np.arange(draw * size, (draw + 1) * size))


def _decoded(model: Model, encoded: EncodedCohort) -> Cohort:
    return model.encoder.inverse_transform(encoded, [f"synthetic-{row:06d}" for row in range(encoded.n_patients)])


def _ids(cohort: Cohort, rows: np.ndarray) -> list[Any]:
    return cohort.static[cohort.schema.patient_id].gather(rows).to_list()
