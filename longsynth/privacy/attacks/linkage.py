"""Whether two parts of one patient's record can be linked through the synthetic cohort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longsynth.exceptions import NotComputableError
from longsynth.privacy.base import SIDES, Outcome, Release, Side, Trials, attack, joined, not_assessed
from longsynth.privacy.coded import Coded, Floats
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.windows import Windows, chosen_starts, nearest_patients, patient_distances, windows_at
from longsynth.seeding import stream

CANDIDATES = 50
_NEAREST = 1
_PATIENTS = 1024  # at a time, so that all candidates of a target fit into fast memory
_SAME = 1e6


@dataclass(frozen=True, eq=False)
class Halves:
    """Two disjoint parts of the records of n targets: what two sources hold of the same patients."""

    one: Windows
    other: Windows


Places = tuple[NDArray[np.int64], NDArray[np.int64]]
Cut = Callable[[Coded, Places, Knowledge, np.random.Generator], Halves]


@attack(criterion="linkage", title="Two parts of one record linked through the synthetic cohort")
def linkage(release: Release, knowledge: Knowledge, seed: int) -> tuple[Outcome, ...]:
    """Link two disjoint parts A and B of a patient's record through the synthetic cohort.

    Three ways to cut a record, each with two attacks:

    - early and late visits: k visits, and the k visits after them;
    - two groups of channels: every second known channel at k visits (with what is known of the times), and the others
      at the same visits (without times);
    - static row and visits: the known static attributes, and k visits.

    Same nearest patient: the attacker names the synthetic patient nearest to A and the one nearest to B, and is right
    if it is the same. Candidates: the attacker holds A of one patient and B of N = 50 patients (fewer if a side has
    fewer), among them this one; he picks ``argmin_j min_s [D(A, s) + D(B_j, s)]`` over the synthetic patients s, with
    ``D`` as in `patient_distances`. Naive: a synthetic patient drawn at random for A and one for B, the same in 1 of
    n_s cases; 1/N for candidates. Direct: without the release, the candidate whose B is most like A
    itself; 1/N where the parts share no column.

    Parameters
    ----------
    release : Release
        Draws, members and control.
    knowledge : Knowledge
        ``static`` is used by the third cut only.
    seed : int
        Targets, windows, noise, ties and candidates.

    Returns
    -------
    tuple of Outcome
        Two parts a cut; higher success rates of members than of the control are leaks.

    Raises
    ------
    NotComputableError
        If no record can be cut.

    Notes
    -----
    Parts resemble each other in fresh patients too, so the control succeeds more often than the naive attacker; only
    what members have beyond the control is leaked. With one channel even a verbatim copy succeeds rarely: see also
    duplicates and membership. Ties are broken in one random order for both parts, so that a synthetic patient tied in
    both is found in both.

    References
    ----------
    Article 29 Working Party (2014), Opinion 05/2014 on anonymisation techniques. Giomi et al. (2023), A unified
    framework for quantifying privacy risk in synthetic data, doi:10.56553/popets-2023-0055.
    """
    outcomes: list[Outcome] = []
    for name, (cut, length, reason) in _cuts(release, knowledge).items():
        if reason is not None:
            outcomes.append(not_assessed(name, reason))
            continue
        try:
            outcomes.extend(_attack_cut(name, cut, length, release, knowledge, seed))
        except NotComputableError as error:
            outcomes.append(not_assessed(name, str(error)))
    if all(outcome.reason is not None for outcome in outcomes):
        raise NotComputableError("; ".join(f"{outcome.part}: {outcome.reason}" for outcome in outcomes))
    return tuple(outcomes)


def _cuts(release: Release, knowledge: Knowledge) -> dict[str, tuple[Cut, int, str | None]]:
    """Return each cut with the consecutive visits it needs, and why it cannot be made if it cannot."""
    schema = release.train.cohort.schema
    n_channels = len(knowledge.known_channels(schema))
    no_channel = "the attacker knows no channel" if not n_channels else None
    one_channel = "the attacker knows fewer than two channels" if n_channels < 2 else None
    no_static = None if knowledge.known_static(schema) else "the attacker knows no static attribute"
    return {
        "early and late visits": (_early_and_late, 2 * knowledge.k, no_channel),
        "two groups of channels": (_channel_groups, knowledge.k, one_channel),
        "static row and visits": (_static_and_visits, knowledge.k, no_channel or no_static),
    }


def _early_and_late(coded: Coded, places: Places, knowledge: Knowledge, rng: np.random.Generator) -> Halves:
    patient, first = places
    early = windows_at(coded, patient, first, knowledge, rng)
    return Halves(early, windows_at(coded, patient, first + knowledge.k, knowledge, rng))


def _channel_groups(coded: Coded, places: Places, knowledge: Knowledge, rng: np.random.Generator) -> Halves:
    names = list(coded.records.cohort.schema.channels)
    known = np.array([names.index(name) for name in knowledge.known_channels(coded.records.cohort.schema)])
    one = windows_at(coded, *places, knowledge, rng, channels=known[::2])
    return Halves(one, windows_at(coded, *places, knowledge, rng, channels=known[1::2], with_times=False))


def _static_and_visits(coded: Coded, places: Places, knowledge: Knowledge, rng: np.random.Generator) -> Halves:
    schema = coded.records.cohort.schema
    static = np.array([list(schema.static).index(name) for name in knowledge.known_static(schema)])
    one = windows_at(coded, *places, knowledge, rng, k=0, static=static)
    return Halves(one, windows_at(coded, *places, knowledge, rng))


def _attack_cut(
    name: str, cut: Cut, length: int, release: Release, knowledge: Knowledge, seed: int
) -> tuple[Outcome, Outcome]:
    halves = {
        side: _halves(cut, length, release, side, knowledge, stream(seed, "linkage", name, side)) for side in SIDES
    }
    n_candidates = min(CANDIDATES, *(len(np.unique(half.one.patient)) for half in halves.values()))
    candidates = {
        side: _candidates(half.one.patient, n_candidates, stream(seed, "linkage", name, side, "candidates"))
        for side, half in halves.items()
    }
    nearest: dict[Side, list[Trials]] = {side: [] for side in SIDES}
    picked: dict[Side, list[Trials]] = {side: [] for side in SIDES}
    for side, half in halves.items():
        for draw, synthetic in enumerate(release.coded_synthetic):
            one, other = (patient_distances(part, synthetic) for part in (half.one, half.other))
            ties = ("linkage", name, side, "ties", draw)
            same = _nearest_in_both(one, other, seed, ties)
            nearest[side].append(_trials(same, half, draw))
            right = _is_picked(one, other, candidates[side], stream(seed, *ties, "candidates"))
            picked[side].append(_trials(right, half, draw))
    requested = release.n_targets * len(release.synthetic)
    parts = (f"{name}, same nearest patient", f"{name}, among candidates")
    trials = [joined(one[side]) for one in (nearest, picked) for side in SIDES]
    same_nearest = Outcome(parts[0], trials[0], trials[1], requested, naive=_naive(release))
    if n_candidates < 2:
        return same_nearest, not_assessed(parts[1], "a side has fewer than two targets")
    direct = np.concatenate([_direct(halves[side], candidates[side], stream(seed, "linkage", side)) for side in SIDES])
    among = Outcome(parts[1], trials[2], trials[3], requested, 1 / n_candidates, float(direct.mean()))
    return same_nearest, among


def _halves(
    cut: Cut, length: int, release: Release, side: Side, knowledge: Knowledge, rng: np.random.Generator
) -> Halves:
    """Return both parts of the records of the targets of one side; each part holds an observed value."""
    coded = release.coded_real[side]
    places = chosen_starts(coded.records.n_visits, length, knowledge.which, rng)
    halves = cut(coded, places, knowledge, rng)
    has_values = halves.one.has_value & halves.other.has_value
    eligible = np.zeros(coded.records.n_patients, dtype=bool)
    eligible[places[0][has_values]] = True
    targets = release.targets(side, eligible, rng)
    kept = np.flatnonzero(has_values & np.isin(places[0], targets))
    return Halves(halves.one.take(kept), halves.other.take(kept))


def _trials(is_right: NDArray[np.bool_], halves: Halves, draw: int) -> Trials:
    patient = halves.one.patient
    return Trials(is_right.astype(np.float64), patient, np.full(len(patient), draw))


def _nearest_in_both(one: Floats, other: Floats, seed: int, ties: tuple[str | int, ...]) -> NDArray[np.bool_]:
    """Return whether the synthetic patient nearest to each A is the one nearest to its B, shape (n,)."""
    first, second = (nearest_patients(distances, _NEAREST, stream(seed, *ties)) for distances in (one, other))
    return (first[:, :, None] == second[:, None, :]).any(axis=(1, 2))


def _naive(release: Release) -> float:
    """Return how often one patient drawn at random for A is the one drawn for B."""
    return float(np.mean([1 / draw.n_patients for draw in release.synthetic]))


def _candidates(patient: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return for each window itself, then windows of n - 1 other patients drawn at random, shape (len(patient), n)."""
    people, position = np.unique(patient, return_inverse=True)
    n_windows = np.bincount(position)
    first_window = np.searchsorted(patient, people)
    chosen = np.empty((len(patient), n), dtype=np.int64)
    for i, own in enumerate(position):
        others = rng.choice(len(people) - 1, n - 1, replace=False)
        others += others >= own
        chosen[i, 0] = i
        chosen[i, 1:] = first_window[others] + (rng.random(n - 1) * n_windows[others]).astype(np.int64)
    return chosen


def _is_picked(
    one: Floats, other: Floats, candidates: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return whether the own B is the candidate that fits A best through one synthetic patient, shape (n,)."""
    fit = np.full(candidates.shape, np.inf, dtype=np.float32)
    for start in range(0, one.shape[1], _PATIENTS):
        first, second = (np.ascontiguousarray(part[:, start : start + _PATIENTS]) for part in (one, other))
        for i, row in enumerate(candidates):
            np.minimum(fit[i], (first[i] + second[row]).min(axis=1), out=fit[i])
    return _is_first_least(fit, rng)


def _direct(halves: Halves, candidates: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return whether the own B is the candidate most like A itself, by chance where they share no column."""
    one, other = halves.one, halves.other
    if not np.array_equal(one.channels, other.channels) or one.values.shape != other.values.shape:
        return _is_first_least(np.zeros(candidates.shape, dtype=np.float32), rng)
    apart = [
        np.minimum(np.abs(other.values[row] - one.values[i]), 1).mean(axis=(1, 2)) for i, row in enumerate(candidates)
    ]
    return _is_first_least(np.stack(apart), rng)


def _is_first_least(table: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return whether the first column is the least of each row, ties broken at random."""
    return (np.rint(table * _SAME) + rng.random(table.shape)).argmin(axis=1) == 0
