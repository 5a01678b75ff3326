"""How often, how many and until when: the visits themselves, whatever was measured at them."""

from __future__ import annotations

import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.columns import observed
from longsynth.evaluation.marginal import kolmogorov_smirnov
from longsynth.exceptions import NotComputableError

GAP_DIGITS = 4


def ks_visits(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the Kolmogorov-Smirnov distance between the numbers of visits a patient (0 included).

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no visit time.
    """
    counts = [observed(visit_counts(cohort)) for cohort in (synthetic, holdout)]
    return kolmogorov_smirnov(counts[0], counts[1])


def ks_gap(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the Kolmogorov-Smirnov distance between the gaps between consecutive visits, pooled over patients.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no visit time, or no holdout patient two visits.
    """
    real = gaps(holdout)
    if real.is_empty():
        raise NotComputableError("it needs gaps, and no holdout patient has two visits")
    return kolmogorov_smirnov(observed(gaps(synthetic)), observed(real))


def rows_after_end(synthetic: Cohort) -> float:
    """Return the number of visits later than their patient's end of follow-up.

    Parameters
    ----------
    synthetic : Cohort
        A `Cohort` refuses such visits when it is made, so this is 0 unless that check is broken.

    Returns
    -------
    float
        0 is right.

    Raises
    ------
    NotComputableError
        If the cohort has no visit times or no terminal event.
    """
    schema = synthetic.schema
    if schema.visit_time is None or schema.terminal_event is None:
        raise NotComputableError("it needs visit times and a terminal event")
    ends = synthetic.static.select(schema.patient_id, pl.col(schema.terminal_event.duration).alias("end of follow-up"))
    both = synthetic.visits.join(ends, on=schema.patient_id)
    return float(both.filter(pl.col(schema.visit_time.column) > pl.col("end of follow-up")).height)


def gaps(cohort: Cohort) -> pl.Series:
    """Return the times between consecutive visits of all patients, in ``schema.time_unit``, to four digits.

    A difference of times carries their rounding error: hourly visits in days are 0.041667 or 0.041666 days apart where
    times have six decimals, and 1/24 where they are exact, and none of this says anything about patients.
    """
    same_patient = pl.col(cohort.schema.patient_id) == pl.col(cohort.schema.patient_id).shift()
    time = pl.col(require_visits(cohort)).cast(pl.Float64)
    gap = pl.when(same_patient).then(time.diff()).round_sig_figs(GAP_DIGITS)
    return cohort.visits.select(gap.alias("gap"))["gap"].drop_nulls()


def visit_counts(cohort: Cohort) -> pl.Series:
    """Return each patient's number of visits (0 included), in the order of ``cohort.static``."""
    require_visits(cohort)
    name = cohort.schema.patient_id
    counts = cohort.visits.group_by(name).len("count")
    joined = cohort.static.select(name).join(counts, on=name, how="left", maintain_order="left")
    return joined["count"].fill_null(0)


def require_visits(cohort: Cohort) -> str:
    """Return the name of the column of visit times.

    Raises
    ------
    NotComputableError
        If the schema has none.
    """
    if cohort.schema.visit_time is None:
        raise NotComputableError("it needs visits, and the schema has no visit time")
    return cohort.schema.visit_time.column
