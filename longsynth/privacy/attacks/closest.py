"""Whether a synthetic patient comes closer to one real patient than a fresh one could be expected to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longsynth.exceptions import NotComputableError
from longsynth.privacy.base import SIDES, Outcome, Release, Side, Trials, attack, joined
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.space import nearest
from longsynth.seeding import stream

Floats = NDArray[np.float64]

FEWEST_REAL = 20
MOST_TWINS = 0.01
CAUTION = 0.5
CLOSE_SHARE = 0.05
CLOSEST_SHARE = 0.01
NEIGHBOURS = 10
MOST_DIMENSIONS = 20.0
_SAME = 1e-6


class Crowd(NamedTuple):
    """Where real patients stand closest to one another.

    Attributes
    ----------
    distance : float
        Within which 5 % of them have another one.
    dimension : float
        In how many dimensions they differ there: the share that has another one grows with that power of the distance
        from 1 % to 5 %.
    """

    distance: float
    dimension: float


@attack(criterion="duplicates", title="A synthetic patient closer to one real patient than chance allows")
def closest(release: Release, knowledge: Knowledge, seed: int) -> tuple[Outcome, ...]:  # noqa: ARG001
    """Test for each patient whether the nearest synthetic patient is nearer than a fresh one could be expected to be.

    With ``d_S`` the distance from i to the nearest of n_S synthetic patients, ``d_R`` that to the nearest of n_R other
    real patients (train and holdout) or, if smaller, the distance within which 5 % of the real patients have another
    one, both between standardised `patient_features`, and m the number of dimensions in which patients differ locally:

        ``p(i) = n_S r^m / (n_S r^m + n_R)``, ``r = d_S / d_R``,

    the chance that the nearest of n_S fresh patients comes as close as ``r d_R``, where points fall as in a Poisson
    process. Adjusted by Holm for all targets, a small p shows a copy of that very patient, be it a single one: rates
    over patients cannot show that. m is estimated around each patient from the ten nearest real ones, and halved,
    since space around a lonely patient is less regular than that. For the same reason nobody counts as lonelier than
    the 5 %, or as living in more dimensions than they do: where levels keep patients apart by steps, the nearest real
    patient may be a step away although a fresh one of the same levels comes close.

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
    Levina, Bickel (2004), Maximum likelihood estimation of intrinsic dimension, with the correction of MacKay and
    Ghahramani (2005), http://www.inference.org.uk/mackay/dimension/.
    """
    everyone = {side: np.ones(release.side(side).n_patients, dtype=bool) for side in SIDES}
    rows = {side: release.targets(side, everyone[side], stream(seed, "closest", side)) for side in SIDES}
    if release.train.n_patients + release.holdout.n_patients < FEWEST_REAL:
        raise NotComputableError(f"it needs {FEWEST_REAL} real patients")
    trials: dict[Side, list[Trials]] = {side: [] for side in SIDES}
    for draw in range(len(release.synthetic)):
        points = release.points("synthetic", draw)
        sides = [release.points(side, draw) for side in SIDES]
        real = np.concatenate(sides)
        offsets = {"members": 0, "control": len(sides[0])}
        own = {side: rows[side] + offsets[side] for side in SIDES}
        to_real = {side: nearest(real[own[side]], real, NEIGHBOURS, own=own[side]) for side in SIDES}
        everybody = np.concatenate(list(to_real.values()))
        _check_twins(everybody)
        crowd = _crowd(everybody[:, 0])
        for side in SIDES:
            to_synthetic = nearest(real[own[side]], points, 1)[:, 0]
            chance = _chance(to_synthetic, to_real[side], crowd, len(points), len(real) - 1)
            trials[side].append(Trials(chance, rows[side], np.full(len(chance), draw)))
    n_requested = max(map(len, rows.values()))
    return (Outcome("", joined(trials["members"]), joined(trials["control"]), n_requested, measure="closeness"),)


def _check_twins(distances: Floats) -> None:
    if (distances[:, 0] < _SAME).mean() > MOST_TWINS:
        raise NotComputableError("real patients repeat one another too often for a single copy to stand out")


def _dimension(distances: Floats) -> Floats:
    """Return the number of dimensions in which points lie around each target, from the nearest ones."""
    distances = np.maximum(distances, _SAME)
    logs = np.log(distances[:, -1:] / distances[:, :-1]).sum(axis=1)
    return np.asarray((distances.shape[1] - 2) / np.maximum(logs, 1e-3))


def _crowd(closest_real: Floats) -> Crowd:
    """Return where real patients stand closest, from the distances of each to the nearest other."""
    nearest_few, near = np.maximum(np.quantile(closest_real, [CLOSEST_SHARE, CLOSE_SHARE]), _SAME)
    dimension = np.log(CLOSE_SHARE / CLOSEST_SHARE) / max(np.log(near / nearest_few), 1e-3)
    return Crowd(float(near), min(float(dimension), MOST_DIMENSIONS))


def _chance(to_synthetic: Floats, to_real: Floats, crowd: Crowd, n_synthetic: int, n_real: int) -> Floats:
    """Return the chance that the nearest of fresh patients comes as close; 1 for a patient with a real twin."""
    closest_real = to_real[:, 0]
    ratio = np.minimum(to_synthetic / np.maximum(np.minimum(closest_real, crowd.distance), _SAME), 1e3)
    powers = np.maximum(ratio, 1e-30) ** (CAUTION * np.minimum(_dimension(to_real), crowd.dimension))
    chance = n_synthetic * powers / (n_synthetic * powers + n_real)
    return np.where(closest_real < _SAME, 1.0, chance)
