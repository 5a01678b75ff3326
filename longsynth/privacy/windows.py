"""Windows of consecutive visits, and how near each synthetic patient comes to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from longsynth.privacy.coded import NOT_OBSERVED, Coded, Floats
from longsynth.privacy.knowledge import Knowledge, Which
from longsynth.privacy.ranked import Piece, Ranked

_BLOCK = 1 << 18
_TILE = 1 << 16  # a few arrays of so many numbers fit into the fast memory of a core
_ROWS = 8
_SAME = 1e6
SEVERAL = 2


@dataclass(frozen=True, eq=False)
class Windows:
    """What an attacker knows of n stretches of k visits; each part None or without columns where nothing is known.

    Attributes
    ----------
    patient : ndarray of int, shape (n,)
        Whose they are: rows of the records.
    channels : ndarray of int, shape (C,)
        Known channels.
    values : ndarray of float32, shape (n, k, C)
        Their coded values.
    gaps : ndarray of float32, shape (n, k - 1), or None
        Coded gaps between the visits.
    time : ndarray of float32, shape (n,), or None
        Coded time of the first visit.
    static : ndarray of float32, shape (n, S)
        Coded static values.
    static_columns : ndarray of int, shape (S,)
        Which static columns these are.
    """

    patient: NDArray[np.int64]
    channels: NDArray[np.int64]
    values: Floats
    gaps: Floats | None
    time: Floats | None
    static: Floats
    static_columns: NDArray[np.int64]

    @property
    def n_terms(self) -> int:
        """Number of differences that make up a distance."""
        n_times = 0 if self.gaps is None else self.gaps.shape[1]
        return int(np.prod(self.values.shape[1:])) + n_times + (self.time is not None) + self.static.shape[1]

    @property
    def has_value(self) -> NDArray[np.bool_]:
        """Whether any channel or static value of each window was observed, shape (n,)."""
        seen = (self.values != NOT_OBSERVED).any(axis=(1, 2))
        return np.asarray(seen | (self.static != NOT_OBSERVED).any(axis=1))

    def take(self, rows: NDArray[np.int64]) -> Windows:
        """Return some of the windows, shape of ``rows`` in place of (n,)."""
        gaps, time = (None if part is None else part[rows] for part in (self.gaps, self.time))
        return replace(
            self, patient=self.patient[rows], values=self.values[rows], gaps=gaps, time=time, static=self.static[rows]
        )


@dataclass(frozen=True, eq=False)
class Choice:
    """Among which stretches the nearest one is looked for.

    Attributes
    ----------
    stretches : ndarray of int
        By first visit, one or more.
    hidden : int or None
        A static column that does not count.
    """

    stretches: NDArray[np.int64]
    hidden: int | None = None

    def penalty(self, n: int) -> Floats:
        """Return 0 for the stretches and infinity for all others, shape (n,)."""
        penalty = np.full(n, np.inf, dtype=np.float32)
        penalty[self.stretches] = 0
        return penalty


def chosen_starts(
    n_visits: NDArray[np.int64], length: int, which: Which, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose where in their records patients are observed.

    Parameters
    ----------
    n_visits : ndarray of int, shape (n,)
        Visits of each patient.
    length : int
        Consecutive visits needed.
    which : {"first", "random", "last", "all"}
        As in `Knowledge`; "all" takes the first and the last place.
    rng : numpy.random.Generator
        For "random".

    Returns
    -------
    index : ndarray of int, shape (m,)
        Which of the n; those with fewer than ``length`` visits are left out.
    first : ndarray of int, shape (m,)
        Number of the first visit in the patient's record, from 0.
    """
    free = n_visits - length
    drawn = rng.random(len(n_visits))
    if which == "all":
        shares = np.linspace(0, 1, SEVERAL)
        long_enough = np.flatnonzero(free >= 0)
        places = np.rint(shares * free[long_enough, None]).astype(np.int64)
        is_new = np.diff(places, axis=1, prepend=-1) > 0
        return long_enough[np.nonzero(is_new)[0]], places[is_new]
    index = np.flatnonzero(free >= 0)
    room = free[index]
    first = {"first": np.zeros_like(room), "last": room, "random": (drawn[index] * (room + 1)).astype(np.int64)}
    return index, first[which]


def windows_at(
    coded: Coded,
    patient: NDArray[np.int64],
    first: NDArray[np.int64],
    knowledge: Knowledge,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    channels: NDArray[np.int64] | None = None,
    with_times: bool = True,
    static: NDArray[np.int64] | None = None,
) -> Windows:
    """Return what an attacker knows of stretches of visits, with the errors of that knowledge.

    Parameters
    ----------
    coded : Coded
        The targets' records.
    patient, first : ndarray of int, shape (n,)
        Whose, and from which visit of the patient on; each has k visits from there.
    knowledge : Knowledge
        Gives k, times, jitter and noise.
    rng : numpy.random.Generator
        For jitter and noise.
    k : int, optional
        Other than ``knowledge.k``; 0: the static row alone.
    channels : ndarray of int, optional
        Known channels. None: as in ``knowledge``.
    with_times : bool
        False: nothing of the times is known here.
    static : ndarray of int, optional
        Known static columns. None: none.
    """
    k = knowledge.k if k is None else k
    names = list(coded.records.cohort.schema.channels)
    if channels is None:
        channels = np.array([names.index(name) for name in knowledge.known_channels(coded.records.cohort.schema)], int)
    static = np.zeros(0, np.int64) if static is None else static
    visit = coded.records.start[patient][:, None] + first[:, None] + np.arange(k)
    values = np.moveaxis(coded.values[channels][:, visit], 0, 2)
    static_values = coded.static[static][:, patient].T
    if knowledge.value_noise:
        values = _noisy(values, coded.is_number[channels], knowledge.value_noise, rng)
        static_values = _noisy(static_values, coded.static_is_number[static], knowledge.value_noise, rng)
    gaps, time = None, None
    if with_times and k and knowledge.time != "none":
        times = coded.records.time[visit]
        if knowledge.time == "jittered":
            times = times + rng.uniform(-knowledge.jitter, knowledge.jitter, times.shape)
        gaps = (np.diff(times, axis=1) / coded.scaling.gap).astype(np.float32)
        time = coded.time[visit[:, 0]] if knowledge.time == "exact" else None
    return Windows(patient, channels, np.ascontiguousarray(values), gaps, time, static_values, static)


def patient_distances(windows: Windows, coded: Coded) -> Floats:
    """Return how far each of N patients is from each of n windows.

    ``D(w, s) = min_v d(w, v)`` over the windows v of k consecutive visits of patient s, with ``d`` the mean over all
    known values, gaps, visit time and static values of ``min(|a - b| / width, 1)`` for numbers and ordinal levels,
    ``1[a != b]`` for other levels, 0 where both are missing and 1 where one is.

    Parameters
    ----------
    windows : Windows
        n windows.
    coded : Coded
        N patients on the same scale.

    Returns
    -------
    ndarray of float32, shape (n, N)
        In [0, 1], 0 = equal. A patient with fewer than k visits is at distance 1.

    Raises
    ------
    ValueError
        If the windows hold nothing.
    """
    if not windows.n_terms:
        raise ValueError("windows without a value, a time or a static attribute have no distance")
    k, n_patients, made = windows.values.shape[1], coded.records.n_patients, coded.ranked
    result = np.empty((len(windows.patient), n_patients), dtype=np.float32)
    place, n_rows = np.argsort(made.patient), max(_ROWS, _TILE // max(n_patients, 1))
    for block in _blocks(len(result), n_rows):
        total = np.full((block.stop - block.start, n_patients), windows.n_terms if k else 0, dtype=np.float32)
        for piece in made.pieces(k, _TILE // n_rows) if k else ():
            least = total[:, piece.patients]
            np.minimum(least, _total(windows, block, made, piece), out=least)
        for i, column in enumerate(windows.static_columns):
            total += _apart(made.static[column], windows.static[block, i])
        total /= np.float32(windows.n_terms)
        result[block] = np.minimum(total, np.float32(1), out=total).take(place, axis=1)
    return result


def nearest_patients(distances: Floats, m: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the m nearest patients to each window, ties broken at random.

    Parameters
    ----------
    distances : ndarray of float32, shape (n, N)
        From `patient_distances`.
    m : int
        How many, at least 1.
    rng : numpy.random.Generator
        For ties: one random order of the patients for each window. Generators in the same state break ties alike.

    Returns
    -------
    ndarray of int, shape (n, min(m, N))
        Patients in no particular order. Distances that differ by less than 1e-6 may be ties.
    """
    m = min(m, distances.shape[1])
    nearest = np.empty((len(distances), m), dtype=np.int64)
    for i, row in enumerate(distances):
        keys = np.rint(row * _SAME) + rng.random(len(row))
        nearest[i] = keys.argmin() if m == 1 else np.argpartition(keys, m - 1)[:m]
    return nearest


def nearest_stretches(
    windows: Windows, coded: Coded, choices: list[Choice], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the stretch of k visits nearest to each of n windows, ties broken at random.

    Parameters
    ----------
    windows : Windows
        n windows.
    coded : Coded
        Whose stretches.
    choices : list of Choice
        Among which stretches, once or more often.
    rng : numpy.random.Generator
        For ties.

    Returns
    -------
    ndarray of int, shape (len(choices), n)
        First visits.
    """
    n, n_visits, made = len(windows.patient), len(coded.time), coded.ranked
    n_rows = max(1, min(n, _BLOCK // max(n_visits, 1)))
    pieces = made.pieces(windows.values.shape[1], max(1, _TILE // n_rows))
    penalties = [choice.penalty(n_visits)[made.visit] for choice in choices]
    nearest = np.empty((len(choices), n), dtype=np.int64)
    apart = np.empty((len(choices), n_rows, n_visits), dtype=np.float32)
    for block in _blocks(n, n_rows):
        table = apart[:, : block.stop - block.start]
        least = np.empty((len(pieces), *table.shape[:2]), dtype=np.float32)
        for i, piece in enumerate(pieces):
            some = table[:, :, piece.visits[0]]
            _put_choices(some, windows, block, made, piece, choices, penalties)
            least[i] = some.min(axis=2)
        nearest[:, block] = _drawn(table, least, pieces, made, np.float32(windows.n_terms / _SAME), rng)
    return nearest


def all_stretches(coded: Coded, k: int) -> NDArray[np.int64]:
    """Return the first visit of each stretch of k visits of one patient, sorted by patient."""
    n = len(coded.time) - k + 1
    return np.flatnonzero(coded.patient[: max(n, 0)] == coded.patient[k - 1 :])


def _blocks(n: int, n_rows: int) -> list[slice]:
    """Return slices of so many of n rows."""
    return [slice(i, min(i + n_rows, n)) for i in range(0, n, n_rows)]


def _total(windows: Windows, block: slice, made: Ranked, piece: Piece) -> Floats:
    """Return the sum of differences in values and times, (rows, patients of the piece)."""
    values = windows.values[block]
    total = np.zeros((len(values), piece.patients.stop - piece.patients.start), dtype=np.float32)
    for t, visits in enumerate(piece.visits):
        for i, channel in enumerate(windows.channels):
            total += _apart(made.values[channel, visits], values[:, t, i])
        if windows.gaps is not None and t < len(piece.visits) - 1:
            total += _apart(made.gap[visits], windows.gaps[block, t])
    if windows.time is not None:
        total += _apart(made.time[piece.visits[0]], windows.time[block])
    return total


def _put_choices(
    table: Floats,
    windows: Windows,
    block: slice,
    made: Ranked,
    piece: Piece,
    choices: list[Choice],
    penalties: list[Floats],
) -> None:
    """Put the sums of all differences that count for each choice into a table, (choices, rows, patients)."""
    total = _total(windows, block, made, piece)
    columns = windows.static_columns.tolist()
    apart = {j: _apart(made.static[j, piece.patients], windows.static[block, i]) for i, j in enumerate(columns)}
    sums: dict[int | None, Floats] = {}
    for row, choice, penalty in zip(table, choices, penalties, strict=True):
        if choice.hidden not in sums:
            known = [apart[j] for j in columns if j != choice.hidden]
            sums[choice.hidden] = total + sum(known[1:], known[0]) if known else total
        np.add(sums[choice.hidden], penalty[piece.visits[0]], out=row)


def _drawn(
    table: Floats, least: Floats, pieces: list[Piece], made: Ranked, width: np.float32, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return a visit with the least number of each row, ties broken at random, (choices, rows)."""
    drawn = np.empty(table.shape[:2], dtype=np.int64)
    bounds = least.min(axis=0) + width
    for place in np.ndindex(drawn.shape):
        row, bound = table[place], bounds[place]
        near = [pieces[i].visits[0] for i in np.flatnonzero(least[:, *place] <= bound)]
        ties = np.concatenate([visits.start + np.flatnonzero(row[visits] <= bound) for visits in near])
        drawn[place] = np.sort(made.visit[ties])[rng.integers(len(ties))]
    return drawn


def _apart(column: Floats, known: Floats) -> Floats:
    """Return ``min(|column - known|, 1)`` for each pair, shape (len(known), len(column))."""
    apart = column - known[:, None]
    np.abs(apart, out=apart)
    return np.minimum(apart, _ones(len(column)), out=apart)  # with an array of ones four times as fast as with 1


@lru_cache(maxsize=64)
def _ones(n: int) -> Floats:
    return np.ones(n, dtype=np.float32)


def _noisy(values: Floats, is_number: NDArray[np.bool_], noise: float, rng: np.random.Generator) -> Floats:
    """Add Gaussian noise to observed numbers; columns last."""
    error = rng.normal(0, noise, values.shape) * (is_number & (values != NOT_OBSERVED))
    return (values + error).astype(np.float32)
