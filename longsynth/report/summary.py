"""Cohorts side by side in numbers: what their columns hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numbers, patient_features, transition_features
from longsynth.evaluation.association import spearman
from longsynth.evaluation.survival import kaplan_meier
from longsynth.evaluation.visit_process import gaps
from longsynth.schema.types import Column

NONE = "-"
Row = tuple[str, str, str]


def describe_columns(cohorts: Mapping[str, Cohort]) -> pl.DataFrame:
    """Describe what cohorts of one schema hold, side by side.

    Parameters
    ----------
    cohorts : mapping of str to Cohort
        By title.

    Returns
    -------
    polars.DataFrame
        Text columns ``section``, ``what`` and one a cohort. Numbers are given as median (10 % to 90 %), levels as
        shares; the correlation of a value with the next one is Spearman's.
    """
    described = [list(_describe(cohort)) for cohort in cohorts.values()]
    frame = pl.DataFrame([row[:2] for row in described[0]], schema=["section", "what"], orient="row")
    values = [pl.Series(title, [row[2] for row in rows]) for title, rows in zip(cohorts, described, strict=True)]
    return frame.with_columns(values)


def _describe(cohort: Cohort) -> Iterator[Row]:
    schema = cohort.schema
    yield "size", "patients", f"{cohort.n_patients:,}"
    if schema.visit_time is not None:
        yield "size", "visits a patient", _spread(patient_features(cohort)["visits.count"])
        yield "size", f"{schema.time_unit} between visits", _spread(gaps(cohort))
    for name, column in schema.static.items():
        yield "static attributes", _title(name, column), _values(cohort.static[name], column)
    yield from _outcome(cohort)
    for name, channel in schema.channels.items():
        yield "channels, all visits", _title(name, channel), _values(cohort.visits[name], channel)
    yield from _lag1(cohort)


def _outcome(cohort: Cohort) -> Iterator[Row]:
    event = cohort.schema.terminal_event
    if event is None:
        return
    durations, codes = cohort.static[event.duration].cast(pl.Float64), cohort.static[event.event]
    yield "outcome", f"follow-up ({cohort.schema.time_unit})", _spread(durations)
    for code, name in event.event_types.items():
        yield "outcome", f"{event.event} = {code} ({name})", _percent((codes == code).mean())
    times, survival = kaplan_meier(durations.to_numpy(), codes.to_numpy() > 0)
    reached = times[survival <= 0.5]
    median = _short(reached[0]) if len(reached) else "not reached"
    yield "outcome", "median time to event", median


def _lag1(cohort: Cohort) -> Iterator[Row]:
    pairs = transition_features(cohort)
    for name, column in cohort.schema.channels.items():
        if column.kind != "categorical":
            before, after = (pairs.select(f"{when}.{name}").to_numpy() for when in ("before", "after"))
            correlation = spearman(before, after)[0, 0]
            yield (
                "lag-1 correlation",
                name,
                NONE if np.isnan(correlation) else f"{correlation:.2f}",
            )


def _title(name: str, column: Column) -> str:
    return name if column.unit is None else f"{name} ({column.unit})"


def _values(values: pl.Series, column: Column) -> str:
    """Return the spread of numbers, or the share of each level (of the second one, if there are two)."""
    missing = f", {_percent(values.null_count() / len(values))} missing" if values.null_count() else ""
    if column.kind == "date":
        days = values.drop_nulls().sort()
        return (f"{days[len(days) // 2]:%Y-%m-%d}" if len(days) else NONE) + missing
    coded = numbers(values, column)
    if column.levels is None:
        return _spread(coded) + missing
    shown = list(enumerate(column.levels))[-1:] if column.kind == "binary" else enumerate(column.levels)
    shares = ", ".join(f"{level}: {_percent((coded == rank).mean())}" for rank, level in shown)
    return shares + missing


def _spread(values: pl.Series) -> str:
    low, middle, high = (values.quantile(share, "linear") for share in (0.1, 0.5, 0.9))
    return NONE if middle is None else f"{_short(middle)} ({_short(low)} to {_short(high)})"


def _short(value: float | None) -> str:
    """Write a number with three digits, or with all those before the decimal point."""
    return NONE if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _percent(share: object) -> str:
    return f"{100 * share:.0f}%" if isinstance(share, float) else NONE
