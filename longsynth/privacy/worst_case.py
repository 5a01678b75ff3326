"""Groups of patients who are easier to recognise than the average, each with control patients of the same kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longsynth.privacy.base import SIDES, Release
from longsynth.privacy.coded import static_columns
from longsynth.privacy.space import nearest
from longsynth.schema.types import NUMERIC_KINDS
from longsynth.seeding import stream

Integers = NDArray[np.int64]

ISOLATED_SHARE = 0.05
FEWEST_ISOLATED = 20
RARE_SHARE = 0.05
_NEIGHBOURS = 5
_MOST_NEIGHBOURS = 10_000


def worst_cases(release: Release, seed: int) -> dict[str, Release]:
    """Return the release with only the patients of each group as targets.

    Parameters
    ----------
    release : Release
        Draws, members and control.
    seed : int
        For a sub-sample of very large cohorts.

    Returns
    -------
    dict of str to Release
        - "isolated": the 5 % of members (at least 20) furthest from the fifth nearest member, and the control patients
          at least as far away from the members as they.
        - "rare": patients with a static level, or an event type, that at most 5 % of the members have.

        A group without members is left out. One without control patients stays, and cannot be assessed.
    """
    groups = {"isolated": _isolated(release, seed), "rare": _rare(release)}
    return {name: release.only(*targets) for name, targets in groups.items() if len(targets[0])}


def _isolated(release: Release, seed: int) -> tuple[Integers, Integers]:
    members, control = (release.points(side, 0) for side in SIDES)
    among = np.arange(len(members))
    if len(among) > _MOST_NEIGHBOURS:
        among = np.sort(stream(seed, "isolated").choice(among, _MOST_NEIGHBOURS, replace=False))
    place = np.full(len(members), -1)
    place[among] = np.arange(len(among))
    n = min(_NEIGHBOURS, len(among) - 1)
    if n < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    from_members = nearest(members, members[among], n, own=place)[:, -1]
    n_isolated = min(max(round(ISOLATED_SHARE * len(members)), FEWEST_ISOLATED), len(members))
    limit = np.sort(from_members)[-n_isolated]
    from_control = nearest(control, members[among], n)[:, -1]
    return np.flatnonzero(from_members >= limit), np.flatnonzero(from_control >= limit)


def _rare(release: Release) -> tuple[Integers, Integers]:
    schema = release.train.cohort.schema
    names = release.train.static_names
    found = [np.zeros(side.n_patients, dtype=bool) for side in (release.train, release.holdout)]
    for i, column in enumerate(static_columns(schema)):
        if column.kind in NUMERIC_KINDS and names[i] != "event.type":
            continue
        levels, counts = np.unique(release.train.static[:, i], return_counts=True)
        rare = levels[(counts <= RARE_SHARE * release.train.n_patients) & ~np.isnan(levels)]
        for side, records in enumerate((release.train, release.holdout)):
            found[side] |= np.isin(records.static[:, i], rare)
    return np.flatnonzero(found[0]), np.flatnonzero(found[1])
