"""Whether the terminal event, and censoring, come when they do in real patients."""

from __future__ import annotations

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import MANY_PATIENTS, WHOLE, Setting, metric
from longsynth.evaluation.survival import (
    Curve,
    area_between,
    censoring_curve,
    common_horizon,
    kaplan_meier,
    outcome,
    step,
    step_differences,
)
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import DAYS_PER_UNIT

MILESTONES = {
    "1 day": 1.0,
    "1 week": 7.0,
    "4 weeks": 28.0,
    "3 months": 91.3125,
    "6 months": 182.625,
    "1 year": 365.25,
    "2 years": 730.5,
    "5 years": 1826.25,
    "10 years": 3652.5,
}
SHORTEST_SHARE = 0.05


@metric(
    block="survival",
    level="survival",
    title="Mean distance between the Kaplan-Meier curves",
    by_stratum=True,
    most_patients=MANY_PATIENTS,
    is_share=True,
)
def km_distance(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Mean distance between the Kaplan-Meier curves of the event: ``int_0^tau |S_S(t) - S_R(t)| dt / tau``.

    The event is that of any type. tau is the 95th percentile of the reference's durations, or the last duration of a
    cohort that ends before it in censoring (`longsynth.evaluation.survival.common_horizon`).

    Sees: event times permuted where they come with other event types, events that come earlier, later or less often.
    Does not see: censoring that has changed alone, which patients have the event, anything about visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        `WHOLE` in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        Without a terminal event or follow-up.

    Notes
    -----
    Assumes that censoring is independent of the event.

    References
    ----------
    Kaplan and Meier (1958), doi:10.1080/01621459.1958.10501452.
    """
    made, real, horizon = _event_curves(sample, reference)
    return {WHOLE: area_between(made, real, horizon)}


@metric(
    block="survival",
    level="survival",
    title="Largest distance between the Kaplan-Meier curves",
    most_patients=MANY_PATIENTS,
    is_share=True,
)
def km_largest(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Largest distance between the Kaplan-Meier curves of the event: ``sup_{t <= tau} |S_S(t) - S_R(t)|``.

    Event and tau as in `km_distance`.

    Sees: what `km_distance` sees; a short stretch of wrong hazard better, a small difference that lasts worse.
    Does not see: censoring that has changed alone, which patients have the event, anything about visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        `WHOLE` in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        Without a terminal event or follow-up.

    Notes
    -----
    Assumes that censoring is independent of the event.

    References
    ----------
    Fleming, O'Fallon, O'Brien and Harrington (1980), Modified Kolmogorov-Smirnov test procedures with application to
    arbitrarily right-censored data, doi:10.2307/2556114.
    """
    made, real, horizon = _event_curves(sample, reference)
    return {WHOLE: float(np.abs(step_differences(made, real, horizon)[0]).max())}


@metric(
    block="survival",
    level="survival",
    title="Mean distance between the curves of censoring",
    most_patients=MANY_PATIENTS,
    is_share=True,
)
def censoring_distance(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Mean distance between the reverse Kaplan-Meier curves: ``int_0^tau |G_S(t) - G_R(t)| dt / tau``.

    G is the probability of not yet being censored (`longsynth.evaluation.survival.censoring_curve`); tau as in
    `km_distance`, for these curves.

    Sees: follow-up that ends too early, drop-out that has changed. Hardly: follow-up that ends too late, as nothing is
    compared after tau.
    Does not see: events that come earlier, later or less often, which patients are censored, anything about visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        `WHOLE` in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        Without a terminal event or follow-up.

    Notes
    -----
    Assumes that censoring is independent of the event: otherwise a change of the event moves this curve too.

    References
    ----------
    Schemper and Smith (1996), doi:10.1016/0197-2456(96)00075-X.
    """
    (made_end, made_type), (real_end, real_type) = outcome(sample), outcome(reference)
    made, real = censoring_curve(made_end, made_type > 0), censoring_curve(real_end, real_type > 0)
    return {WHOLE: area_between(made, real, common_horizon(real_end, made, real))}


@metric(
    block="survival",
    level="survival",
    title="Difference of survival at round times",
    worse="both",
    most_patients=MANY_PATIENTS,
)
def milestone_survival(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Difference of the Kaplan-Meier curves at round times: ``S_S(t) - S_R(t)``.

    Times are a day, a week, 4 weeks, 3 and 6 months, 1, 2, 5 and 10 years: those between a twentieth of tau and tau,
    which is that of `km_distance`.

    Sees: what `km_distance` sees, with its direction and in the clinic's words.
    Does not see: censoring that has changed alone, which patients have the event, anything about visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        By time, such as ``"1 year"``, in [-1, 1]; 0 is best, above 0 sample patients survive better.

    Raises
    ------
    NotComputableError
        Without a terminal event, follow-up, or a round time within it.

    Notes
    -----
    Assumes that censoring is independent of the event.
    """
    made, real, horizon = _event_curves(sample, reference)
    days = DAYS_PER_UNIT[reference.schema.time_unit]
    times = {name: value / days for name, value in MILESTONES.items()}
    parts = [name for name, time in times.items() if SHORTEST_SHARE * horizon <= time <= horizon]
    if not parts:
        raise NotComputableError("no round time, from a day to ten years, lies within the follow-up")
    at = np.array([times[name] for name in parts])
    return dict(zip(parts, (step(made, at, 1.0) - step(real, at, 1.0)).tolist(), strict=True))


def _event_curves(sample: Cohort, reference: Cohort) -> tuple[Curve, Curve, float]:
    """Return both Kaplan-Meier curves of the event, and the time until which they are compared."""
    (made_end, made_type), (real_end, real_type) = outcome(sample), outcome(reference)
    made, real = kaplan_meier(made_end, made_type > 0), kaplan_meier(real_end, real_type > 0)
    return made, real, common_horizon(real_end, made, real)
