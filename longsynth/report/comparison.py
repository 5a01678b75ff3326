"""Several synthetic cohorts side by side: values with ceilings, and what a use case makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from longsynth.budget import PrivacyLedger
from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import Metric
from longsynth.evaluation.evaluate import evaluate_all
from longsynth.evaluation.results import Evaluation, table_html
from longsynth.exceptions import ConfigError
from longsynth.findings import html_table
from longsynth.report.profiles import GROUPS, Profile, Verdict, judge, load_profile

ProfileSource = str | Path | Mapping[str, Any] | Profile


class HasFrame(Protocol):
    """A privacy assessment: anything with a frame of one row an attack."""

    def frame(self) -> pl.DataFrame:
        """Return one row an attack."""
        ...


@dataclass(frozen=True)
class Comparison:
    """Evaluations and privacy assessments of synthetic cohorts by name.

    Attributes
    ----------
    evaluations : dict of str to Evaluation
        One a cohort; those of equally large cohorts share their ceilings.
    privacy : dict of str to polars.DataFrame
        Frames of privacy assessments, of those cohorts that have one.
    budgets : dict of str to (epsilon, delta)
        As declared by whoever made the cohort.
    ledgers : dict of str to PrivacyLedger
        Every spend behind a budget, of those cohorts that were made with longsynth.
    use_case : str, path, mapping or None
        The profile that `verdict` takes if it is given none.
    """

    evaluations: dict[str, Evaluation]
    privacy: dict[str, pl.DataFrame] = field(default_factory=dict)
    budgets: dict[str, tuple[float, float]] = field(default_factory=dict)
    use_case: ProfileSource | None = None
    ledgers: dict[str, PrivacyLedger] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Comparison({', '.join(f'{name}: {one!r}' for name, one in self.evaluations.items())})"

    def frame(self) -> pl.DataFrame:
        """Return one row a cohort and result.

        Returns
        -------
        polars.DataFrame
            ``model`` (the name of the cohort), then the columns of `Evaluation.frame`.
        """
        frames = [one.frame().select(pl.lit(name).alias("model"), pl.all()) for name, one in self.evaluations.items()]
        return pl.concat(frames)

    def verdict(self, profile: ProfileSource | None = None) -> Verdict:
        """Hold everything that is known against a use case.

        Parameters
        ----------
        profile : str, path, mapping or Profile, optional
            As `longsynth.report.profiles.load_profile`. None: ``use_case``.

        Raises
        ------
        ConfigError
            If there is no profile, or it cannot be read.
        """
        source = self.use_case if profile is None else profile
        if source is None:
            raise ConfigError("name the use case: pass a profile, or give `use_case` to compare")
        return judge(load_profile(source), self.evaluations, self.privacy, self.budgets)

    def to_json(self) -> str:
        """Return the comparison, with its verdict if there is a use case, as a JSON text."""
        document: dict[str, Any] = {
            "evaluations": {name: json.loads(one.to_json()) for name, one in self.evaluations.items()},
            "privacy": {name: json.loads(frame.write_json()) for name, frame in self.privacy.items()},
            "budgets": {name: {"epsilon": one[0], "delta": one[1]} for name, one in self.budgets.items()},
        }
        if self.use_case is not None:
            document["verdict"] = self.verdict().document()
        return json.dumps(document, indent=1, allow_nan=False)

    def _repr_html_(self) -> str:
        verdict = "" if self.use_case is None else _verdict_html(self.verdict())
        return verdict + table_html(self.evaluations)


def compare(
    cohorts: Mapping[str, Cohort],
    *,
    train: Cohort,
    holdout: Cohort | None = None,
    use_case: ProfileSource | None = None,
    privacy: Mapping[str, HasFrame] | None = None,
    budgets: Mapping[str, PrivacyLedger | tuple[float, float]] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    arm: str | None = None,
    strata: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Comparison:
    """Judge several synthetic cohorts, each against the same real population.

    Parameters
    ----------
    cohorts : mapping of str to Cohort
        Synthetic cohorts by the name of what made them.
    train, holdout, metrics, arm, strata, seed, progress
        As `longsynth.evaluate`.
    use_case : str, path or mapping, optional
        What the cohorts are for: the name of a profile ("exploratory analysis"), a YAML file, or changes to one, as
        `longsynth.report.profiles.load_profile`. None: no verdict.
    privacy : mapping of str to PrivacyAssessment, optional
        By the same names. Cohorts without one are not assessed on privacy.
    budgets : mapping of str to PrivacyLedger or (epsilon, delta), optional
        Differential privacy per patient: the ``ledger`` of the synthesizer, or what whoever made the cohort declares.
        Smaller epsilon means stronger privacy. It cannot be seen from a cohort.

    Returns
    -------
    Comparison

    Raises
    ------
    ConfigError
        If there is no cohort, privacy or budgets name one that is not compared, or the use case does not exist.
    CohortError
        As `longsynth.evaluate`.
    """
    if not cohorts or not isinstance(cohorts, Mapping):
        raise ConfigError("there is no cohort to compare; give a mapping from names to cohorts")
    for what, given in (("privacy", privacy), ("budgets", budgets)):
        unknown = set(given or {}) - set(cohorts)
        if unknown:
            raise ConfigError(f"{what} names {', '.join(sorted(unknown))}, which is not among the cohorts")
    if use_case is not None:
        load_profile(use_case)  # a wrong one is found before the long work
    found = evaluate_all(
        cohorts, train=train, holdout=holdout, metrics=metrics, arm=arm, strata=strata, seed=seed, progress=progress
    )
    frames = {name: assessment.frame() for name, assessment in (privacy or {}).items()}
    ledgers = {name: one for name, one in (budgets or {}).items() if isinstance(one, PrivacyLedger)}
    for name, ledger in ledgers.items():
        found[name] = replace(found[name], notes=(*found[name].notes, ledger.reach))
    declared = {name: one for name, one in (budgets or {}).items() if not isinstance(one, PrivacyLedger)}
    declared |= {name: (one.budget.epsilon, one.budget.allowed_delta) for name, one in ledgers.items()}
    return Comparison(found, frames, declared, use_case, ledgers)


def _verdict_html(verdict: Verdict) -> str:
    """Return the statement of the profile, what was overridden, and the state of each group in words."""
    profile = verdict.profile
    said = [f"<p><b>{escape(profile.title)}.</b> {escape(profile.statement)}</p>"]
    said += [f"<p>Changed by the user: {escape(override)}</p>" for override in profile.overrides]
    rows = [(model, *(states[group] for group in GROUPS)) for model, states in verdict.states().items()]
    return "".join(said) + html_table(("", *GROUPS), rows)
