"""A cohort: one row a patient, one row a visit, and the schema that both obey."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from longsynth.cohort import canonical, checks, dates, frames, survival
from longsynth.cohort.memo import Memo
from longsynth.exceptions import CohortError
from longsynth.schema.types import Schema

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Origin = Literal["real", "synthetic"]


class Cohort:
    """Patients with baseline attributes, visits and a terminal event; valid by construction and never changed.

    Parameters
    ----------
    static : pandas.DataFrame or polars.DataFrame
        One row a patient: patient id, static attributes, and duration and event if the schema has a terminal event.
    visits : pandas.DataFrame or polars.DataFrame, optional
        One row a visit: patient id, visit time, channels. None if the schema has no visit time.
    schema : Schema
        What the columns hold. Columns it does not name are dropped, with a note.
    origin : {"real", "synthetic"}
        Where the patients come from. Synthetic tables may hold numbers since baseline where the schema declares dates.
    drop_after_event : bool
        Drop visits after the end of follow-up instead of refusing them.

    Attributes
    ----------
    static : polars.DataFrame
        Columns patient id, static attributes, duration, event; sorted by patient id.
    visits : polars.DataFrame
        Columns patient id, visit time, channels; sorted by patient and time. Times and durations are numbers of
        ``schema.time_unit`` since the patient's baseline, also where the schema declares dates. Missing is null.
    schema : Schema
        As given.
    origin : str
        As given.

    Raises
    ------
    CohortError
        If the tables contradict the schema or each other; lists everything that is wrong.

    Examples
    --------
    >>> import polars as pl
    >>> from longsynth.schema.types import Channel, Schema, VisitTime
    >>> schema = Schema(visit_time=VisitTime(column="day"), channels={"weight": Channel(kind="continuous", unit="kg")})
    >>> visits = pl.DataFrame({"patient_id": ["b", "a", "a"], "day": [0, 7, 0], "weight": [81.0, 64.5, None]})
    >>> cohort = Cohort(visits.select("patient_id").unique(), visits, schema=schema)
    >>> cohort
    Cohort(2 patients, 3 visits, real)
    >>> cohort.visits["day"].to_list()
    [0, 7, 0]
    """

    static: pl.DataFrame
    visits: pl.DataFrame
    schema: Schema
    origin: Origin
    _entry_notes: list[str]
    _memo: Memo | None = None

    def __init__(
        self,
        static: Any,
        visits: Any = None,
        *,
        schema: Schema,
        origin: Origin = "real",
        drop_after_event: bool = False,
    ) -> None:
        if origin not in ("real", "synthetic"):
            raise CohortError("origin must be 'real' or 'synthetic'")
        self.schema = schema
        self.origin = origin
        given_static = frames.to_polars(static, "static")
        given_visits = None if visits is None else frames.to_polars(visits, "visits")
        checks.check_presence(given_static, given_visits, schema, origin)
        self.static, self.visits = _canonical(given_static, given_visits, schema, origin)
        self._entry_notes = checks.notes_on_unused(given_static, self.static, "static")
        if given_visits is not None:
            self._entry_notes += checks.notes_on_unused(given_visits, self.visits, "visits")
        if drop_after_event:
            self.visits, dropped = checks.drop_after_event(self.static, self.visits, schema)
            self._entry_notes += dropped
        checks.raise_all(checks.problems(self.static, self.visits, schema))

    def __repr__(self) -> str:
        return f"Cohort({self.n_patients:,} patients, {self.n_visits:,} visits, {self.origin})"

    @property
    def n_patients(self) -> int:
        """Number of patients, with or without visits."""
        return self.static.height

    @property
    def n_visits(self) -> int:
        """Number of visits of all patients."""
        return self.visits.height

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed and is no error: columns left out, columns of one value, channels never observed, ..."""
        return (*self._entry_notes, *checks.notes(self.static, self.visits, self.schema))

    def tables(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return ``(static, visits)`` in the user's own form: dates restored, a derived baseline date left out."""
        return dates.restore(self.static, self.visits, self.schema)

    def to_pandas(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return ``(static, visits)`` in the user's own form as pandas."""
        static, visits = self.tables()
        return frames.to_pandas(static), frames.to_pandas(visits)

    def select(self, patient_ids: Iterable[Any]) -> Cohort:
        """Return the cohort of some patients.

        Parameters
        ----------
        patient_ids : iterable
            Ids to keep, in any order.

        Raises
        ------
        CohortError
            If an id is not in the cohort, or none is given.
        """
        name = self.schema.patient_id
        wanted = pl.Series(name, list(patient_ids), strict=False).cast(self.static.schema[name], strict=False).unique()
        n_unknown = int((~wanted.is_in(self.static[name].implode())).sum()) + wanted.null_count()
        if n_unknown:
            raise CohortError(f"{n_unknown} of the patient ids are not in the cohort; select ids of `cohort.static`")
        return self._keep(wanted.to_frame())

    def filter(self, where: pl.Expr) -> Cohort:
        """Return the cohort of the patients whose static row satisfies a polars expression.

        Raises
        ------
        CohortError
            If the expression names an unknown column, cannot be computed, or no patient satisfies it.
        """
        unknown = set(where.meta.root_names()) - set(self.static.columns)
        if unknown:
            raise CohortError(f"the filter names columns that are not static: {', '.join(sorted(unknown))}")
        try:
            matching = self.static.filter(where)
        except pl.exceptions.PolarsError:  # the cause could show values
            raise CohortError("the filter cannot be computed on the static columns; compare like with like") from None
        return self._keep(matching.select(self.schema.patient_id))

    def to_survival(self) -> pd.DataFrame:
        """Return one row a patient with the static attributes, ``duration`` and ``event``, as pandas."""
        return survival.to_survival(self)

    def to_counting_process(self) -> pd.DataFrame:
        """Return one row an interval between visits: ``start``, ``stop``, ``event``, channels carried forward."""
        return survival.to_counting_process(self)

    def to_sksurv(self) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the static attributes and the structured array of event and duration that scikit-survival takes."""
        return survival.to_sksurv(self)

    def _keep(self, patients: pl.DataFrame) -> Cohort:
        if not patients.height:
            raise CohortError("no patient is left; widen the selection")
        name = self.schema.patient_id
        kept = object.__new__(Cohort)
        kept.schema, kept.origin = self.schema, self.origin
        kept.static = self.static.join(patients, on=name, how="semi", maintain_order="left")
        kept.visits = self.visits.join(patients, on=name, how="semi", maintain_order="left")
        kept._entry_notes = []
        return kept


def _canonical(
    static: pl.DataFrame, visits: pl.DataFrame | None, schema: Schema, origin: Origin
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both tables with the schema's columns in their canonical types, times as numbers, sorted."""
    problems: list[str] = []
    synthetic = origin == "synthetic"
    static = canonical.canonical_static(static, schema, problems, numbers_for_dates=synthetic)
    if visits is None or schema.visit_time is None:
        checks.raise_all(problems)
        return static.sort(schema.patient_id), static.select(schema.patient_id).clear()
    visits = canonical.canonical_visits(visits, schema, problems, numbers_for_dates=synthetic)
    checks.raise_all(problems)
    static, visits = canonical.same_id_type(static, visits, schema.patient_id)
    static, visits = dates.to_numbers(static, visits, schema, problems)
    checks.raise_all(problems)
    static = static.select(schema.patient_id, *schema.static, *schema.event_columns)
    return static.sort(schema.patient_id), visits.sort(schema.patient_id, schema.visit_time.column)
