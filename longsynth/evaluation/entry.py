"""What is checked before anything is measured, and what a reader must know about the cohorts that were compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from longsynth.cohort.alike import check_disjoint, n_same_patients, n_shared_ids, under_schema
from longsynth.cohort.cohort import Cohort
from longsynth.cohort.columns import counted
from longsynth.cohort.numbered import numbered, pooled
from longsynth.exceptions import CohortError, ConfigError
from longsynth.schema.types import LEVEL_KINDS


@dataclass(frozen=True)
class Sources:
    """The cohorts of an evaluation, numbered and under the schema of train.

    Attributes
    ----------
    synthetic : dict of str to Cohort
        By name.
    reference : Cohort
        Real patients that the synthetic ones are compared with: the holdout, or train if there is none.
    pool : Cohort
        All real patients, for the ceiling.
    notes : dict of str to tuple of str
        By name of the synthetic cohort.
    """

    synthetic: dict[str, Cohort]
    reference: Cohort
    pool: Cohort
    notes: dict[str, tuple[str, ...]]


def prepare_sources(synthetic: Mapping[str, Cohort], train: Cohort, holdout: Cohort | None) -> Sources:
    """Check cohorts against each other and number their patients.

    Parameters
    ----------
    synthetic : mapping of str to Cohort
        By name.
    train : Cohort
        Real patients, whose schema counts.
    holdout : Cohort or None
        Other real patients.

    Raises
    ------
    CohortError
        If a cohort does not fit the schema of train, the holdout shares patients with train, or a synthetic cohort
        consists of real patients.
    """
    schema = train.schema
    real = [train]
    if holdout is not None:
        real.append(under_schema(holdout, schema, "holdout"))
        check_disjoint(train, real[1])
    made = {name: under_schema(cohort, schema, name or "synthetic") for name, cohort in synthetic.items()}
    notes = {name: tuple(_notes(cohort, real, name or "synthetic")) for name, cohort in made.items()}
    numbers = [numbered(cohort) for cohort in real]
    pool = numbers[0] if holdout is None else pooled(*numbers)
    return Sources({name: numbered(cohort) for name, cohort in made.items()}, numbers[-1], pool, notes)


def check_cohorts(given: Iterable[tuple[str, object]]) -> None:
    """Raise `ConfigError` unless everything that is given, as pairs of name and value, is a cohort."""
    for name, one in given:
        if not isinstance(one, Cohort):
            raise ConfigError(
                f"{name or 'synthetic'}: a Cohort is needed, not a {type(one).__name__}; make one of tables with "
                "`longsynth.read_cohort(visits, static=..., schema=...)`"
            )


def check_arm(train: Cohort, arm: str | None) -> None:
    """Raise `ConfigError` unless ``arm`` is None or a static attribute with levels."""
    if arm is not None and (arm not in train.schema.static or train.schema.static[arm].kind not in LEVEL_KINDS):
        raise ConfigError(f"arm: {arm!r} is no binary, ordinal or categorical static attribute; name the one with arms")


def _notes(cohort: Cohort, real: list[Cohort], name: str) -> list[str]:
    found = []
    n_shared = sum(n_shared_ids(cohort, one) for one in real)
    if n_shared:
        n_same = sum(n_same_patients(cohort, one) for one in real)
        if n_same == cohort.n_patients:
            raise CohortError(
                f"{name}: every patient is a real one, with the same id and data; give synthetic patients"
            )
        same = f"{counted(n_same, 'patient')} with the same data as well" if n_same else "none with the same data"
        found.append(f"{counted(n_shared, 'patient')} with the id of a real patient, {same}")
    if cohort.schema.visit_time is not None and not cohort.n_visits:
        found.append("no patient has a visit; what needs visits is not assessed or at its worst")
    if len(real) == 1:
        found.append("no holdout was given: reference and ceiling come from train, which the cohort was made from")
    return found
