"""Which date the dates of each column are probably counted from, told from the data."""

from __future__ import annotations

from typing import Any

import polars as pl

from longsynth.schema.reference_dates import CALENDAR
from longsynth.schema.types import VisitTime

Facts = dict[str, dict[str, Any]]
Notes = dict[tuple[str, ...], list[str]]


def add_references(
    static_facts: Facts,
    channel_facts: Facts,
    static: pl.DataFrame,
    visits: pl.DataFrame,
    patient_id: str,
    time: VisitTime | None,
    notes: Notes,
) -> None:
    """Add ``relative_to`` to the facts of date columns, and note what it means.

    A date is counted from what leaves the fewest different values: its visit or the baseline if visit times are dates,
    else the static date with the narrowest range; or from nothing, if the calendar dates themselves are far fewer.

    Parameters
    ----------
    static_facts, channel_facts : dict of str to dict
        Arguments of each `Column`; changed here.
    static, visits : polars.DataFrame
        Plain columns.
    patient_id : str
        The column of the patient id.
    time : VisitTime or None
        The visit time.
    notes : dict
        Comments by place in the file; added to here.
    """
    dates = [name for name, facts in static_facts.items() if facts["kind"] == "date" and name in static.columns]
    if time is None or time.kind == "number":
        reference = _narrowest(static, dates)
        references = {} if reference is None else {reference: static[reference]}
    else:
        reference = str(time.origin)
        first = visits.group_by(patient_id).agg(pl.col(time.column).min().alias(reference))
        origin = static.select(patient_id, reference) if reference in static.columns else first
        of_patient = origin.unique(patient_id, keep="first")
        references = {reference: _of_rows(static, of_patient, patient_id, reference)}
        at_visits = _of_rows(visits, of_patient, patient_id, reference)
        of_visits = {time.column: visits[time.column], reference: at_visits}
        for name in (name for name, facts in channel_facts.items() if facts["kind"] == "date"):
            _add(channel_facts[name], visits[name], of_visits, notes.setdefault(("channels", name), []))
    for name in dates if references else ():
        if name != reference:
            _add(static_facts[name], static[name], references, notes.setdefault(("static", name), []))


def _of_rows(table: pl.DataFrame, of_patient: pl.DataFrame, patient_id: str, name: str) -> pl.Series:
    """Return what each row's patient has."""
    return table.select(patient_id).join(of_patient, patient_id, "left", maintain_order="left")[name]


def _add(facts: dict[str, Any], dates: pl.Series, references: dict[str, pl.Series], notes: list[str]) -> None:
    """Add the reference that leaves the fewest different values; the first unless another leaves less than half."""
    n_values = {name: (_days(dates) - _days(reference)).n_unique() for name, reference in references.items()}
    n_values[CALENDAR] = _days(dates).n_unique()
    usual, fewest = next(iter(n_values)), min(n_values, key=n_values.__getitem__)
    chosen = fewest if 2 * n_values[fewest] < n_values[usual] else usual
    facts |= {"relative_to": chosen, "inferred": (*facts["inferred"], "relative_to")}
    if chosen == CALENDAR:
        notes.append(f"few different dates: learnt as such, not as the time since {usual}")
    else:
        notes.append(f"learnt as the time since {chosen}")


def _narrowest(static: pl.DataFrame, dates: list[str]) -> str | None:
    """Return the date that others are counted from: never missing, of many values, and with the narrowest range."""
    if len(dates) < 2:
        return None
    days = {name: _days(static[name]).cast(pl.Float64) for name in dates}
    most = max(column.n_unique() for column in days.values())
    known = [name for name, column in days.items() if not column.null_count() and 2 * column.n_unique() >= most]
    return min(known, key=lambda name: _range(days[name]), default=None)


def _range(days: pl.Series) -> float:
    """Return the width of the middle 80 %."""
    low, high = (days.quantile(share) or 0.0 for share in (0.1, 0.9))
    return high - low


def _days(dates: pl.Series) -> pl.Series:
    return dates.dt.date().to_physical()
