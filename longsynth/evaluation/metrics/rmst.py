"""Whether patients live as long without the event, in units of time."""

from __future__ import annotations

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import MANY_PATIENTS, TIME_UNIT, WHOLE, Setting, metric
from longsynth.evaluation.survival import common_horizon, kaplan_meier, outcome, restricted_mean


@metric(
    block="survival",
    level="survival",
    title="Difference of the restricted mean survival time",
    worse="both",
    unit=TIME_UNIT,
    most_patients=MANY_PATIENTS,
)
def rmst_difference(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Difference of the mean time without the event up to a horizon: ``int_0^tau S_S(t) - S_R(t) dt``.

    Event and tau as in `longsynth.evaluation.metrics.survival.km_distance`. Its standard error for independent cohorts
    is the root of the sum of squares of those that `longsynth.evaluation.survival.restricted_mean` returns.

    Sees: events that come earlier, later or less often, on the whole.
    Does not see: curves that cross so that the areas cancel, censoring, which patients have the event, visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        `WHOLE` in the schema's time unit; 0 is best, above 0 sample patients stay free of the event longer.

    Raises
    ------
    NotComputableError
        Without a terminal event or follow-up.

    Notes
    -----
    Assumes that censoring is independent of the event.

    References
    ----------
    Royston and Parmar (2013), doi:10.1186/1471-2288-13-152.
    """
    made, real = _restricted_means(sample, reference)
    return {WHOLE: made - real}


@metric(
    block="survival",
    level="survival",
    title="Difference of the restricted mean survival time, relative to the real one",
    worse="both",
    most_patients=MANY_PATIENTS,
)
def rmst_relative(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """`rmst_difference` divided by the restricted mean of the reference: ``RMST_S / RMST_R - 1``.

    Sees: what `rmst_difference` sees, in a number that compares across cohorts.
    Does not see: curves that cross so that the areas cancel, censoring, which patients have the event, visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        `WHOLE`, at least -1; 0 is best, 0.05 means 5 % longer free of the event.

    Raises
    ------
    NotComputableError
        Without a terminal event or follow-up.

    Notes
    -----
    Assumes that censoring is independent of the event.

    References
    ----------
    Royston and Parmar (2013), doi:10.1186/1471-2288-13-152.
    """
    made, real = _restricted_means(sample, reference)
    return {WHOLE: made / real - 1}


def _restricted_means(sample: Cohort, reference: Cohort) -> tuple[float, float]:
    """Return the restricted means of the sample and of the reference."""
    (made_end, made_type), (real_end, real_type) = outcome(sample), outcome(reference)
    made, real = (made_end, made_type > 0), (real_end, real_type > 0)
    horizon = common_horizon(real_end, kaplan_meier(*made), kaplan_meier(*real))
    return restricted_mean(*made, horizon)[0], restricted_mean(*real, horizon)[0]
