"""Whether a synthetic patient comes closer to one real patient than a fresh one could be expected to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longsynth.exceptions import NotComputableError
from longsynth.privacy.base import SIDES, Outcome, Release, Side, Trials, attack, joined
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.space import nearest, standardised
from longsynth.seeding import stream

Floats = NDArray[np.float64]

FEWEST_REAL = 20
MOST_TWINS = 0.01
CAUTION = 0.5
_SAME = 1e-6


@attack(criterion="membership", title="A synthetic patient closer to one real patient than chance allows")
def closest(release: Release, knowledge: Knowledge, seed: int) -> tuple[Outcome, ...]:  # noqa: ARG001
    """Test for each patient whether the nearest synthetic patient is nearer than a fresh one could be expected to be.

    With ``d_S`` the distance from i to the nearest of n_S synthetic patients, ``d_R`` that to the nearest of n_R other
    real patients (train and holdout), both between standardised `patient_features`, and m the number of dimensions in
    which patients differ locally:

        ``p(i) = n_S r^m / (n_S r^m + n_R)``, ``r = d_S / d_R``,

    the chance that the nearest of n_S fresh patients comes as close as ``r d_R``, where points fall as in a Poisson
    process. Adjusted by Holm for all targets, a small p shows a copy of that very patient, be it a single one: rates
    over patients cannot show that. m is estimated from the two nearest real neighbours of real patients, and halved,
    since the space around a lonely patient is less regular than that.

    Sees: a single copied patient, also with small noise, if that patient is unlike all others.

    Parameters
    ----------
    release : Release
        Draws, members and control.
    knowledge : Knowledge
        Not used: the record is known as a whole.
    seed : int
        Targets.

    Returns
    -------
    tuple of Outcome
        One, whose ``success`` are p-values.

    Raises
    ------
    NotComputableError
        If there are fewer than 20 real patients, or more than 1 % of them have a twin among the others: patients then
        repeat one another by chance.

    References
    ----------
    Facco et al. (2017), Estimating the intrinsic dimension of datasets by a minimal neighborhood information,
    doi:10.1038/s41598-017-11873-y.
    """
    everyone = {side: np.ones(release.side(side).n_patients, dtype=bool) for side in SIDES}
    rows = {side: release.targets(side, everyone[side], stream(seed, "closest", side)) for side in SIDES}
    if release.train.n_patients + release.holdout.n_patients < FEWEST_REAL:
        raise NotComputableError(f"it needs {FEWEST_REAL} real patients")
    trials: dict[Side, list[Trials]] = {side: [] for side in SIDES}
    for draw, made in enumerate(release.synthetic):
        points = standardised(made, made)
        sides = [standardised(release.side(side), made) for side in SIDES]
        real = np.concatenate(sides)
        offsets = {"members": 0, "control": len(sides[0])}
        own = {side: rows[side] + offsets[side] for side in SIDES}
        to_real = {side: nearest(real[own[side]], real, 2, own=own[side]) for side in SIDES}
        dimension = CAUTION * _dimension(np.concatenate(list(to_real.values())))
        for side in SIDES:
            to_synthetic = nearest(real[own[side]], points, 1)[:, 0]
            chance = _chance(to_synthetic, to_real[side][:, 0], dimension, len(points), len(real) - 1)
            trials[side].append(Trials(chance, rows[side], np.full(len(chance), draw)))
    n_requested = max(map(len, rows.values()))
    return (Outcome("", joined(trials["members"]), joined(trials["control"]), n_requested, measure="closeness"),)


def _dimension(distances: Floats) -> float:
    """Return the number of dimensions in which points with these distances to their two nearest others lie."""
    if (distances[:, 0] < _SAME).mean() > MOST_TWINS:
        raise NotComputableError("real patients repeat one another too often for a single copy to stand out")
    ratios = np.sort(np.log(distances[:, 1] / np.maximum(distances[:, 0], _SAME)))
    kept = int(0.9 * len(ratios))  # the largest come from gaps between clusters
    expected = -np.log1p(-np.arange(1, kept + 1) / len(ratios))
    squares = float(ratios[:kept] @ ratios[:kept])
    return float(ratios[:kept] @ expected) / squares if squares > 0 else 1.0


def _chance(to_synthetic: Floats, to_real: Floats, dimension: float, n_synthetic: int, n_real: int) -> Floats:
    ratio = np.where(to_real < _SAME, 1.0, to_synthetic / np.maximum(to_real, _SAME)) ** dimension
    return n_synthetic * ratio / (n_synthetic * ratio + n_real)
