"""What an attack is: a function of a release and an attacker's knowledge, always tried on members and on a control."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import NotComputableError
from longsynth.privacy.coded import Coded, coded, scaling_of
from longsynth.privacy.knowledge import PRESETS, Knowledge, preset
from longsynth.privacy.records import Records, records_of
from longsynth.privacy.space import Floats, standardised
from longsynth.registry import Registry

__all__ = [
    "ATTACKS", "PRESETS", "SIDES", "Attack", "Knowledge", "Outcome", "Release", "Trials", "attack", "joined",
    "not_assessed", "prepare_release", "preset", "targets_for",
]  # fmt: skip

Criterion = Literal["singling_out", "linkage", "inference", "membership", "duplicates"]
Measure = Literal["rate", "score", "closeness"]
Side = Literal["members", "control"]
SIDES: tuple[Side, Side] = ("members", "control")
DEFAULT_TARGETS = 1000
FEWEST_TARGETS = 200
MOST_COMPARED = 300_000_000
"""Targets times synthetic visits: above it fewer targets are attacked."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Release:
    """What was published, and the real patients on whom attacks on it are tried.

    Attributes
    ----------
    synthetic : tuple of Records
        One or more draws of one synthesizer.
    train : Records
        Members: the patients the synthesizer was made from.
    holdout : Records
        Control: patients of the same population it never saw.
    n_targets : int
        At most so many patients a side are attacked, drawn at random.
    member_targets, control_targets : ndarray of int, or None
        Rows of ``train`` and ``holdout`` that may be attacked (the most isolated ones, a stratum); None: all. The
        others stay in the population among whom a target must be found.
    made : dict
        What `once` has made; shared by all groups of targets.
    """

    synthetic: tuple[Records, ...]
    train: Records
    holdout: Records
    n_targets: int = DEFAULT_TARGETS
    member_targets: NDArray[np.int64] | None = None
    control_targets: NDArray[np.int64] | None = None
    made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` makes of the release whoever the targets are; made once for each key."""
        if key not in self.made:
            self.made[key] = make()
        return cast(T, self.made[key])

    def side(self, side: Side) -> Records:
        """Return ``train`` for "members" and ``holdout`` for "control"."""
        return self.train if side == "members" else self.holdout

    @property
    def coded_synthetic(self) -> tuple[Coded, ...]:
        """The draws on the scale that they have together."""
        scaling = self.once("scaling", lambda: scaling_of(self.synthetic))
        return self.once("coded draws", lambda: tuple(coded(draw, scaling) for draw in self.synthetic))

    @property
    def coded_real(self) -> dict[Side, Coded]:
        """Members and control on the scale of the draws."""
        scaling = self.coded_synthetic[0].scaling
        sides: dict[Side, Records] = {"members": self.train, "control": self.holdout}
        return self.once("coded real", lambda: {side: coded(records, scaling) for side, records in sides.items()})

    def points(self, whose: Side | Literal["synthetic"], draw: int) -> Floats:
        """Return whole patients as points on the scale of a draw, see `standardised`."""
        made = self.synthetic[draw]
        records = made if whose == "synthetic" else self.side(whose)
        return self.once(("points", whose, draw), lambda: standardised(records, made))

    def allowed(self, side: Side) -> NDArray[np.bool_]:
        """Return which patients of a side may be attacked, shape (N,)."""
        rows = self.member_targets if side == "members" else self.control_targets
        allowed = np.full(self.side(side).n_patients, rows is None)
        if rows is not None:
            allowed[rows] = True
        return allowed

    def targets(self, side: Side, eligible: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return rows of up to ``n_targets`` patients to attack, sorted.

        Parameters
        ----------
        side : {"members", "control"}
            Whose patients.
        eligible : ndarray of bool, shape (N,)
            Which of them have what the attack needs.
        rng : numpy.random.Generator
            For the draw.

        Raises
        ------
        NotComputableError
            If no patient is left.
        """
        rows = np.flatnonzero(eligible & self.allowed(side))
        if not rows.size:
            raise NotComputableError(f"none of the {side} has the visits or values that the attack needs")
        if len(rows) > self.n_targets:
            rows = np.sort(rng.choice(rows, self.n_targets, replace=False))
        return rows

    def only(self, member_targets: NDArray[np.int64] | None, control_targets: NDArray[np.int64] | None) -> Release:
        """Return the release with other targets."""
        return replace(self, member_targets=member_targets, control_targets=control_targets)


def prepare_release(
    synthetic: Cohort | Sequence[Cohort], train: Cohort, holdout: Cohort, n_targets: int = DEFAULT_TARGETS
) -> Release:
    """Return a release ready for attacks.

    Parameters
    ----------
    synthetic : Cohort or sequence of Cohort
        One or more draws under the schema of ``train``.
    train, holdout : Cohort
        Members and control, with no patient in common.
    n_targets : int
        At most so many targets a side.
    """
    draws = (synthetic,) if isinstance(synthetic, Cohort) else tuple(synthetic)
    return Release(tuple(map(records_of, draws)), records_of(train), records_of(holdout), n_targets)


def targets_for(synthetic: Sequence[Cohort]) -> int:
    """Return how many patients a side are attacked: 1,000, and fewer where there are many synthetic visits.

    Parameters
    ----------
    synthetic : sequence of Cohort
        The draws; every target is compared with all visits of each.

    Returns
    -------
    int
        Between 200 and 1,000: 1,000 up to 300,000 visits, 300 at a million.
    """
    n_visits = max((cohort.n_visits for cohort in synthetic), default=0)
    return int(np.clip(MOST_COMPARED // max(n_visits, 1), FEWEST_TARGETS, DEFAULT_TARGETS))


def _none() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Trials:
    """What became of the attacks on one side.

    Attributes
    ----------
    success : ndarray of float, shape (n,)
        1 where the attacker was right, else 0; for an outcome measured by scores, the score: higher = more likely a
        member; for one measured by closeness, the chance that a fresh synthetic patient comes as close.
    target : ndarray of int, shape (n,)
        The patient behind each: a row of the side's records, or for predicates of the synthetic draw. Trials of one
        patient are one cluster.
    draw : ndarray of int, shape (n,)
        Index of the synthetic draw.
    """

    success: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    target: NDArray[np.int64] = field(default_factory=_none)
    draw: NDArray[np.int64] = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.success)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one attack, or one part of it, came to.

    Attributes
    ----------
    part : str
        Which part of the attack, in a few words; "" if it has one only.
    members, control : Trials
        By side.
    n_requested : int
        Trials asked for a side; fewer where patients or predicates did not suffice.
    naive : float or None
        Success rate of an attacker who ignores whom the release resembles (guesses at random, or the most common).
    direct : float or None
        Success rate of an attacker without the release who uses only what is known of the target.
    measure : {"rate", "score", "closeness"}
        Whether ``success`` is 0 or 1, a score, or a p-value.
    reason : str or None
        Why it was not assessed; there are then no trials.
    """

    part: str
    members: Trials
    control: Trials
    n_requested: int
    naive: float | None = None
    direct: float | None = None
    measure: Measure = "rate"
    reason: str | None = None


def not_assessed(part: str, reason: str) -> Outcome:
    """Return the outcome of a part that could not be tried."""
    return Outcome(part, Trials(), Trials(), 0, reason=reason)


def joined(trials: Sequence[Trials]) -> Trials:
    """Return the trials of several draws or windows as one."""
    return Trials(*(np.concatenate([getattr(one, name) for one in trials]) for name in ("success", "target", "draw")))


AttackFunction = Callable[[Release, Knowledge, int], tuple[Outcome, ...]]


@dataclass(frozen=True)
class Attack:
    """An attack and what it tests.

    Attributes
    ----------
    name : str
        As users give it.
    criterion : str
        The question of the Article 29 Working Party that it answers, or membership, or duplicates.
    title : str
        What it does, in plain words, without a full stop.
    function : callable
        Of the release, the attacker's knowledge and a seed; returns one outcome a part. All its randomness comes from
        the seed; it looks neither at ids nor at the order of patients. Raises `NotComputableError` if no part can be
        tried.
    is_slow : bool
        It trains synthesizers; it is run only when named.
    """

    name: str
    criterion: Criterion
    title: str
    function: AttackFunction
    is_slow: bool = False


ATTACKS: Registry[Attack] = Registry("attack")


def attack(*, criterion: Criterion, title: str, is_slow: bool = False) -> Callable[[AttackFunction], AttackFunction]:
    """Register the function below as the attack of its name; arguments as the attributes of `Attack`."""

    def register(function: AttackFunction) -> AttackFunction:
        name = function.__name__  # type: ignore[attr-defined]
        ATTACKS.add(name, Attack(name, criterion, title, function, is_slow))
        return function

    return register
