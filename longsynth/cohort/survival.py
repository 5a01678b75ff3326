"""A cohort in the forms that survival packages read: one row a patient, counting process, or structured array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from longsynth.cohort.frames import to_pandas
from longsynth.cohort.trajectory import numbers
from longsynth.exceptions import CohortError, NotComputableError
from longsynth.schema.types import Column, TerminalEvent

if TYPE_CHECKING:
    import pandas as pd

    from longsynth.cohort.cohort import Cohort


def to_survival(cohort: Cohort) -> pd.DataFrame:
    """Return one row a patient, as lifelines and most survival packages take it.

    Parameters
    ----------
    cohort : Cohort
        N patients with a terminal event.

    Returns
    -------
    pandas.DataFrame
        N rows. Index ``patient_id``; the static attributes as in the cohort; ``duration`` in ``schema.time_unit`` since
        baseline; ``event``, an integer, 0 = censored.

    Raises
    ------
    NotComputableError
        If the cohort has no terminal event.
    CohortError
        If a static attribute is called ``patient_id``, ``duration`` or ``event``.

    Notes
    -----
    With several event types ``event`` holds their codes. Most packages read every code but 0 as the event. For a
    cause-specific analysis of type 1, where the other types censor, pass
    ``survival.assign(event=survival["event"] == 1)``; for cumulative incidence use a competing risks estimator
    (Aalen-Johansen), since 1 - Kaplan-Meier of one type overstates it.

    Examples
    --------
    >>> from longsynth.cohort.simulate import simulate_cohort
    >>> to_survival(simulate_cohort(50)).columns[-2:].to_list()
    ['duration', 'event']
    """
    table = _survival_table(cohort, ())
    return to_pandas(table.select("patient_id", *cohort.schema.static, "duration", "event")).set_index("patient_id")


def to_counting_process(cohort: Cohort) -> pd.DataFrame:
    """Return one row an interval between visits, as time-varying models take it.

    Parameters
    ----------
    cohort : Cohort
        Patients with a terminal event and visit times.

    Returns
    -------
    pandas.DataFrame
        Columns ``patient_id``, ``start``, ``stop``, ``event``, the static attributes, the channels. The intervals
        (start, stop] of a patient cover baseline to the end of follow-up without gap or overlap. A channel holds its
        last observed value at or before ``start``, missing before the first. ``event`` is the event type in the
        patient's last row, 0 in all others.

    Raises
    ------
    NotComputableError
        If the cohort has no terminal event or no visit times.
    CohortError
        If an attribute or channel is called ``patient_id``, ``start``, ``stop``, ``duration`` or ``event``, or an
        attribute like a channel.

    Notes
    -----
    Carrying the last value forward assumes that channels stay as they were until the next visit. Patients whose
    follow-up ends at baseline are never at risk and have no row. Drop rows with missing channels to let patients enter
    at their first visit. Several event types: see `to_survival`.
    """
    schema, time = cohort.schema, cohort.schema.visit_time
    table = _survival_table(cohort, ("start", "stop", *schema.channels))
    if time is None:
        raise NotComputableError("the cohort has no visit times; use to_survival instead")
    taken = sorted(set(schema.channels) & {"patient_id", "duration", "event", "start", "stop"})
    if taken:
        raise CohortError(f"channels named {', '.join(taken)} clash with columns of the result; rename them")
    visits = cohort.visits.rename({schema.patient_id: "patient_id", time.column: "start"})
    visits = visits.with_columns(pl.col("start").cast(pl.Float64))
    baseline = table.select("patient_id", start=pl.lit(0.0)).join(visits, on=["patient_id", "start"], how="anti")
    rows = pl.concat([baseline, visits], how="diagonal").sort("patient_id", "start")
    rows = rows.with_columns(pl.col(name).forward_fill().over("patient_id") for name in schema.channels)
    rows = rows.join(table, on="patient_id", how="left", maintain_order="left").filter(
        pl.col("start") < pl.col("duration")
    )
    following = pl.col("start").shift(-1).over("patient_id")
    rows = rows.with_columns(
        stop=pl.coalesce(following, "duration"),
        event=pl.when(following.is_null()).then("event").otherwise(0),
    )
    return to_pandas(rows.select("patient_id", "start", "stop", "event", *schema.static, *schema.channels))


def to_sksurv(cohort: Cohort) -> tuple[pd.DataFrame, np.ndarray]:
    """Return covariates and outcome as scikit-survival takes them.

    Parameters
    ----------
    cohort : Cohort
        N patients with a terminal event.

    Returns
    -------
    covariates : pandas.DataFrame
        N rows, index ``patient_id``, all floats: numbers as they are, dates as days since 1970-01-01, binary and
        ordinal attributes as the position of the level, a categorical attribute as one 0/1 column ``name=level`` for
        each level but the first. Missing values are NaN; most estimators want them imputed.
    outcome : ndarray, shape (N,)
        Structured: ``event`` (bool, True for every event type but 0) and ``duration`` (float).

    Raises
    ------
    NotComputableError
        If the cohort has no terminal event.

    Notes
    -----
    For a cause-specific analysis of one event type set ``outcome["event"]`` from the event column of
    ``cohort.static``, whose rows have the same order.
    """
    schema = cohort.schema
    end = _terminal_event(cohort)
    columns = [cohort.static[schema.patient_id].alias("patient_id")]
    for name, column in schema.static.items():
        columns += _covariates(cohort.static[name], column)
    outcome = np.empty(cohort.n_patients, dtype=[("event", bool), ("duration", float)])
    outcome["event"] = (cohort.static[end.event] != 0).to_numpy()
    outcome["duration"] = cohort.static[end.duration].cast(pl.Float64).to_numpy()
    return to_pandas(pl.DataFrame(columns)).set_index("patient_id"), outcome


def _terminal_event(cohort: Cohort) -> TerminalEvent:
    if cohort.schema.terminal_event is None:
        raise NotComputableError("the cohort has no terminal event; declare duration and event in its schema")
    return cohort.schema.terminal_event


def _survival_table(cohort: Cohort, added: Iterable[str]) -> pl.DataFrame:
    """Return the static table with id and outcome under their common names; raise if another column has one of them."""
    end = _terminal_event(cohort)
    common = {cohort.schema.patient_id: "patient_id", end.duration: "duration", end.event: "event"}
    taken = sorted(set(cohort.schema.static) & {*common.values(), *added})
    if taken:
        raise CohortError(f"static attributes named {', '.join(taken)} clash with columns of the result; rename them")
    return cohort.static.rename(common).with_columns(pl.col("duration").cast(pl.Float64))


def _covariates(values: pl.Series, column: Column) -> list[pl.Series]:
    """Return one column of numbers, or an indicator for each level but the first."""
    codes = numbers(values, column)
    if column.kind != "categorical":
        return [codes]
    levels = (column.levels or ())[1:]
    return [(codes == rank).cast(pl.Float64).alias(f"{values.name}={level}") for rank, level in enumerate(levels, 1)]
