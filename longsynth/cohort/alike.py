"""Whether cohorts can be compared: the same columns under one schema, and no patient on both sides."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from longsynth.cohort.checks import raise_all
from longsynth.cohort.cohort import Cohort
from longsynth.cohort.columns import counted
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.exceptions import CohortError
from longsynth.schema.types import Column, Schema


def under_schema(cohort: Cohort, schema: Schema, name: str) -> Cohort:
    """Return a cohort as one of another schema that describes the same columns.

    Parameters
    ----------
    cohort : Cohort
        Perhaps made by another tool, with a schema of its own.
    schema : Schema
        The one to compare under. Bounds, decimals, constraints and what was inferred may differ; kinds, levels in use,
        units and the time unit may not. Units and levels that one of the two does not name are taken to be the same.
    name : str
        What to call the cohort in an error.

    Returns
    -------
    Cohort
        Under ``schema``; columns it does not have are left out.

    Raises
    ------
    CohortError
        If a column is missing or means something else; lists all of them.
    """
    if cohort.schema == schema:
        return cohort
    found = [*_frame_problems(cohort.schema, schema)]
    found += _column_problems("static", cohort.schema.static, schema.static, cohort.static)
    found += _column_problems("visits", cohort.schema.channels, schema.channels, cohort.visits)
    raise_all([f"{name}: {problem}" for problem in found])
    own, visits = cohort.schema, None
    static = cohort.static.rename({own.patient_id: schema.patient_id})
    if own.terminal_event is not None and schema.terminal_event is not None:
        static = static.rename(dict(zip(own.event_columns, schema.event_columns, strict=True)))
    if own.visit_time is not None and schema.visit_time is not None:
        visits = cohort.visits.rename(
            {own.patient_id: schema.patient_id, own.visit_time.column: schema.visit_time.column}
        )
    same = object.__new__(Cohort)
    same.schema, same.origin, same._entry_notes = schema, cohort.origin, []
    same.static = static.select(schema.patient_id, *schema.static, *schema.event_columns)
    if visits is None or schema.visit_time is None:
        same.visits = same.static.select(schema.patient_id).clear()
    else:
        same.visits = visits.select(schema.patient_id, schema.visit_time.column, *schema.channels)
    return same


def n_shared_ids(first: Cohort, second: Cohort) -> int:
    """Return how many patient ids two cohorts have in common, whether they came as numbers or as text."""
    ids = [cohort.static[cohort.schema.patient_id].cast(pl.String) for cohort in (first, second)]
    return int(ids[0].is_in(ids[1].implode()).sum())


def n_same_patients(first: Cohort, second: Cohort) -> int:
    """Return how many patients two cohorts under one schema have in common: the same id and the same data."""
    shared, other = _by_id(first), _by_id(second)
    return sum(other.get(patient) == data for patient, data in shared.items())


def check_disjoint(train: Cohort, holdout: Cohort) -> None:
    """Raise `CohortError` if a patient id is in both cohorts."""
    n_shared = n_shared_ids(holdout, train)
    if n_shared:
        raise CohortError(
            f"holdout: {counted(n_shared, 'patient')} with the id of a train patient; hold out other patients than "
            "those of train (`longsynth split`)"
        )


def _by_id(cohort: Cohort) -> dict[str, tuple[object, list[object]]]:
    """Return the static row and the visits of each patient as numbers, by the id as text."""
    name = cohort.schema.patient_id
    static = numeric_static(cohort).with_columns(pl.col(name).cast(pl.String))
    visits = numeric_visits(cohort).with_columns(pl.col(name).cast(pl.String))
    found: dict[str, tuple[object, list[object]]] = {row[0]: (row[1:], []) for row in static.iter_rows()}
    for row in visits.iter_rows():
        found[row[0]][1].append(row[1:])
    return found


def _frame_problems(own: Schema, wanted: Schema) -> list[str]:
    found = []
    if own.time_unit != wanted.time_unit:
        found.append(f"time is in {own.time_unit}, not {wanted.time_unit}; convert visit times and durations")
    for part in ("visit_time", "terminal_event"):
        if (getattr(own, part) is None) != (getattr(wanted, part) is None):
            verb = "lacks" if getattr(own, part) is None else "has"
            found.append(f"the schema {verb} a {part}, unlike that of the real cohort; read it with the same schema")
    if own.terminal_event is not None and wanted.terminal_event is not None:
        unknown = set(own.terminal_event.event_types) - set(wanted.terminal_event.event_types)
        if unknown:
            found.append(f"{len(unknown)} event types that the real cohort's schema does not name; recode them")
    return found


def _column_problems(
    table: str, own: Mapping[str, Column], wanted: Mapping[str, Column], values: pl.DataFrame
) -> list[str]:
    found = []
    for name, column in wanted.items():
        if name not in own:
            found.append(f"{table}: there is no column {name!r}; add it, also if it is empty")
        elif own[name].kind != column.kind:
            found.append(
                f"{table}.{name}: is {own[name].kind}, not {column.kind}; read it with the real cohort's schema"
            )
        elif own[name].unit and column.unit and own[name].unit != column.unit:
            found.append(f"{table}.{name}: is in {own[name].unit}, not {column.unit}; convert it")
        elif column.levels is not None:
            n_unknown = _n_unknown(values[name], column)
            if n_unknown:
                found.append(
                    f"{table}.{name}: {counted(n_unknown)} with a level that the real schema lacks; recode them"
                )
    return found


def _n_unknown(values: pl.Series, column: Column) -> int:
    present = values.drop_nulls()
    levels = column.levels or ()
    if isinstance(levels[0], str) != (present.dtype == pl.String):
        return len(present)
    if isinstance(levels[0], str):
        return int((~present.is_in(list(levels))).sum())
    return int((~present.cast(pl.Float64).is_in([float(level) for level in levels])).sum())
