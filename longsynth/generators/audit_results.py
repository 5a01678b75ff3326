"""What an audit found: lower bounds on epsilon, each with what was seen and guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from longsynth.budget import SMALLER_IS_STRONGER
from longsynth.findings import findings_text, html_table, read_findings, results_frame

COLUMNS: dict[str, Any] = {
    "attacker": pl.String,
    "sees": pl.String,
    "n_canaries": pl.Int64,
    "n_included": pl.Int64,
    "n_guesses": pl.Int64,
    "n_right": pl.Int64,
    "epsilon_at_least": pl.Float64,
    "epsilon": pl.Float64,
    "delta": pl.Float64,
    "level": pl.Float64,
}
INTERNAL = (
    "The fit of an audit looked at the train patients: it costs its epsilon once more, and neither it nor what it "
    "drew may leave. Keep this result internal."
)


@dataclass(frozen=True)
class AuditBound:
    """What one attacker proved.

    Attributes
    ----------
    attacker, sees : str
        Name, and in words what the guesses were made from.
    n_canaries, n_included : int
        Planted patients, and how many of them the coins let in.
    n_guesses, n_right : int
        Guesses whether a canary was in, and right ones among them; half of them are right by chance.
    epsilon_at_least : float
        Epsilon is at least this; 0 or more. Smaller epsilon is stronger privacy.
    """

    attacker: str
    sees: str
    n_canaries: int
    n_included: int
    n_guesses: int
    n_right: int
    epsilon_at_least: float


@dataclass(frozen=True)
class Audit:
    """What an audit found about a claim of differential privacy.

    Attributes
    ----------
    epsilon, delta : float
        The claim, for adding or removing one patient. Smaller epsilon is stronger privacy.
    bounds : tuple of AuditBound
        One an attacker. All of them hold together with confidence ``1 - level``.
    level : float
        Chance that any bound lies above the true epsilon.
    n_train : int
        Patients beside the canaries.
    seed : int
        Of canaries and coins.
    version : str
        Of longsynth.
    """

    epsilon: float
    delta: float
    bounds: tuple[AuditBound, ...]
    level: float
    n_train: int
    seed: int
    version: str

    @property
    def epsilon_at_least(self) -> float:
        """The largest of the bounds."""
        return max(bound.epsilon_at_least for bound in self.bounds)

    @property
    def is_refuted(self) -> bool:
        """Whether the claim is shown to be false: a bound lies above it."""
        return self.epsilon_at_least > self.epsilon

    def __repr__(self) -> str:
        return f"Audit(epsilon at least {self.epsilon_at_least:.2f}, claimed at most {self.epsilon:g})"

    def reading(self) -> str:
        """Return what to make of it, in words."""
        confidence = f"{1 - self.level:.0%} confidence"
        found = f"epsilon is at least {self.epsilon_at_least:.2f} with {confidence}"
        if self.is_refuted:
            return f"The claim is false: {found}, and the claim is at most {self.epsilon:g}. {SMALLER_IS_STRONGER}"
        return (
            f"The claim of at most {self.epsilon:g} stands: {found}. This is no proof of privacy: it is what these "
            f"attackers could show with so many canaries. {SMALLER_IS_STRONGER}"
        )

    def frame(self) -> pl.DataFrame:
        """Return one row an attacker: the attributes of `AuditBound`, and the claim."""
        return results_frame(self.bounds, COLUMNS, epsilon=self.epsilon, delta=self.delta, level=self.level)

    def to_json(self) -> str:
        """Return the audit as a JSON text, the same for the same audit."""
        return findings_text(self)

    @classmethod
    def from_json(cls, text: str) -> Audit:
        """Return the audit that `to_json` wrote.

        Raises
        ------
        ConfigError
            If the text is no such JSON, or of another format.
        """

        def build(document: dict[str, Any]) -> Audit:
            bounds = tuple(AuditBound(**row) for row in document.pop("bounds"))
            document.pop("format")
            return cls(bounds=bounds, **document)

        return read_findings(text, "audit", build)

    def rows(self) -> list[tuple[str, ...]]:
        """The bounds as text: attacker, what it sees, right guesses, bound."""
        return [
            (one.attacker, one.sees, f"{one.n_right} of {one.n_guesses}", f"at least {one.epsilon_at_least:.2f}")
            for one in self.bounds
        ]

    def _repr_html_(self) -> str:
        heads = ("attacker", "sees", "right guesses", "epsilon")
        return html_table(heads, self.rows(), [self.reading(), INTERNAL])
