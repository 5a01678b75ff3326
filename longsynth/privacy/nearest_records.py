"""Distances of synthetic patients to the nearest real ones: a smoke alarm, never a pass."""

from __future__ import annotations

import numpy as np

from longsynth.privacy.base import SIDES, Release
from longsynth.privacy.space import nearest
from longsynth.seeding import stream

_SAME = 1e-6


def nearest_records(release: Release, seed: int) -> dict[str, float]:
    """Return how near synthetic patients come to members and to control patients, as diagnostics.

    Parameters
    ----------
    release : Release
        Draws, members and control; up to ``n_targets`` synthetic patients of the first draw are looked at.
    seed : int
        Of sub-samples.

    Returns
    -------
    dict of str to float
        - ``dcr_share``: ``P(d(s, R) < d(s, H)) + P(d(s, R) = d(s, H)) / 2`` over synthetic patients s, with members R
          and control patients H sub-sampled to equal numbers; 0.5 without a leak, 1 for a copy.
        - ``nndr_members``, ``nndr_control``: the median over s of the ratio of the distances to the nearest and the
          second nearest member, and control patient; lower among members for a copy.

    Notes
    -----
    Both are averages over synthetic patients: 10 % of verbatim copies move ``dcr_share`` by about 0.05 only. A value
    near 0.5 is no evidence of privacy.

    References
    ----------
    Yao et al. (2025), The DCR delusion, https://arxiv.org/abs/2505.01524.
    """
    rng, points = stream(seed, "nearest records"), release.points("synthetic", 0)
    points = points[np.sort(rng.permutation(len(points))[: release.n_targets])]
    sides = [release.points(side, 0) for side in SIDES]
    n = min(map(len, sides))
    sides = [side[np.sort(rng.permutation(len(side))[:n])] for side in sides]
    if n < 2:
        return {}
    members, control = (nearest(points, side, 2) for side in sides)
    nearer = members[:, 0] - control[:, 0]
    share = float((nearer < -_SAME).mean() + (np.abs(nearer) <= _SAME).mean() / 2)
    ratios = [float(np.median(side[:, 0] / np.maximum(side[:, 1], _SAME))) for side in (members, control)]
    return {"dcr_share": share, "nndr_members": ratios[0], "nndr_control": ratios[1]}
