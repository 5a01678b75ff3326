"""The effect of a treatment: two arms of a cohort, and whether their outcomes differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static
from longsynth.evaluation.risk_sets import RiskSets
from longsynth.evaluation.survival import outcome
from longsynth.exceptions import NotComputableError

Floats = NDArray[np.float64]
FEWEST_IN_ARM = 5


def treated_patients(cohort: Cohort, arm: str | None) -> Floats:
    """Return for each patient whether in the second arm: 0, 1, or NaN where missing; shape (N,).

    Parameters
    ----------
    cohort : Cohort
        N patients.
    arm : str or None
        Static attribute with two levels; the first one in the schema is the control.

    Raises
    ------
    NotComputableError
        If no arm is named, it has not two levels, or an arm has fewer than 5 patients.
    """
    column = None if arm is None else cohort.schema.static.get(arm)
    if arm is None or column is None:
        raise NotComputableError("it needs the treatment arm; name the static attribute that holds it")
    if column.levels is None or len(column.levels) != 2:
        raise NotComputableError(f"it compares two arms, and {arm!r} has not two levels")
    treated = numeric_static(cohort)[f"static.{arm}"].to_numpy().astype(np.float64)
    if min((treated == 0).sum(), (treated == 1).sum()) < FEWEST_IN_ARM:
        raise NotComputableError(f"an arm has fewer than {FEWEST_IN_ARM} patients")
    return treated


def arms_and_outcome(cohort: Cohort, arm: str | None) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return treated (0 or 1), durations and whether the event happened, of the patients whose arm is known."""
    durations, types = outcome(cohort)
    treated = treated_patients(cohort, arm)
    known = ~np.isnan(treated)
    return treated[known], durations[known], types[known] > 0


def log_rank(durations: Floats, happened: NDArray[np.bool_], treated: Floats) -> Floats:
    """Return the log-rank statistic of one or many divisions of patients into two arms.

    ``Z = sum(d_1 - d n_1 / n) / sqrt(sum(d n_1 (n - n_1) (n - d) / (n^2 (n - 1))))`` over the times of events.

    Parameters
    ----------
    durations : array, shape (N,)
        Time to the event or to censoring.
    happened : array of bool, shape (N,)
        True if the event happened.
    treated : array, shape (N, K)
        1 in the second arm, 0 in the first, for each of K divisions.

    Returns
    -------
    array, shape (K,)
        Standard normal if the arms do not differ, above 0 if the second arm has more events; 0 where nothing varies.

    Notes
    -----
    Assumes that censoring is independent of the event within arms.

    References
    ----------
    Mantel (1966), Evaluation of survival data and two new rank order statistics arising in its consideration, Cancer
    Chemotherapy Reports 50, 163-170.
    """
    if not happened.any():
        return np.zeros(treated.shape[1])
    sets = RiskSets(durations, happened)
    ones = np.ones((len(durations), 1))
    n, d, share = sets.at_risk(ones), sets.of_dying(ones), sets.at_risk(treated)
    share = share / n
    excess = (sets.of_dying(treated) - d * share).sum(axis=0)
    variance = (d * share * (1 - share) * (n - d) / np.maximum(n - 1, 1)).sum(axis=0)
    return np.where(variance > 0, excess / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)
