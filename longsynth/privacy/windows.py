"""Windows of consecutive visits, and how near each synthetic patient comes to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from longsynth.privacy.coded import NOT_OBSERVED, Coded, Floats
from longsynth.privacy.knowledge import Knowledge, Which

_BLOCK = 1 << 18
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
        places = [np.unique(np.rint(shares * free[i])).astype(np.int64) for i in long_enough]
        return np.repeat(long_enough, list(map(len, places))), np.concatenate([*places, np.zeros(0, np.int64)])
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
    result = np.zeros((len(windows.patient), coded.records.n_patients), dtype=np.float32)
    for block in _blocks(len(result), max(len(coded.time), coded.records.n_patients)):
        if windows.values.shape[1]:
            result[block] = _least_by_patient(_totals(windows, block, coded), windows, coded)
        for i, column in enumerate(windows.static_columns):
            result[block] += _apart(coded.static[column], windows.static[block, i])
    return np.minimum(result / np.float32(windows.n_terms), np.float32(1))


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
        nearest[i] = np.argpartition(keys, m - 1)[:m]
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
    nearest = np.empty((len(choices), len(windows.patient)), dtype=np.int64)
    for block in _blocks(len(windows.patient), len(coded.time)):
        total = _totals(windows, block, coded)
        static = [_apart(coded.static[j], windows.static[block, i]) for i, j in enumerate(windows.static_columns)]
        patient = coded.patient[: total.shape[1]]
        for chosen, choice in zip(nearest[:, block], choices, strict=True):
            apart = total + choice.penalty(total.shape[1])
            known = [one for one, column in zip(static, windows.static_columns, strict=True) if column != choice.hidden]
            if known:
                apart += np.stack(known).sum(axis=0)[:, patient]
            least = apart.min(axis=1) + np.float32(windows.n_terms / _SAME)
            for i, row in enumerate(apart):
                ties = np.flatnonzero(row <= least[i])
                chosen[i] = ties[rng.integers(len(ties))]
    return nearest


def all_stretches(coded: Coded, k: int) -> NDArray[np.int64]:
    """Return the first visit of each stretch of k visits of one patient, sorted by patient."""
    n = len(coded.time) - k + 1
    return np.flatnonzero(coded.patient[: max(n, 0)] == coded.patient[k - 1 :])


def _blocks(n: int, width: int) -> list[slice]:
    """Return slices of n rows such that so many numbers a row fit into fast memory."""
    rows = max(1, _BLOCK // max(width, 1))
    return [slice(i, min(i + rows, n)) for i in range(0, n, rows)]


def _least_by_patient(total: Floats, windows: Windows, coded: Coded) -> Floats:
    """Return the least total over each patient's stretches, all terms for patients without one; (rows, N)."""
    k = windows.values.shape[1]
    result = np.full((len(total), coded.records.n_patients), windows.n_terms, dtype=np.float32)
    long_enough = coded.records.n_visits >= k
    if long_enough.any():
        total[:, coded.patient[: total.shape[1]] != coded.patient[k - 1 :]] = windows.n_terms
        result[:, long_enough] = np.minimum.reduceat(total, coded.records.start[:-1][long_enough], axis=1)
    return result


def _totals(windows: Windows, block: slice, coded: Coded) -> Floats:
    """Return the sum of differences in values and times for each visit as the first one, (rows, V - k + 1)."""
    values = windows.values[block]
    n, k, _ = values.shape
    n_starts = max(len(coded.time) - k + 1, 0)
    total = np.zeros((n, n_starts), dtype=np.float32)
    for t in range(k):
        for i, channel in enumerate(windows.channels):
            total += _apart(coded.values[channel, t : t + n_starts], values[:, t, i])
        if windows.gaps is not None and t < k - 1:
            total += _apart(coded.gap[t : t + n_starts], windows.gaps[block, t])
    if windows.time is not None:
        total += _apart(coded.time[:n_starts], windows.time[block])
    return total


def _apart(column: Floats, known: Floats) -> Floats:
    """Return ``min(|column - known|, 1)`` for each pair, shape (len(known), len(column))."""
    apart = column - known[:, None]
    np.abs(apart, out=apart)
    return np.minimum(apart, np.ones_like(column), out=apart)  # with an array of ones four times as fast as with 1


def _noisy(values: Floats, is_number: NDArray[np.bool_], noise: float, rng: np.random.Generator) -> Floats:
    """Add Gaussian noise to observed numbers; columns last."""
    error = rng.normal(0, noise, values.shape) * (is_number & (values != NOT_OBSERVED))
    return (values + error).astype(np.float32)
