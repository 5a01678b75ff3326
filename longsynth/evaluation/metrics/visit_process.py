"""Metrics of the visits themselves: how many, how far apart and until when, whatever was measured at them."""

from __future__ import annotations

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.columns import observed
from longsynth.evaluation.marginal import kolmogorov_smirnov
from longsynth.evaluation.visit_process import GAP_DIGITS, require_visits, visit_counts
from longsynth.evaluation.visit_process import rows_after_end as count_rows_after_end
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Schema

MOST_GAPS = 5
FEWEST_GAPS = 10
CENSORED = "censored"


@metric(block="visit_process", level="trajectory", title="Number of visits a patient", by_stratum=True, is_share=True)
def visit_count(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the Kolmogorov-Smirnov distance between the numbers of visits a patient, ``sup_k |F(k) - G(k)|``.

    Sees: visits left out or added. Not: when they are, and what was measured.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole; in [0, 1], lower is better. A patient without visits counts as 0.

    Raises
    ------
    NotComputableError
        If the schema has no visit time.

    References
    ----------
    Massey (1951), The Kolmogorov-Smirnov test for goodness of fit, doi:10.1080/01621459.1951.10500769.
    """
    counts = [observed(visit_counts(cohort)) for cohort in (sample, reference)]
    return {WHOLE: kolmogorov_smirnov(counts[0], counts[1])}


@metric(
    block="visit_process", level="trajectory", title="Time from first to last visit", by_stratum=True, is_share=True
)
def visit_span(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the Kolmogorov-Smirnov distance between the times from a patient's first to the last visit.

    ``sup_u |F(u) - G(u)|`` over patients with visits; one visit gives 0.

    Sees: times stretched, and weakly late visits left out. Not: the order of values.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole; in [0, 1], lower is better; 1 if only one of the two cohorts has visits.

    Raises
    ------
    NotComputableError
        If the schema has no visit time, or the reference no visits.
    """
    spans = [_visit_table(cohort).group_by("patient").agg(pl.col("time").max() - pl.col("time").min())["time"]
             for cohort in (sample, reference)]  # fmt: skip
    return {WHOLE: _distance(spans[0].round_sig_figs(GAP_DIGITS), spans[1].round_sig_figs(GAP_DIGITS), "no visits")}


@metric(block="visit_process", level="transition", title="Time between visits", by_stratum=True, is_share=True)
def visit_gap(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the Kolmogorov-Smirnov distance between the times from one visit to the next, ``sup_u |F(u) - G(u)|``.

    Sees: gaps made equal, times stretched. Not: which patient has which gaps, and what was measured.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole, all gaps pooled; and ``gap 1`` to ``gap 5``, the gap after that visit, where 10 reference patients
        have it. In [0, 1], lower is better. Gaps are taken to four digits.

    Raises
    ------
    NotComputableError
        If the schema has no visit time, or no patient of the reference two visits.
    """
    made, real = (_visit_table(cohort).drop_nulls("gap") for cohort in (sample, reference))
    parts = {WHOLE: _distance(made["gap"], real["gap"], "no patient with two visits")}
    for number in range(1, MOST_GAPS + 1):
        chosen = [table.filter(pl.col("number") == number)["gap"] for table in (made, real)]
        if len(chosen[1]) >= FEWEST_GAPS:
            parts[f"gap {number}"] = kolmogorov_smirnov(observed(chosen[0]), observed(chosen[1]))
    return parts


@metric(block="visit_process", level="trajectory", title="Number of visits by how follow-up ended", is_share=True)
def visit_count_by_event(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the distance between the numbers of visits of patients whose follow-up ended the same way.

    ``sum_e w_e sup_k |F_e(k) - G_e(k)|`` over event types e, censored included, with w_e the share of e among the
    reference patients. The length of a record tells of death and drop-out, so it must be right within each.

    Sees: visits left out before events, events given to other patients. Not: what was measured.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole, and each way to end (``censored`` or the name of the event type) held by 10 reference patients.
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no visit time or no terminal event, or the reference fewer than 10 patients of each.
    """
    tables = [_ends(cohort).with_columns(visit_counts(cohort).alias("value")) for cohort in (sample, reference)]
    return _by_event(tables[0], tables[1], reference.schema)


@metric(block="visit_process", level="transition", title="Time between visits by how follow-up ended", is_share=True)
def visit_gap_by_event(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the distance between the times between visits of patients whose follow-up ended the same way.

    ``sum_e w_e sup_u |F_e(u) - G_e(u)|`` over event types e, censored included, with w_e the share of e among the
    reference's gaps.

    Sees: gaps made equal, times stretched, sicker patients no longer seen more often. Not: what was measured.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        As `visit_count_by_event`.

    Raises
    ------
    NotComputableError
        If the schema has no visit time or no terminal event, or the reference fewer than 10 gaps of each.
    """
    tables = []
    for cohort in (sample, reference):
        gaps = _visit_table(cohort).drop_nulls("gap").rename({"gap": "value"})
        tables.append(gaps.join(_ends(cohort), on="patient"))
    return _by_event(tables[0], tables[1], reference.schema)


@metric(block="visit_process", level="trajectory", title="Time from last visit to the end of follow-up", is_share=True)
def time_since_last_visit(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the distance between the times from the last visit to the end of follow-up, by how follow-up ended.

    ``sum_e w_e sup_u |F_e(u) - G_e(u)|`` over event types e, censored included, with w_e the share of e among the
    reference patients with visits.

    Sees: last visits left out before events, event times permuted. Not: what was measured.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        As `visit_count_by_event`.

    Raises
    ------
    NotComputableError
        As `visit_count_by_event`.
    """
    tables = []
    for cohort in (sample, reference):
        last = _visit_table(cohort).group_by("patient").agg(pl.col("time").max())
        waits = (pl.col("duration") - pl.col("time")).round_sig_figs(GAP_DIGITS)
        tables.append(_ends(cohort).join(last, on="patient").with_columns(waits.alias("value")))
    return _by_event(tables[0], tables[1], reference.schema)


@metric(block="visit_process", level="visit", title="Visits after the end of follow-up", is_share=True)
def visits_after_end(sample: Cohort, _reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the share of the sample's visits that lie after their patient's end of follow-up.

    ``#{visits with time > duration} / #visits``. A `Cohort` refuses such visits when it is made, so this is 0 unless
    that check was passed by.

    Sees: visits of the dead.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole; in [0, 1], 0 is right.

    Raises
    ------
    NotComputableError
        If the schema has no visit time or no terminal event, or the sample no visits.
    """
    n_after = count_rows_after_end(sample)
    if not sample.n_visits:
        raise NotComputableError("it needs visits, and the sample has none")
    return {WHOLE: n_after / sample.n_visits}


def _visit_table(cohort: Cohort) -> pl.DataFrame:
    """Return patient, time, the number of the gap that ends here (from 1) and its length; null at first visits."""
    time_column = require_visits(cohort)
    first = pl.col("patient") != pl.col("patient").shift()
    gap = pl.when(~first).then(pl.col("time").diff()).round_sig_figs(GAP_DIGITS)
    table = cohort.visits.select(
        pl.col(cohort.schema.patient_id).alias("patient"), pl.col(time_column).cast(pl.Float64).alias("time")
    )
    return table.with_columns(gap.alias("gap"), pl.int_range(pl.len()).over("patient").alias("number"))


def _ends(cohort: Cohort) -> pl.DataFrame:
    """Return patient, duration and event type, in the order of the static table."""
    schema = cohort.schema
    if schema.terminal_event is None:
        raise NotComputableError("it needs a terminal event, and the schema has none")
    return cohort.static.select(
        pl.col(schema.patient_id).alias("patient"),
        pl.col(schema.terminal_event.duration).cast(pl.Float64).alias("duration"),
        pl.col(schema.terminal_event.event).cast(pl.Int64).alias("event"),
    )


def _by_event(made: pl.DataFrame, real: pl.DataFrame, schema: Schema) -> dict[str, float]:
    """Return the distance between the columns ``value`` within each event type, and the mean weighted by its rows."""
    names = {0: CENSORED} | (schema.terminal_event.event_types if schema.terminal_event is not None else {})
    parts: dict[str, float] = {}
    weights = []
    for code, name in names.items():
        chosen = [observed(table.filter(pl.col("event") == code)["value"]) for table in (made, real)]
        if len(chosen[1]) >= FEWEST_GAPS:
            parts[name] = kolmogorov_smirnov(chosen[0], chosen[1])
            weights.append(len(chosen[1]))
    if not parts:
        raise NotComputableError(f"no way in which follow-up ends is held {FEWEST_GAPS} times in the reference")
    return {WHOLE: float(np.average(list(parts.values()), weights=weights)), **parts}


def _distance(made: pl.Series, real: pl.Series, lacking: str) -> float:
    if real.is_empty():
        raise NotComputableError(f"the reference has {lacking}")
    return kolmogorov_smirnov(observed(made), observed(real))
