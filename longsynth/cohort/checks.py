"""Everything that is checked where data enter: what contradicts the schema is an error, what is only odd is a note."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from longsynth.cohort.columns import counted
from longsynth.cohort.rules import check_columns, check_constraints
from longsynth.exceptions import CohortError
from longsynth.schema.types import Column, Schema, TerminalEvent, VisitTime

_MOST_LISTED = 20
_FEW_PATIENTS = 20
_END = "__end_of_follow_up"


def raise_all(problems: list[str]) -> None:
    """Raise one ``CohortError`` with every problem, if there is one."""
    if not problems:
        return
    listed = problems[:_MOST_LISTED]
    if len(problems) > _MOST_LISTED:
        listed.append(f"... and {len(problems) - _MOST_LISTED} more")
    raise CohortError(listed[0] if len(listed) == 1 else "\n- ".join(["the tables do not fit the schema:", *listed]))


def check_presence(static: pl.DataFrame, visits: pl.DataFrame | None, schema: Schema, origin: str) -> None:
    """Raise if a table is missing, superfluous or empty; synthetic patients may have no visit at all."""
    if schema.visit_time is None and visits is not None and visits.height:
        raise CohortError(
            "there is a visits table, but the schema has no visit_time; declare it, or leave the table out"
        )
    if schema.visit_time is not None and visits is None:
        raise CohortError("the schema has a visit_time, but there is no visits table; give one, or remove visit_time")
    if not static.height:
        raise CohortError("static: the table has no rows; a cohort needs patients")
    if schema.visit_time is not None and visits is not None and not visits.height and origin == "real":
        raise CohortError("visits: the table has no rows; give visits, or a schema without visit_time")


def problems(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> list[str]:
    """Return everything that is wrong with canonical tables."""
    time, end = schema.visit_time, schema.terminal_event
    found = _patient_problems(static, schema)
    if end is not None:
        found += _event_problems(static, end)
    found += check_columns(static, "static", {**_as_column(end), **schema.static}).problems
    if time is not None:
        found += _visit_problems(static, visits, schema, time)
        found += check_columns(visits, "visits", {**_as_column(time), **schema.channels}).problems
    return found + check_constraints(static, visits, schema)


def notes(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> tuple[str, ...]:
    """Return what is odd about a valid cohort, though no error."""
    found = []
    if static.height < _FEW_PATIENTS:
        found.append(f"static: only {counted(static.height, 'patient')}; they say little about their population")
    if schema.terminal_event is not None and not (static[schema.terminal_event.event] != 0).any():
        found.append(f"static.{schema.terminal_event.event}: every patient is censored; no event is observed")
    if schema.visit_time is not None:
        n_without = static.join(visits, on=schema.patient_id, how="anti").height
        if n_without:
            found.append(f"static: {counted(n_without, 'patient')} without a visit")
    both: tuple[tuple[str, pl.DataFrame, Mapping[str, Column]], ...] = (
        ("static", static, schema.static),
        ("visits", visits, schema.channels),
    )
    for table, frame, columns in both:
        found += check_columns(frame, table, columns).notes
        found += _sameness(frame.select(*columns), table)
    return tuple(found)


def notes_on_unused(table: pl.DataFrame, used: pl.DataFrame, name: str) -> list[str]:
    """Return a note on the columns that the schema does not name, if there are any."""
    unused = [column for column in table.columns if column not in used.columns]
    return [f"{name}: not in the schema, left out: {', '.join(unused)}"] if unused else []


def drop_after_event(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, list[str]]:
    """Return the visits up to the end of follow-up, and a note on how many were dropped."""
    if schema.visit_time is None or schema.terminal_event is None:
        return visits, []
    kept = visits.filter(~_is_late(static, visits, schema))
    n_dropped = visits.height - kept.height
    return kept, [f"visits: {counted(n_dropped)} after the end of follow-up left out"] if n_dropped else []


def _patient_problems(static: pl.DataFrame, schema: Schema) -> list[str]:
    ids = static[schema.patient_id]
    found = []
    if ids.null_count():
        found.append(f"static.{schema.patient_id}: {counted(ids.null_count())} without a patient id; fill it in")
    n_repeated = ids.drop_nulls().len() - ids.drop_nulls().n_unique()
    if n_repeated:
        remedy = "keep one row a patient, or give everything as one flat visits table"
        found.append(f"static.{schema.patient_id}: {counted(n_repeated)} with the id of another row; {remedy}")
    return found


def _event_problems(static: pl.DataFrame, end: TerminalEvent) -> list[str]:
    duration, event = static[end.duration], static[end.event]
    codes = [0, *end.event_types]
    n_unknown = (~event.drop_nulls().is_in(codes)).sum()
    listed = ", ".join(map(str, codes))
    checked = (
        (end.duration, duration.null_count(), "without a duration; fill it in, or leave those patients out"),
        (end.duration, (duration < 0).sum(), "with a negative duration; it counts from each patient's baseline"),
        (end.event, event.null_count(), "without an event type; write 0 for censored"),
        (end.event, n_unknown, f"with an event type other than {listed}; correct it, or add it to event_types"),
    )
    return [f"static.{column}: {counted(int(n))} {complaint}" for column, n, complaint in checked if n]


def _visit_problems(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema, time: VisitTime) -> list[str]:
    patient_id, times = schema.patient_id, visits[time.column]
    ids = visits[patient_id]
    unknown = visits.filter(pl.col(patient_id).is_not_null()).join(static, on=patient_id, how="anti")
    with_baseline, n_no_baseline = static, 0
    if time.kind != "number" and not time.origin_is_first_visit:
        with_baseline = static.filter(pl.col(str(time.origin)).is_not_null())
        n_no_baseline = (
            visits.join(static, on=patient_id, how="semi").join(with_baseline, on=patient_id, how="anti").height
        )
    n_no_time = visits.filter(times.is_null()).join(with_baseline, on=patient_id, how="semi").height
    present = visits.select(patient_id, time.column).drop_nulls()
    n_late = int(_is_late(static, visits, schema).sum()) if schema.terminal_event is not None else 0
    checked = (
        (patient_id, ids.null_count(), "without a patient id; fill it in"),
        (patient_id, unknown.height, "of patients who are not in the static table; add them there, or leave them out"),
        (time.column, n_no_baseline, f"of patients without a baseline date; fill in static.{time.origin}"),
        (time.column, n_no_time, "without a visit time; fill it in, or leave them out"),
        (time.column, (times < 0).sum(), "before baseline; leave them out, or move the baseline"),
        (time.column, present.height - present.n_unique(), "with the patient and time of another row; merge them"),
        (time.column, n_late, "after the end of follow-up; drop them with --drop-after-event (drop_after_event=True)"),
    )
    return [f"visits.{column}: {counted(int(n))} {complaint}" for column, n, complaint in checked if n]


def _is_late(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> pl.Series:
    """Return for each visit whether it lies after its patient's end of follow-up; False where that is not known."""
    assert schema.visit_time is not None and schema.terminal_event is not None  # for the type checker
    ends = static.select(schema.patient_id, pl.col(schema.terminal_event.duration).alias(_END))
    joined = visits.select(schema.patient_id, schema.visit_time.column).join(
        ends.unique(schema.patient_id, keep="any"), on=schema.patient_id, how="left", maintain_order="left"
    )
    return (joined[schema.visit_time.column] > joined[_END]).fill_null(False)


def _as_column(time: VisitTime | TerminalEvent | None) -> dict[str, Column]:
    """Return what the schema says about a time, as a column: numbers with the declared decimals."""
    if time is None:
        return {}
    name = time.column if isinstance(time, VisitTime) else time.duration
    decimals = time.decimals if time.kind == "number" else None
    return {name: Column(kind="continuous", decimals=decimals, inferred=("decimals",) * ("decimals" in time.inferred))}


def _sameness(frame: pl.DataFrame, table: str) -> list[str]:
    """Return a note for each column that is never observed, or has the same value in all of several rows."""
    if not frame.width or not frame.height:
        return []
    n_observed = frame.count().row(0)
    lowest, highest = frame.min().row(0), frame.max().row(0)
    found = []
    for name, n, low, high in zip(frame.columns, n_observed, lowest, highest, strict=True):
        if not n:
            found.append(f"{table}.{name}: never observed")
        elif low == high and frame.height > 1:
            found.append(f"{table}.{name}: one value in every row")
    return found
