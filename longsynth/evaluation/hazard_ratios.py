"""Log hazard ratios of the event, one covariate at a time: at baseline, and as channels change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.evaluation.cox import fit_cox_each
from longsynth.evaluation.survival import outcome
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import NUMERIC_KINDS, Column

FEWEST_EVENTS = 5
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HazardRatio:
    """An estimated effect on the hazard.

    Attributes
    ----------
    log_ratio, standard_error : float
        Log hazard ratio a unit of the covariate (a step of an ordered level; the level against all others), and its
        standard error.
    scale : float
        Standard deviation of a covariate that is a number, 1 for levels: ``log_ratio * scale`` has no unit.
    """

    log_ratio: float
    standard_error: float
    scale: float


def baseline_hazard_ratios(cohort: Cohort) -> dict[str, HazardRatio]:
    """Return the log hazard ratio of each static attribute, from a Cox model of its own.

    Parameters
    ----------
    cohort : Cohort
        N patients with a terminal event, which may be of any type.

    Returns
    -------
    dict of str to HazardRatio
        By ``static.<name>``, or ``static.<name>=<level>`` for each level of a categorical attribute against all other
        patients. Those that are not determined, or known of fewer than 5 patients with events, are left out.

    Raises
    ------
    NotComputableError
        If the schema has no terminal event.

    Notes
    -----
    Patients in whom an attribute is missing are left out of its model. One attribute at a time, so that few events
    suffice; a ratio is hence not adjusted for the other attributes.
    """
    durations, types = outcome(cohort)
    return _hazard_ratios("static.", cohort.schema.static, numeric_static(cohort), durations, types > 0, None)


def channel_hazard_ratios(cohort: Cohort) -> dict[str, HazardRatio]:
    """Return the log hazard ratio of each channel's last observed value, from a time-varying Cox model of its own.

    Parameters
    ----------
    cohort : Cohort
        N patients with visits and a terminal event, which may be of any type.

    Returns
    -------
    dict of str to HazardRatio
        By ``visits.<channel>``, or ``visits.<channel>=<level>`` for each level of a categorical channel against all
        others. Those that are not determined, or seen before fewer than 5 events, are left out.

    Raises
    ------
    NotComputableError
        If the schema has no terminal event or no visit times.

    Notes
    -----
    A patient is at risk from the first visit at which the channel was observed, and keeps its value until the next; see
    `at_risk_intervals`.
    """
    intervals = at_risk_intervals(cohort)
    start, stop, happened = (intervals[name].to_numpy() for name in ("(start)", "(stop)", "(event)"))
    channels = intervals.rename({name: f"visits.{name}" for name in cohort.schema.channels})
    return _hazard_ratios("visits.", cohort.schema.channels, channels, stop, happened, start)


def at_risk_intervals(cohort: Cohort) -> pl.DataFrame:
    """Return the intervals between visits during which patients are at risk, with the values last observed.

    Parameters
    ----------
    cohort : Cohort
        N patients with visits and a terminal event.

    Returns
    -------
    polars.DataFrame
        Columns ``(start)`` and ``(stop)``, in units of time, ``(event)``, whether an event of any type ends the
        interval, and the channels as numbers (null before their first observed value). Intervals of no length, as
        after a visit at the end of follow-up, are left out.

    Raises
    ------
    NotComputableError
        If the schema has no terminal event or no visit times.
    """
    schema = cohort.schema
    durations, types = outcome(cohort)
    if schema.visit_time is None:
        raise NotComputableError("it needs visit times, and the schema has none")
    patient, time = pl.col(schema.patient_id), schema.visit_time.column
    ends = cohort.static.select(
        patient, pl.Series("(end)", durations, dtype=pl.Float64), pl.Series("(dies)", types > 0, dtype=pl.Boolean)
    )
    rows = numeric_visits(cohort).join(ends, on=schema.patient_id, how="left", maintain_order="left")
    following = pl.col(time).shift(-1).over(patient)
    return (
        rows.with_columns(
            pl.col(time).alias("(start)"),
            pl.min_horizontal(following, "(end)").alias("(stop)"),
            *(pl.col(name).forward_fill().over(patient) for name in schema.channels),
        )
        .filter(pl.col("(start)") < pl.col("(stop)"))
        .select(
            "(start)",
            "(stop)",
            (pl.col("(dies)") & (pl.col("(stop)") == pl.col("(end)"))).alias("(event)"),
            *schema.channels,
        )
    )


def _hazard_ratios(
    table: str,
    columns: Mapping[str, Column],
    values: pl.DataFrame,
    stop: Floats,
    happened: NDArray[np.bool_],
    start: Floats | None,
) -> dict[str, HazardRatio]:
    """Return the ratio of each column of ``values``, called ``<table><name>``, for which there are enough events."""
    covariates: dict[str, Floats] = {}
    scales: list[float] = []
    for name, column in columns.items():
        codes = values[f"{table}{name}"].to_numpy().astype(np.float64)
        found = _indicators(codes, column) if column.kind == "categorical" else {"": codes}
        covariates |= {f"{table}{name}{level}": one for level, one in found.items()}
        known = codes[~np.isnan(codes)]
        scales += [float(known.std()) if column.kind in NUMERIC_KINDS and len(known) else 1.0] * len(found)
    if not covariates or not happened.any():
        return {}
    matrix = np.column_stack(list(covariates.values()))
    matrix[:, (~np.isnan(matrix[happened])).sum(axis=0) < FEWEST_EVENTS] = np.nan
    coefficients, errors = fit_cox_each(matrix, stop, happened, start)
    ratios = zip(covariates, coefficients.tolist(), errors.tolist(), scales, strict=True)
    return {part: HazardRatio(beta, error, scale) for part, beta, error, scale in ratios if np.isfinite(error)}


def _indicators(codes: Floats, column: Column) -> dict[str, Floats]:
    """Return for each level ``=<level>`` whether it is the value, NaN where missing."""
    known = ~np.isnan(codes)
    return {f"={level}": np.where(known, codes == rank, np.nan) for rank, level in enumerate(column.levels or ())}
