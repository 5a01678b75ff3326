"""Splitting a cohort by patient."""

from __future__ import annotations

import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import CohortError, ConfigError
from longsynth.seeding import stream


def split(cohort: Cohort, holdout: float = 0.3, seed: int = 0) -> tuple[Cohort, Cohort]:
    """Split a cohort into two with no patient in common.

    Parameters
    ----------
    cohort : Cohort
        Patients to split; the order of its rows does not matter.
    holdout : float
        Share of patients for the second cohort, between 0 and 1; rounded to whole patients, at least one each side.
    seed : int
        The same seed and patients give the same split.

    Returns
    -------
    train, holdout : Cohort
        Together they hold every patient once.

    Raises
    ------
    ConfigError
        If ``holdout`` is not between 0 and 1.
    CohortError
        If there are fewer than two patients.

    Examples
    --------
    >>> import polars as pl
    >>> from longsynth.schema.types import Schema
    >>> cohort = Cohort(pl.DataFrame({"patient_id": ["a", "b", "c", "d"]}), schema=Schema())
    >>> train, holdout = split(cohort, holdout=0.25)
    >>> train.n_patients, holdout.n_patients
    (3, 1)
    """
    if not 0 < holdout < 1:
        raise ConfigError(f"holdout is {holdout}; it must be a share of the patients between 0 and 1")
    if cohort.n_patients < 2:
        raise CohortError("static: 1 row; a split needs two patients or more")
    n_holdout = min(max(round(holdout * cohort.n_patients), 1), cohort.n_patients - 1)
    ids = cohort.static[cohort.schema.patient_id]
    by_text = ids.gather(ids.cast(pl.String).arg_sort())  # the same split whether ids came as numbers or as text
    shuffled = by_text.gather(stream(seed, "split").permutation(len(by_text)))
    return cohort.select(shuffled[n_holdout:]), cohort.select(shuffled[:n_holdout])
