"""What an assessment of privacy found: every attack with its control, or the reason why it tells nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from longsynth.exceptions import ConfigError
from longsynth.findings import findings_text, html_table, read_findings, results_frame, with_tuples

NOT_ASSESSED = "not assessed"
LEVEL = 0.025
_TEXTS = ("attack", "part", "title", "criterion", "knowledge", "known", "subset", "measure", "state", "reason")
_COUNTS = ("n_members", "n_control", "n_requested", "n_draws")
_NUMBERS = (
    "attack_rate", "attack_lo", "attack_hi", "control_rate", "control_lo", "control_hi", "naive_rate", "direct_rate",
    "difference", "difference_lo", "difference_hi", "risk", "risk_lo", "risk_hi", "p_value", "p_adjusted",
    "minimum_detectable_risk", "auc", "auc_lo", "auc_hi", "tpr", "tpr_lo", "tpr_hi", "fpr",
)  # fmt: skip
COLUMNS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, pl.String),
    **dict.fromkeys(_COUNTS, pl.Int64),
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "flagged": pl.Boolean,
    "seed": pl.Int64,
    "version": pl.String,
}


@dataclass(frozen=True)
class AttackResult:
    """What one attack, or one part of it, came to on one group of patients.

    Attributes
    ----------
    attack, criterion, title, part : str
        As in `longsynth.privacy.base.Attack` and `Outcome`; ``attack`` is its name.
    knowledge, known : str
        What the attacker knew before the release: the name, and in words.
    subset : str
        "all" members; "isolated": those furthest from all other members; "rare": those with a rare level.
    measure : {"rate", "score", "closeness"}
        Success on each patient is a share; a score by which patients are ranked; or the chance that a fresh synthetic
        patient comes as close.
    state : {"assessed", "not assessed"}
        "not assessed": nothing can be concluded, for the ``reason`` given; the risk is then None.
    n_members, n_control : int
        Patients attacked. n_requested : attempts asked for on each side.
    attack_rate, control_rate : float or None
        Success on members and on control patients, with 95 % Wilson intervals.
    naive_rate, direct_rate : float or None
        Success of an attacker who guesses; of one who uses only what is known of the target, without the release.
    difference : float or None
        ``attack_rate - control_rate`` with Newcombe's 95 % interval.
    risk : float or None
        ``(attack_rate - control_rate) / (1 - control_rate)`` with a 95 % interval by patient bootstrap; 0 is best.
    p_value, p_adjusted : float or None
        One-sided, of no risk; adjusted by Holm for all results of the assessment that have one, with an equal share of
        the level for each attack. Results not assessed for lack of power have one, too, since they would have been
        shown had it been small.
    flagged : bool or None
        ``p_adjusted <= 0.025``: a leak is shown.
    minimum_detectable_risk : float or None
        The risk that would have been found above zero with a chance of 80 %. Below it, no finding is no reassurance.
    auc, tpr, fpr : float or None
        For scores: the chance that a member is ranked before a control patient, with a 95 % interval; the share of
        members above the score that ``fpr`` of the control patients exceed, with a 95 % interval. ``attack_rate`` is
        then ``tpr`` and ``control_rate`` is ``fpr``.
    n_draws : int
        Synthetic cohorts attacked.
    """

    attack: str
    criterion: str
    title: str
    part: str
    knowledge: str
    known: str
    subset: str
    measure: str = "rate"
    state: Literal["assessed", "not assessed"] = "assessed"
    reason: str | None = None
    n_members: int = 0
    n_control: int = 0
    n_requested: int = 0
    n_draws: int = 1
    attack_rate: float | None = None
    attack_lo: float | None = None
    attack_hi: float | None = None
    control_rate: float | None = None
    control_lo: float | None = None
    control_hi: float | None = None
    naive_rate: float | None = None
    direct_rate: float | None = None
    difference: float | None = None
    difference_lo: float | None = None
    difference_hi: float | None = None
    risk: float | None = None
    risk_lo: float | None = None
    risk_hi: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    minimum_detectable_risk: float | None = None
    auc: float | None = None
    auc_lo: float | None = None
    auc_hi: float | None = None
    tpr: float | None = None
    tpr_lo: float | None = None
    tpr_hi: float | None = None
    fpr: float | None = None
    flagged: bool | None = None

    def __post_init__(self) -> None:
        if (self.state == NOT_ASSESSED) != (self.reason is not None) or (self.risk is None) != (
            self.state == NOT_ASSESSED
        ):
            raise ConfigError(f"{self.attack}: a result has a risk, or else the reason why it was not assessed")


@dataclass(frozen=True)
class Provenance:
    """What an assessment was made from, enough to repeat it.

    Attributes
    ----------
    n_synthetic : tuple of int
        Patients of each draw.
    n_train : int
        Members.
    n_holdout : int or None
        Control patients; None if there were none.
    attacks : tuple of str
        Names of the attacks tried.
    knowledge : dict of str to str
        Each attacker's name, and in words what that attacker knew.
    n_targets : int
        At most so many patients a side were attacked.
    seed : int
        As given.
    version : str
        Of longsynth.
    """

    n_synthetic: tuple[int, ...]
    n_train: int
    n_holdout: int | None
    attacks: tuple[str, ...]
    knowledge: dict[str, str]
    n_targets: int
    seed: int
    version: str


@dataclass(frozen=True)
class PrivacyAssessment:
    """What attackers could learn about real patients from a synthetic cohort, as far as it was tried.

    Attributes
    ----------
    results : tuple of AttackResult
        All patients first, then the worst cases.
    provenance : Provenance
        What was attacked, and how.
    exposure : tuple of dict
        The share of train patients whom k visits tell from all others, before any release: ``k``, ``n_patients`` and
        ``unique``, as `longsynth.privacy.exposure.exposure` returns them.
    notes : tuple of str
        What a reader must know about the assessment as a whole: what was not tried, what was odd.
    diagnostics : dict of str to float
        Distances to nearest records, as `longsynth.privacy.nearest_records.nearest_records` returns them. They may
        show a leak; they never show that there is none.
    """

    results: tuple[AttackResult, ...]
    provenance: Provenance
    exposure: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    diagnostics: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        n_assessed = sum(result.state == "assessed" for result in self.results)
        n_flagged = sum(bool(result.flagged) for result in self.results)
        left = len(self.results) - n_assessed
        return f"PrivacyAssessment({n_assessed} attacks assessed, {n_flagged} show a leak, {left} not assessed)"

    def frame(self) -> pl.DataFrame:
        """Return one row a result.

        Returns
        -------
        polars.DataFrame
            The attributes of `AttackResult`, and ``seed`` and ``version``; null where there is none.
        """
        return results_frame(self.results, COLUMNS, seed=self.provenance.seed, version=self.provenance.version)

    def to_json(self) -> str:
        """Return the assessment as a JSON text, the same for the same assessment."""
        return findings_text(self)

    @classmethod
    def from_json(cls, text: str) -> PrivacyAssessment:
        """Return the assessment that `to_json` wrote.

        Raises
        ------
        ConfigError
            If the text is no such JSON, or of another format.
        """

        def build(document: dict[str, Any]) -> PrivacyAssessment:
            results = tuple(AttackResult(**row) for row in document["results"])
            made, exposure = Provenance(**with_tuples(document["provenance"])), tuple(document["exposure"])
            return cls(results, made, exposure, tuple(document["notes"]), document["diagnostics"])

        return read_findings(text, "assessment", build)

    def _repr_html_(self) -> str:
        heads = [
            "attack",
            "attacker",
            "patients",
            "members",
            "control",
            "risk (95 % interval)",
            "could find",
            "reading",
        ]
        return html_table(heads, map(shown, self.results), remarks(self))


def shown(result: AttackResult) -> tuple[str, ...]:
    """Return a result as texts.

    Returns
    -------
    tuple of str
        Attack with its part, attacker, patients, rate on members, rate on control patients, risk with interval, minimum
        detectable risk, and what to make of it. A risk is never shown without its control.
    """
    name = f"{result.title}: {result.part}" if result.part else result.title
    head = (name, result.knowledge, f"{result.subset} ({result.n_members:,} and {result.n_control:,})")
    rates = (_share(result.attack_rate), _share(result.control_rate))
    detectable = _share(result.minimum_detectable_risk)
    if result.risk is None:
        return (*head, *rates, "-", detectable, f"{NOT_ASSESSED}: {result.reason}")
    risk = f"{result.risk:.3f} ({result.risk_lo:.3f} to {result.risk_hi:.3f})"
    return (*head, *rates, risk, detectable, reading(result))


def reading(result: AttackResult) -> str:
    """Return what to make of an assessed result, in words."""
    if result.flagged:
        return "a leak is shown"
    if result.measure == "closeness":
        return "no synthetic patient is closer to one of them than chance allows"
    return f"no excess risk above {result.risk_hi:.3f} at 97.5 % confidence, against this attacker"


def remarks(assessment: PrivacyAssessment) -> list[str]:
    """Return what stands beside the results, in words: attackers, exposure, diagnostics, notes."""
    said = [f"{name} knows: {words}" for name, words in assessment.provenance.knowledge.items()]
    unique = [f"{row['unique']:.0%} by {row['k']}" for row in assessment.exposure if row["unique"] is not None]
    if unique:
        said.append(f"told from all other patients by their visits, before any release: {', '.join(unique)} visits")
    if assessment.diagnostics:
        listed = ", ".join(f"{name} {value:.2f}" for name, value in assessment.diagnostics.items())
        said.append(f"nearest records, a diagnostic that proves nothing when it is calm: {listed}")
    return [*said, *assessment.notes]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
