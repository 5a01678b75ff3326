"""Whether a trial would find the same effect of its treatment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.arms import arms_and_outcome, log_rank
from longsynth.evaluation.base import MANY_PATIENTS, TIME_UNIT, WHOLE, Setting, metric
from longsynth.evaluation.cox import fit_cox
from longsynth.evaluation.survival import common_horizon, kaplan_meier, restricted_mean
from longsynth.exceptions import NotComputableError
from longsynth.seeding import stream

Z_95 = 1.959963984540054
N_PERMUTATIONS = 2000
N_DRAWS = 20
Arm = tuple[NDArray[np.float64], NDArray[np.bool_]]


@metric(
    block="trial",
    level="cohort",
    title="Difference of the treatment's log hazard ratio",
    worse="both",
    n_draws=N_DRAWS,
    most_patients=MANY_PATIENTS,
)
def treatment_log_hazard_ratio(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Difference of the treatment's log hazard ratio: ``beta_S - beta_R``, second arm against first.

    From a Cox model of the event (of any type) on the arm alone.

    Sees: arms swapped, an effect that is gone, event times permuted, if the treatment has an effect.
    Does not see: events that come earlier or later in both arms alike, anything about visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Names the arm, which has two levels; the first one in the schema is the control.

    Returns
    -------
    dict of str to float
        `WHOLE`; 0 is best, above 0 the treatment looks worse than it is.

    Raises
    ------
    NotComputableError
        Without an arm of two levels or a terminal event, or if an arm has fewer than 5 patients or no event.

    Notes
    -----
    Assumes proportional hazards, and censoring that is independent of the event given the arm.

    References
    ----------
    Cox (1972), doi:10.1111/j.2517-6161.1972.tb00899.x.
    """
    made, real = (_log_hazard_ratio(cohort, setting) for cohort in (sample, reference))
    return {WHOLE: made - real}


@metric(
    block="trial",
    level="cohort",
    title="Difference of the treatment's effect on the restricted mean survival time",
    worse="both",
    unit=TIME_UNIT,
    n_draws=N_DRAWS,
    most_patients=MANY_PATIENTS,
)
def treatment_rmst(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Difference of the treatment's effect on the restricted mean: ``(RMST_2 - RMST_1)_S - (RMST_2 - RMST_1)_R``.

    Up to the 95th percentile of the reference's durations, or the earliest time at which an arm ends in censoring.

    Sees: arms swapped, an effect that is gone, event times permuted, if the treatment has an effect.
    Does not see: events that come earlier or later in both arms alike, anything about visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Names the arm, which has two levels; the first one in the schema is the control.

    Returns
    -------
    dict of str to float
        `WHOLE` in the schema's time unit; 0 is best, above 0 the treatment looks better than it is.

    Raises
    ------
    NotComputableError
        Without an arm of two levels or a terminal event, or if an arm has fewer than 5 patients or no follow-up.

    Notes
    -----
    Assumes that censoring is independent of the event within arms; not that hazards are proportional.

    References
    ----------
    Royston and Parmar (2013), doi:10.1186/1471-2288-13-152.
    """
    made, real = _arms(sample, setting), _arms(reference, setting)
    durations = np.concatenate([arm[0] for arm in real])
    horizon = common_horizon(durations, *(kaplan_meier(*arm) for arm in (*made, *real)))
    effects = [restricted_mean(*two, horizon)[0] - restricted_mean(*one, horizon)[0] for one, two in (made, real)]
    return {WHOLE: effects[0] - effects[1]}


@metric(
    block="trial",
    level="cohort",
    title="Whether a trial of this size would come to the same decision",
    best=1.0,
    worse="lower",
    n_draws=N_DRAWS,
    most_patients=MANY_PATIENTS,
    is_share=True,
)
def treatment_decision(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Agreement of two trials: 1 if they agree, 0 if not; a rate once averaged over many pairs of samples.

    ``direction``: the log-rank statistics have the same sign. ``decision``: both are significant at 5 % (two-sided) in
    the same direction, or neither is significant.

    Sees: arms swapped, an effect that is gone, if the treatment has an effect that trials of this size find.
    Does not see: anything where two real trials do not agree either. One pair of samples is an anecdote, so that the
    judge takes 20 samples of a synthetic cohort with more patients than are compared.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema, with equal numbers of patients.
    setting : Setting
        Names the arm, which has two levels; the first one in the schema is the control.

    Returns
    -------
    dict of str to float
        ``direction`` and ``decision``, 0 or 1; higher is better.

    Raises
    ------
    NotComputableError
        Without an arm of two levels or a terminal event, or if an arm has fewer than 5 patients.

    Notes
    -----
    Assumes that censoring is independent of the event within arms.

    References
    ----------
    Mantel (1966), Evaluation of survival data and two new rank order statistics arising in its consideration, Cancer
    Chemotherapy Reports 50, 163-170.
    """
    made, real = (_log_rank(cohort, setting) for cohort in (sample, reference))
    found = [np.sign(z) * (abs(z) > Z_95) for z in (made, real)]
    return {"direction": float(np.sign(made) == np.sign(real)), "decision": float(found[0] == found[1])}


@metric(block="trial", level="cohort", title="Difference of the type I error of the log-rank test", worse="both")
def type_one_error(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Difference of how often the log-rank test finds an effect of arms that mean nothing: ``rate_S - rate_R``.

    In each cohort the arms are dealt anew to the patients 2,000 times, and tested at 5 %.

    Sees: outcomes with which the test does not hold its level, such as very few events.
    Does not see: a synthesizer that invents an effect (use `treatment_decision` on a cohort made without one), or
    patients that are repeated.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Names the arm, which has two levels. The seed deals the arms.

    Returns
    -------
    dict of str to float
        `WHOLE`; 0 is best, above 0 more false findings than in real patients. The rates have standard errors of 0.005.

    Raises
    ------
    NotComputableError
        Without an arm of two levels or a terminal event, if an arm has fewer than 5 patients, or if a cohort has no
        event.

    References
    ----------
    Mantel (1966), Evaluation of survival data and two new rank order statistics arising in its consideration, Cancer
    Chemotherapy Reports 50, 163-170.
    """
    made, real = (_false_findings(cohort, setting) for cohort in (sample, reference))
    return {WHOLE: made - real}


def _arms(cohort: Cohort, setting: Setting) -> tuple[Arm, Arm]:
    """Return durations and whether the event happened, in the first and in the second arm."""
    treated, durations, happened = arms_and_outcome(cohort, setting.arm)
    first, second = treated == 0, treated == 1
    return (durations[first], happened[first]), (durations[second], happened[second])


def _log_hazard_ratio(cohort: Cohort, setting: Setting) -> float:
    treated, durations, happened = arms_and_outcome(cohort, setting.arm)
    return float(fit_cox(treated[:, None], durations, happened).coefficients[0])


def _log_rank(cohort: Cohort, setting: Setting) -> float:
    treated, durations, happened = arms_and_outcome(cohort, setting.arm)
    return float(log_rank(durations, happened, treated[:, None])[0])


def _false_findings(cohort: Cohort, setting: Setting) -> float:
    """Return how often arms dealt at random differ significantly; patients in an order that their ids do not change."""
    treated, durations, happened = arms_and_outcome(cohort, setting.arm)
    if not happened.any():
        raise NotComputableError("it needs events, and there are none")
    order = np.lexsort((happened, durations))
    dealt = np.repeat(np.sort(treated)[:, None], N_PERMUTATIONS, axis=1)
    dealt = stream(setting.seed, "type_one_error").permuted(dealt, axis=0)
    return float((np.abs(log_rank(durations[order], happened[order], dealt)) > Z_95).mean())
