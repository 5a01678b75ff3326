"""What a differentially private fit may cost, and the account of what it did cost.

The unit is one patient: static row, all visits and terminal event. Two cohorts are neighbours if one has one patient
more. Smaller epsilon is stronger privacy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from typing import Any

from longsynth.exceptions import ConfigError, PrivacyError

SMALLER_IS_STRONGER = "Smaller epsilon means stronger privacy."
OUTSIDE = "Reports that compare with the real patients are outside this guarantee: keep them internal."
HEADS = ("what", "mechanism", "sensitivity", "noise multiplier", "sample rate", "steps", "epsilon so far")
ANEW = "from the start with an empty work_dir (on the command line: another output folder)"
LEAST_DELTA = 1e-12
Accountant = Callable[[list[tuple[float, float, int]], float], float]


def rounded_up(epsilon: float) -> float:
    """An epsilon to name in a remedy: three decimals, and no less than the exact one."""
    return math.ceil(1000 * epsilon) / 1000


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ConfigError(f"{name} must be a number. {SMALLER_IS_STRONGER}")


@dataclass(frozen=True)
class PrivacyBudget:
    """The most that a fit may tell about any one patient, as (epsilon, delta) differential privacy.

    Parameters
    ----------
    epsilon : float
        Above 0. Smaller is stronger: about 1 is strong, 3 moderate, 10 weak.
    delta : float
        Probability that the bound may fail; at most 1 / (10 n) for n patients, and set without looking at them. At
        least 1e-12: less is lost in the numerics of the accountant.
    max_visits : int or None
        Contribution bound: of each patient only the first ``max_visits`` visits are used, or fewer where noisy counts
        say that nearly all records are less than half as long. None: a bound is chosen from these counts, and paid for.

    Raises
    ------
    PrivacyError
        If a value is outside its range or delta is missing.
    ConfigError
        If a value is no number, or delta is smaller than can be computed with.

    Examples
    --------
    >>> PrivacyBudget(epsilon=3, delta=1e-6)
    PrivacyBudget(epsilon=3.0, delta=1e-06, max_visits=None)
    """

    epsilon: float
    delta: float | None = None
    max_visits: int | None = None

    def __post_init__(self) -> None:
        _check_number("epsilon", self.epsilon)
        if not 0 < self.epsilon < float("inf"):
            raise PrivacyError(f"epsilon must be above 0 and finite. {SMALLER_IS_STRONGER}")
        if self.delta is None:
            raise PrivacyError("delta is missing: give one of at most 1 / (10 n) for n patients, such as 1e-6")
        _check_number("delta", self.delta)
        if not 0 < self.delta < 0.1:
            raise PrivacyError("delta must be above 0 and at most 1 / (10 n) for n patients, such as 1e-6")
        if self.delta < LEAST_DELTA:
            raise ConfigError(f"delta is too small to be computed with; give {LEAST_DELTA:g} or more, such as 1e-9")
        object.__setattr__(self, "epsilon", float(self.epsilon))  # JSON cannot hold the numbers of other libraries
        object.__setattr__(self, "delta", float(self.delta))
        if self.max_visits is not None:
            if isinstance(self.max_visits, bool) or not isinstance(self.max_visits, Integral) or self.max_visits < 1:
                raise PrivacyError("max_visits must be a whole number of 1 or more")
            object.__setattr__(self, "max_visits", int(self.max_visits))

    @property
    def allowed_delta(self) -> float:
        """The delta, which a budget always has."""
        assert self.delta is not None
        return self.delta


@dataclass(frozen=True)
class Spend:
    """One use of the patients' data.

    Attributes
    ----------
    what : str
        What was released.
    mechanism : str
        ``Gaussian``, or ``subsampled Gaussian`` for steps on Poisson samples of patients.
    sensitivity : float
        Most that one patient changes the sum before noise, as L2 norm.
    noise_multiplier : float
        Standard deviation of the noise over the sensitivity.
    sample_rate : float
        Probability that a patient takes part in a step; 1 without sampling.
    n_steps : int
        Number of noisy sums, those of empty samples included.
    epsilon : float
        What the budget's epsilon had reached after this, at the budget's delta, all spends before included.
    """

    what: str
    mechanism: str
    sensitivity: float
    noise_multiplier: float
    sample_rate: float
    n_steps: int
    epsilon: float


@dataclass
class PrivacyLedger:
    """Every spend of a fit, in order, under one budget.

    Attributes
    ----------
    budget : PrivacyBudget
        What may be spent.
    spends : list of Spend
        What was spent.
    public : tuple of str
        What was taken as known without looking at the patients.
    earlier : tuple of Spend
        What earlier fits of the same patients spent; the budget covers these too.
    """

    budget: PrivacyBudget
    spends: list[Spend] = field(default_factory=list)
    public: tuple[str, ...] = ()
    earlier: tuple[Spend, ...] = ()

    @property
    def epsilon(self) -> float:
        """Epsilon spent so far, at the budget's delta; smaller is stronger privacy."""
        return self.spends[-1].epsilon if self.spends else 0.0

    @property
    def events(self) -> list[tuple[float, float, int]]:
        """Noise multiplier, sample rate and number of steps of every spend, as the accountant takes them."""
        return [(spend.noise_multiplier, spend.sample_rate, spend.n_steps) for spend in (*self.earlier, *self.spends)]

    @property
    def digest(self) -> str:
        """What tells this ledger from any other one."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def add(self, spend: Spend) -> None:
        """Write a spend down before it is made; refuse one that the budget does not cover."""
        if spend.epsilon > self.budget.epsilon * (1 + 1e-9):
            raise PrivacyError(
                f"'{spend.what}' costs epsilon {spend.epsilon:.4g} with what was spent before, above the budget of "
                f"{self.budget.epsilon:g}. It takes an epsilon above {rounded_up(spend.epsilon):g}, or a fit "
                f"{ANEW}, which pays once more. {SMALLER_IS_STRONGER}"
            )
        self.spends.append(spend)

    @property
    def statement(self) -> str:
        """The guarantee in words."""
        return (
            f"Differential privacy: epsilon = {self.budget.epsilon:g}, delta = {self.budget.delta:g} for adding or "
            f"removing one patient (static row, all visits and terminal event)"
            f"{', earlier fits of the same patients included' if self.earlier else ''}. {SMALLER_IS_STRONGER}"
        )

    @property
    def reach(self) -> str:
        """The guarantee, and what is outside it, for a report that looks at the patients."""
        return f"{self.statement} {OUTSIDE}"

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The spends as text, for tables under ``HEADS``."""
        for spend in (*self.earlier, *self.spends):
            rate = "all" if spend.sample_rate == 1 else f"{spend.sample_rate:.4g}"
            yield (
                spend.what,
                spend.mechanism,
                f"{spend.sensitivity:.4g}",
                f"{spend.noise_multiplier:.4g}",
                rate,
                f"{spend.n_steps:,}",
                f"{spend.epsilon:.4g}",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the ledger as plain JSON values."""
        state = asdict(self) | {"public": list(self.public), "earlier": list(map(asdict, self.earlier))}
        return state if self.earlier else {name: value for name, value in state.items() if name != "earlier"}

    @classmethod
    def from_json(cls, state: dict[str, Any], epsilon_of: Accountant) -> PrivacyLedger:
        """Rebuild a ledger from :meth:`to_json`; refuse one whose spends cost another epsilon than it says.

        Parameters
        ----------
        state : dict
            What :meth:`to_json` gave.
        epsilon_of : callable
            The accountant: epsilon of all events together at a delta.

        Raises
        ------
        PrivacyError
            If the epsilons are not those of the spends, or the budget does not cover them.
        """
        earlier = tuple(Spend(**spend) for spend in state.get("earlier", ()))
        ledger = cls(PrivacyBudget(**state["budget"]), public=tuple(state["public"]), earlier=earlier)
        for spend in state["spends"]:
            ledger.add(Spend(**spend))
        told, found = [spend.epsilon for spend in ledger.spends], epsilon_of(ledger.events, ledger.budget.allowed_delta)
        if told != sorted(told) or (told and not math.isclose(ledger.epsilon, found, rel_tol=0.02, abs_tol=0.002)):
            raise PrivacyError("the epsilons of the ledger are not those of its spends; do not rely on it")
        return ledger
