"""Whether an attacker who holds a patient's whole record can tell from the release that the patient was in train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from longsynth.privacy.base import SIDES, Outcome, Release, Side, Trials, attack, joined, not_assessed
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.sequence_model import SequenceModel
from longsynth.privacy.space import nearest
from longsynth.seeding import child_seed, stream

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_FOR_WIDTH = 10_000
_BLOCK = 256
_TINY = 1e-6


class Views(NamedTuple):
    """What an attacker compares for the targets of one side and one draw.

    Attributes
    ----------
    targets, synthetic, reference : ndarray, shape (rows, features)
        Points as `standardised` gives them; the reference sample is the holdout.
    left_out : ndarray of int, shape (rows of targets,)
        A row of ``reference`` for each target that the attacker's sample does not hold: a control patient itself; for
        a member one drawn at random, so that both sides are compared with equally many others.
    width : float
        Of the kernel of the synthetic cohort, NaN without a reference.
    """

    targets: Floats
    synthetic: Floats
    reference: Floats
    left_out: Integers
    width: float


@attack(criterion="membership", title="Members told from patients who were not in train")
def membership(release: Release, knowledge: Knowledge, seed: int) -> tuple[Outcome, ...]:
    """Score how much the release resembles each whole record; members should not score higher than control patients.

    Four scores, higher = more likely a member. With ``d(i, A)`` the Euclidean distance between standardised
    `patient_features` (static row, outcome, all visits) of i and the nearest patient of A:

    - distance: ``-d(i, S)`` to the synthetic cohort S;
    - distance against a reference: ``log d(i, H) - log d(i, S)``, H other real patients: what is rare anyway does not
      count;
    - density ratio: ``log p_S(i) - log p_H(i)``, kernel densities, half as wide as the median distance from a
      synthetic patient (at most 10,000 of them) to the nearest other;
    - sequence likelihood: mean log-likelihood of the visits of i under a second sequence model, trained on S alone.

    Reported by the true-positive rate at 1 % false positives and the AUC. Sees: copies, noisy copies, and at 1 % false
    positives a few copies among many fresh patients.

    Parameters
    ----------
    release : Release
        Draws, members and control.
    knowledge : Knowledge
        Whether there is a reference sample; the record is known as a whole whatever else it says.
    seed : int
        Targets, reference samples, and the sequence model.

    Returns
    -------
    tuple of Outcome
        One part a score; two need a reference sample.

    Notes
    -----
    The reference sample is the holdout without the target itself.

    References
    ----------
    Chen et al. (2020), GAN-Leaks, doi:10.1145/3372297.3417238. van Breugel et al. (2023), Membership inference attacks
    against synthetic data through overfitting detection, https://proceedings.mlr.press/v206/breugel23a.html. Carlini
    et al. (2022), Membership inference attacks from first principles, doi:10.1109/SP46214.2022.9833649.
    """
    everyone = {side: np.ones(release.side(side).n_patients, dtype=bool) for side in SIDES}
    rows = {side: release.targets(side, everyone[side], stream(seed, "membership", side)) for side in SIDES}
    parts: dict[str, Callable[[Views], Floats] | None] = {
        "distance": _by_distance,
        "distance against a reference": _by_calibrated_distance if knowledge.has_reference else None,
        "density ratio": _by_density_ratio if knowledge.has_reference else None,
    }
    views = {place: _views(release, *place, rows[place[0]], knowledge, seed) for place in _pairs(release)}
    outcomes = []
    for part, score in parts.items():
        if score is None:
            outcomes.append(not_assessed(part, "the attacker has no reference sample"))
            continue
        scores = {place: score(view) for place, view in views.items()}
        outcomes.append(_outcome(part, scores, rows))
    return (*outcomes, _by_likelihood(release, rows, seed))


def _by_distance(views: Views) -> Floats:
    return np.asarray(-nearest(views.targets, views.synthetic, 1)[:, 0])


def _by_calibrated_distance(views: Views) -> Floats:
    to_synthetic = nearest(views.targets, views.synthetic, 1)[:, 0]
    to_reference = nearest(views.targets, views.reference, 1, own=views.left_out)[:, 0]
    return np.asarray(np.log(np.minimum(to_reference, 1e6) + _TINY) - np.log(to_synthetic + _TINY))


def _by_density_ratio(views: Views) -> Floats:
    synthetic = _log_density(views.targets, views.synthetic, views.width)
    reference = _log_density(views.targets, views.reference, views.width, views.left_out)
    return synthetic - reference


def _by_likelihood(release: Release, rows: dict[Side, Integers], seed: int) -> Outcome:
    part = "sequence likelihood"
    if not all(len(draw.time) for draw in release.synthetic) or not release.synthetic[0].values.shape[1]:
        return not_assessed(part, "the synthetic cohort has no visits with channels")
    rows = {side: rows[side][release.side(side).n_visits[rows[side]] > 0] for side in SIDES}
    if not all(map(len, rows.values())):
        return not_assessed(part, "no target has a visit")
    scores = {}
    for draw, records in enumerate(release.synthetic):
        trees = child_seed(seed, "sequence likelihood", draw)
        model = release.once(("sequence model", draw, seed), partial(SequenceModel, records, trees))
        for side in SIDES:
            scores[side, draw] = model.log_likelihood(release.side(side).only(rows[side]))
    return _outcome(part, scores, rows)


def _outcome(part: str, scores: dict[tuple[Side, int], Floats], rows: dict[Side, Integers]) -> Outcome:
    trials: dict[Side, list[Trials]] = {side: [] for side in SIDES}
    for (side, draw), score in scores.items():
        trials[side].append(Trials(score, rows[side], np.full(len(score), draw)))
    n_requested = max(map(len, rows.values()))
    return Outcome(part, joined(trials["members"]), joined(trials["control"]), n_requested, measure="score")


def _views(release: Release, side: Side, draw: int, rows: Integers, knowledge: Knowledge, seed: int) -> Views:
    synthetic, others = release.points("synthetic", draw), release.points("control", draw)
    drawn = stream(seed, "membership", "left out").integers(0, len(others), len(rows))
    left_out = rows if side == "control" else drawn
    width = np.nan
    if knowledge.has_reference:
        width = release.once(("kernel width", draw), partial(_kernel_width, synthetic))
    return Views(release.points(side, draw)[rows], synthetic, others, left_out, width)


def _pairs(release: Release) -> Iterator[tuple[Side, int]]:
    return ((side, draw) for side in SIDES for draw in range(len(release.synthetic)))


def _kernel_width(points: Floats) -> float:
    """Return half the median distance from a point, one of the first 10,000, to its nearest other."""
    some = points[:MOST_FOR_WIDTH]
    distances = nearest(some, points, 1, own=np.arange(len(some)))[:, 0]
    width = float(np.median(distances[np.isfinite(distances)])) if len(points) > 1 else 1.0
    return width / 2 if width > 0 else 1.0


def _log_density(targets: Floats, points: Floats, width: float, left_out: Integers | None = None) -> Floats:
    """Return the log of the mean Gaussian kernel at each target, up to a constant that depends on the width alone."""
    found = np.empty(len(targets))
    norms = (points**2).sum(axis=1)
    for start in range(0, len(targets), _BLOCK):
        block = slice(start, start + _BLOCK)
        squares = (targets[block] ** 2).sum(axis=1)[:, None] + norms - 2 * targets[block] @ points.T
        exponents = -np.maximum(squares, 0.0) / (2 * width**2)
        if left_out is not None:
            exponents[np.arange(len(exponents)), left_out[block]] = -np.inf
        found[block] = logsumexp(exponents, axis=1)
    n_points = len(points) - (left_out is not None)
    return np.maximum(found, -1e6) - np.log(max(n_points, 1))
