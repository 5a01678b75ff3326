"""What patients held out of each member say of a model: whether it is told from them, and whether it knows its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.encoded import EncodedCohort, concatenate
from longsynth.evaluation.detection import detect_patient
from longsynth.generators.model import Model
from longsynth.privacy.membership import mia_auc
from longsynth.seeding import child_seed

N_SCORE_DRAWS = 3
FEW_PATIENTS, FEW_TREES = 1000, 20
MAX_SCORED = 2000
MAX_MEMBERSHIP = 0.53


def detect_held_out(model: Model, train: Cohort, folds: np.ndarray, seed: int) -> list[float]:
    """Return the AUCs, by draw, of a classifier between held-out and synthetic patients; 0.5 is best.

    Draws are seeded, so that two models are compared on equal noise. Below 1,000 patients the classifier has 20 trees
    instead of the metric's 100: on so few rows more of them fit noise, cost time and spread the AUCs wider.
    """
    held_out = train.select(_ids(train, np.flatnonzero(folds >= 0)[:MAX_SCORED]))
    parts = _draw(model, folds, N_SCORE_DRAWS, seed)
    n_trees = FEW_TREES if held_out.n_patients < FEW_PATIENTS else None
    found = []
    for draw in range(N_SCORE_DRAWS):
        drawn = _decoded(model, concatenate([_share(part, draw, N_SCORE_DRAWS) for part in parts]))
        found.append(detect_patient(drawn, held_out, draw, n_repeats=1, n_trees=n_trees))
    return found


def membership_held_out(model: Model, train: Cohort, folds: np.ndarray, seed: int) -> float:
    """Return the mean AUC, over members, of the nearest-patient attack on each member's own train patients."""
    attacked = []
    for number, part in enumerate(_draw(model, folds, 1, seed)):
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
