"""Propose a schema from tables, for a person to edit."""

from __future__ import annotations

import difflib
from collections import defaultdict
from typing import Any, Literal, NamedTuple

import polars as pl
from pydantic import ValidationError

from longsynth.exceptions import SchemaError
from longsynth.schema.files import readable_problems
from longsynth.schema.infer_dates import add_references
from longsynth.schema.kinds import Guess, counted_rows, decimals_of, guess, has_time_of_day, plain, typed
from longsynth.schema.suggest import constraints_that_hold
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, TimeUnit, VisitTime
from longsynth.schema.yaml_text import FlowMapping, yaml_text

Notes = defaultdict[tuple[str, ...], list[str]]
TimeKind = Literal["number", "date", "datetime"]

BASELINE = "baseline_date"
_DAYS_TO_FIRST_VISIT = 366


class Proposal(NamedTuple):
    """A schema read off the data, and what a person should know about it.

    Attributes
    ----------
    schema : Schema
        Every fact in it that was read off the data is listed in ``inferred``.
    comments : dict
        Lines for `write_schema`, by place in the file: columns left out and why, rare levels, constraints that hold.
    """

    schema: Schema
    comments: dict[tuple[str, ...], list[str]]


def infer_schema(
    static: Any,
    visits: Any = None,
    *,
    patient_id: str,
    visit_time: str | None = None,
    duration: str | None = None,
    event: str | None = None,
    time_unit: TimeUnit = "days",
) -> Schema:
    """Propose a schema from the tables of a cohort.

    Parameters
    ----------
    static : polars.DataFrame, pandas.DataFrame or None
        One row a patient. None: ``visits`` is a flat table, and its columns that never change within a patient become
        static attributes.
    visits : polars.DataFrame, pandas.DataFrame or None
        One row a visit. None: a static table alone.
    patient_id : str
        The column of the patient id, in both tables.
    visit_time : str or None
        The column of the visit times: numbers since baseline, dates or datetimes.
    duration, event : str or None
        The columns of the end of follow-up and of its type (0 = censored). None: no terminal event.
    time_unit : str
        Unit of visit times and durations.

    Returns
    -------
    Schema
        Kinds, levels, decimals and bounds as read off the data, all marked as inferred. Bounds are rounded outwards so
        that they copy no patient's value. Columns that identify patients, or were never observed, are left out.

    Raises
    ------
    SchemaError
        If a named column is missing, or no schema can be made of the tables.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({"id": [1, 2, 3, 4, 5], "arm": ["a", "b", "a", "b", "a"], "age": [51, 62, 70, 48, 59]})
    >>> schema = infer_schema(table, patient_id="id")
    >>> schema.static["arm"].levels, schema.static["age"].bounds
    (('a', 'b'), (47.0, 71.0))
    """
    return propose(
        static,
        visits,
        patient_id=patient_id,
        visit_time=visit_time,
        duration=duration,
        event=event,
        time_unit=time_unit,
    ).schema


def propose(
    static: Any,
    visits: Any = None,
    *,
    patient_id: str,
    visit_time: str | None = None,
    duration: str | None = None,
    event: str | None = None,
    time_unit: TimeUnit = "days",
) -> Proposal:
    """Propose a schema with comments for a person who edits it; arguments and errors as for `infer_schema`."""
    if static is None and visits is None:
        raise SchemaError("there is neither a static nor a visits table; give one of them")
    if (visits is None) != (visit_time is None):
        raise SchemaError("a visits table and the name of its visit time column go together; give both, or neither")
    if (duration is None) != (event is None) or (duration is not None and duration == event):
        raise SchemaError("duration and event go together; name two columns, or neither")
    notes: Notes = defaultdict(list)
    visit_table = pl.DataFrame() if visits is None else _table(visits, "visits", patient_id, visit_time)
    if static is not None:
        static_table = _table(static, "static", patient_id, duration, event)
    else:
        static_table, visit_table = _fold(visit_table, patient_id, visit_time)
        _require(static_table, "the columns that never change within a patient", duration, event)
    time, baseline = _visit_time(static_table, visit_table, patient_id, visit_time, notes)
    terminal = None if event is None else _terminal_event(static_table, str(duration), event, time, notes)
    with_time = time is not None and time.kind == "datetime"
    taken = {patient_id, duration, event}
    static_facts = _columns("static", static_table, patient_id, taken, notes, with_time=with_time) | baseline
    taken = {patient_id, visit_time, *_repeated(static_table, visit_table, patient_id, notes)}
    channel_facts = _columns("channels", visit_table, patient_id, taken, notes, with_time=with_time)
    add_references(static_facts, channel_facts, static_table, visit_table, patient_id, time, notes)
    try:
        schema = Schema(
            patient_id=patient_id,
            time_unit=time_unit,
            visit_time=time,
            terminal_event=terminal,
            static={name: StaticColumn(**facts) for name, facts in static_facts.items()},
            channels={name: Channel(**facts) for name, facts in channel_facts.items()},
        )
    except ValidationError as error:
        raise SchemaError("; ".join(readable_problems(error))) from None
    if not (schema.static or schema.channels or schema.visit_time or schema.terminal_event):
        raise SchemaError("no column of the tables can be used; " + " ".join(notes["static",]))
    _note_constraints(schema, static_table, visit_table, notes)
    return Proposal(schema, dict(notes))


def _table(table: Any, name: str, patient_id: str, *required: str | None) -> pl.DataFrame:
    """Return a table of plain columns with the id as text, or raise if it lacks a required one."""
    try:
        frame = table.collect() if isinstance(table, pl.LazyFrame) else pl.DataFrame(table)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise SchemaError(f"the {name} table cannot be read as a table; give a polars or pandas data frame") from error
    _require(frame, f"the {name} table", patient_id, *required)
    if frame.is_empty():
        raise SchemaError(f"the {name} table has no rows; a schema cannot be inferred from it")
    columns = [plain(column) for column in frame.get_columns()]
    if all(dtype == pl.String for dtype in frame.dtypes):  # as read from a text file
        columns = [typed(column) for column in columns]
    return pl.DataFrame(columns).with_columns(frame[patient_id].cast(pl.String))


def _require(frame: pl.DataFrame, where: str, *columns: str | None) -> None:
    for column in columns:
        if column is not None and column not in frame.columns:
            close = difflib.get_close_matches(column, frame.columns, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else "correct its name"
            raise SchemaError(f"there is no column {column!r} in {where}; {remedy}")


def _fold(visits: pl.DataFrame, patient_id: str, visit_time: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a flat table into static attributes, which never change within a patient, and visits."""
    others = [name for name in visits.columns if name not in (patient_id, visit_time)]
    values = visits.select(others).rename({name: str(place) for place, name in enumerate(others)})
    n_values = values.group_by(visits[patient_id]).agg(pl.exclude(patient_id).n_unique())
    constant = [name for place, name in enumerate(others) if n_values[str(place)].max() == 1]
    static = visits.select(patient_id, *constant).unique(patient_id, keep="first", maintain_order=True)
    return static, visits.drop(constant)


def _repeated(static: pl.DataFrame, visits: pl.DataFrame, patient_id: str, notes: Notes) -> list[str]:
    """Return the columns of the visits that only repeat a static attribute, and note them."""
    shared = [name for name in visits.columns if name in static.columns and name != patient_id]
    if not shared:
        return []
    baseline = visits.select(patient_id).join(static, on=patient_id, how="left", maintain_order="left")
    repeated = [name for name in shared if visits[name].equals(baseline[name], check_names=False)]
    notes["channels",] += [f"left out: {name} (repeats the static attribute)" for name in repeated]
    return repeated


def _columns(
    section: str, table: pl.DataFrame, patient_id: str, taken: set[str | None], notes: Notes, *, with_time: bool
) -> dict[str, dict[str, Any]]:
    """Return the facts of each column that is not taken and can be used; note why others are left out."""
    found = {}
    for name in table.columns:
        if name in taken:
            continue
        if has_time_of_day(table[name]) and not with_time:
            guessed = Guess(None, ("it has times of day, but visit times have none: make it a date",))
        else:
            guessed = guess(table[name], table[patient_id])
        if guessed.facts is None:
            notes[section,] += [f"left out: {name} ({'; '.join(guessed.notes)})"]
        else:
            found[name] = guessed.facts
            notes[section, name] += guessed.notes
    return found


def _visit_time(
    static: pl.DataFrame, visits: pl.DataFrame, patient_id: str, column: str | None, notes: Notes
) -> tuple[VisitTime | None, dict[str, dict[str, Any]]]:
    """Return the visit time, and the facts of the baseline date if the static table does not have it."""
    if column is None:
        return None, {}
    values = visits[column]
    if not values.dtype.is_temporal():
        decimals = _decimals(values, f"visits.{column}")
        return VisitTime(column=column, decimals=decimals, inferred=_if_found(decimals)), {}
    kind: TimeKind = "datetime" if has_time_of_day(values) else "date"
    first = visits.group_by(patient_id).agg(pl.col(column).min().alias("first"))
    origins = [
        name for name in static.columns if name != patient_id and _is_baseline(static[name], static[patient_id], first)
    ]
    if len(origins) == 1:
        return VisitTime(column=column, kind=kind, origin=origins[0], inferred=("kind", "origin")), {}
    name = BASELINE
    while name in static.columns:
        name += "_"
    if origins:
        notes["visit_time",] += [f"origin may also be one of: {', '.join(origins)}"]
    baseline = guess(first["first"].dt.date(), first[patient_id]).facts
    if baseline is None:
        raise SchemaError(f"visits.{column}: no date is there; give the visit times")
    facts = {"origin": name, "origin_is_first_visit": True, "inferred": ("kind", "origin")}
    return VisitTime(column=column, kind=kind, **facts), {name: baseline}


def _is_baseline(dates: pl.Series, patients: pl.Series, first: pl.DataFrame) -> bool:
    """Return whether a static column lies before all first visits, and for most patients by less than a year."""
    if not dates.dtype.is_temporal():
        return False
    table = pl.DataFrame({"patient": patients, "date": dates}).join(first, left_on="patient", right_on=first.columns[0])
    days = (table["first"].dt.date() - table["date"].dt.date()).dt.total_days()
    near = (days <= _DAYS_TO_FIRST_VISIT).sum() > len(days) / 2
    return bool(days.null_count() == 0 and (days >= 0).all() and near)


def _terminal_event(
    static: pl.DataFrame, duration: str, event: str, time: VisitTime | None, notes: Notes
) -> TerminalEvent:
    times, codes = static[duration], static[event].drop_nulls()
    kind: TimeKind = "number"
    if times.dtype.is_temporal():
        with_time = has_time_of_day(times) or (time is not None and time.kind == "datetime")
        kind = "datetime" if with_time else "date"
    numbers = codes.cast(pl.Float64, strict=False) if codes.dtype != pl.Date else codes
    if codes.dtype.is_temporal() or numbers.null_count() or not ((numbers >= 0) & (numbers == numbers.floor())).all():
        raise SchemaError(
            f"static.{event}: event types are whole numbers; recode it with 0 = censored, 1, 2, ... = events"
        )
    codes_found = set(map(int, numbers.unique()))
    types = sorted(codes_found - {0})
    if 0 not in codes_found:
        notes["terminal_event",] += ["No patient is censored (0). If another code means censored, recode it as 0."]
    if not types:
        notes["terminal_event",] += ["All patients are censored."]
    decimals = _decimals(times, f"static.{duration}") if kind == "number" else None
    return TerminalEvent(
        duration=duration,
        event=event,
        event_types={code: f"event {code}" for code in types or [1]},
        kind=kind,
        decimals=decimals,
        inferred=("event_types", *_if_found(decimals), *(() if kind == "number" else ("kind",))),
    )


def _if_found(decimals: int | None) -> tuple[Literal["decimals"], ...]:
    """Return what to write under ``inferred`` for decimals that were read off the data."""
    return () if decimals is None else ("decimals",)


def _decimals(values: pl.Series, where: str) -> int | None:
    numbers = values.cast(pl.Float64, strict=False)
    n_bad = numbers.null_count() - values.null_count()
    if n_bad:
        raise SchemaError(
            f"{where}: {counted_rows(n_bad)} with neither a number nor an ISO date (2024-01-31); correct them"
        )
    n_infinite = int(numbers.is_infinite().sum())
    if n_infinite:
        raise SchemaError(f"{where}: {counted_rows(n_infinite)} with an infinite value; correct them")
    return decimals_of(numbers.drop_nulls().unique().to_numpy())


def _note_constraints(schema: Schema, static: pl.DataFrame, visits: pl.DataFrame, notes: Notes) -> None:
    """Write the constraints that hold in the data as YAML that is ready to be uncommented."""
    if schema.visit_time is not None:
        visits = visits.sort(schema.patient_id, schema.visit_time.column)
    attributes = {name: column for name, column in schema.static.items() if name in static.columns}
    holding = constraints_that_hold(
        static, visits, attributes=attributes, channels=schema.channels, patient_id=schema.patient_id
    )
    if holding:
        rules = yaml_text({"constraints": [FlowMapping(constraint.model_dump()) for constraint in holding]})
        notes["constraints",] += ["These rules hold in the data. Uncomment those that every patient must obey:", rules]
