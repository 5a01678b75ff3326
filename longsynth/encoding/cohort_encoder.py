"""The encoder of a whole cohort: which items there are, in which order, and how each goes to classes and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.dates import ReferenceColumns
from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.enforce import Conform, enforce_static, enforce_visits
from longsynth.encoding.items import Item, fit_item, in_type
from longsynth.encoding.levels import fit_levels, level_numbers
from longsynth.encoding.numeric import NumericCodec, fit_numeric
from longsynth.encoding.visit_times import TimeScale, fit_gaps, fit_time_scale
from longsynth.exceptions import NotFittedError
from longsynth.schema.types import Constant, Level, Schema

SPAN = "(span)"


class CohortEncoder:
    """Turn cohorts into class codes and back.

    After :meth:`fit`, ``inverse_transform(transform(cohort))`` gives the cohort's values back, up to the precision
    they are recorded with.

    Attributes
    ----------
    schema : Schema
        The schema of the cohort it was fitted on.
    static_items, channel_items : list of Item
        What is drawn once a patient, and once a visit, in the order in which a network draws them.
    time_scale : TimeScale or None
        None for a cohort without visits.
    gap : NumericCodec or None
        Gaps between visits, in steps; None if no patient has two visits.
    is_private : bool
        Whether every fact is declared or comes from noisy sums, so that the encoder tells no more than a budget allows.
    """

    def __init__(self, n_bins: int | None = None) -> None:
        self.n_bins = n_bins
        self.is_private = False

    def fit(self, cohort: Cohort) -> CohortEncoder:
        """Read the classes of every column off ``cohort``."""
        n_bins = self.n_bins or (48 if cohort.n_patients < 2000 else 64)
        self.n_bins = n_bins
        self.schema = cohort.schema
        table = CohortTables(cohort)
        patients = np.arange(cohort.n_patients)
        constant = constant_channels(cohort.schema)
        self.static_items = [
            fit_item(cohort.static[name], cohort.schema, "static", patients, n_bins, table.references)
            for name in cohort.schema.static
        ]
        self.static_items += [
            fit_item(table.first_observed(name), cohort.schema, "constant", patients, n_bins, table.references)
            for name in constant
        ]
        self.channel_items = [
            fit_item(cohort.visits[name], cohort.schema, "channel", table.owner, n_bins, table.references)
            for name in cohort.schema.channels
            if name not in constant
        ]
        self._fit_event(cohort, n_bins)
        self._fit_times(table, n_bins)
        return self

    def _fit_event(self, cohort: Cohort, n_bins: int) -> None:
        terminal = cohort.schema.terminal_event
        if terminal is None:
            return
        codes: tuple[Level, ...] = (0, *sorted(terminal.event_types))
        events = fit_levels(level_numbers(cohort.static[terminal.event], codes), codes)
        self.static_items.append(Item(terminal.event, "event", events, str(cohort.static[terminal.event].dtype)))
        values = cohort.static[terminal.duration].cast(pl.Float64).to_numpy()
        duration = fit_numeric(
            values, np.arange(len(values)), n_bins=n_bins, decimals=terminal.decimals, bounds=(0.0, None)
        )
        dtype = str(cohort.static[terminal.duration].dtype)
        self.static_items.append(Item(terminal.duration, "duration", duration, dtype))

    def _fit_times(self, table: CohortTables, n_bins: int) -> None:
        self.time_scale: TimeScale | None = None
        self.gap: NumericCodec | None = None
        visit_time = self.schema.visit_time
        if visit_time is None or not len(table.times):
            return
        has_end = self.schema.terminal_event is not None
        scale = fit_time_scale(
            table.times,
            table.offsets,
            table.duration,
            self.schema.time_unit,
            visit_time.decimals,
            self._duration_decimals() if has_end else 0,
        )
        self.time_scale = scale
        self.time_dtype = str(table.cohort.visits[visit_time.column].dtype)
        counts = np.diff(table.offsets)
        start = fit_numeric(table.start, np.arange(len(counts)), n_bins=n_bins, decimals=scale.decimals)
        self.static_items.append(Item(visit_time.column, "start", start, self.time_dtype))
        steps, follows = _steps(table, scale), _follows(table.offsets)
        if not has_end:
            spans = _spans(steps, table.offsets)
            span = fit_numeric(spans, np.arange(len(counts)), n_bins=n_bins, decimals=0, bounds=(0.0, None))
            self.static_items.append(Item(SPAN, "span", span, "Float64"))
        gaps = np.diff(steps, prepend=0)
        if follows.any():
            self.gap = fit_gaps(gaps[follows], table.owner[follows], n_bins)

    def _duration_decimals(self) -> int | None:
        codecs = [item.codec for item in self.static_items if item.role == "duration"]
        return codecs[0].decimals if codecs and isinstance(codecs[0], NumericCodec) else None

    def transform(self, cohort: Cohort) -> EncodedCohort:
        """Return the codes of ``cohort``, which must have the schema the encoder was fitted on."""
        if not hasattr(self, "schema"):
            raise NotFittedError("the encoder is not fitted; call fit(cohort) first")
        table = CohortTables(cohort)
        channels = [_encode(item, cohort.visits[item.name], table.references) for item in self.channel_items]
        n, n_visits = cohort.n_patients, len(table.times)
        steps, gap_codes = np.zeros(n_visits, np.int64), np.full(n_visits, -1, np.int16)
        gap_positions = np.full(n_visits, 0.5)
        ends = np.zeros(n, bool)
        if self.time_scale is not None and n_visits:
            steps = _steps(table, self.time_scale)
            follows = _follows(table.offsets)
            if self.gap is not None:
                gaps = np.diff(steps, prepend=0)[follows].astype(float)
                gap_codes[follows], gap_positions[follows] = self.gap.encode(gaps)
            ends = self._ends_at_visit(table)
        static = [self._encode_static(item, table, steps) for item in self.static_items]
        return EncodedCohort(
            **_columns("static", static, n),
            **_columns("", channels, n_visits),
            gap_codes=gap_codes,
            gap_positions=gap_positions,
            steps=steps,
            offsets=table.offsets,
            start=table.start,
            duration=table.duration,
            event=table.event,
            ends_at_visit=ends,
        )

    def _ends_at_visit(self, table: CohortTables) -> np.ndarray:
        assert self.time_scale is not None
        counts = np.diff(table.offsets)
        ends = np.zeros(len(counts), bool)
        if self.time_scale.ends_at_visits:
            last = table.times[table.offsets[1:][counts > 1] - 1]
            ends[counts > 1] = np.abs(last - table.duration[counts > 1]) < self.time_scale.tolerance
        return ends

    def _encode_static(self, item: Item, table: CohortTables, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if item.role == "start":
            return item.codec.encode(table.start)
        if item.role == "span":
            return item.codec.encode(_spans(steps, table.offsets))
        if item.role == "constant":
            return _encode(item, table.first_observed(item.name), table.references)
        return _encode(item, table.cohort.static[item.name], table.references)

    def inverse_transform(self, encoded: EncodedCohort, patient_ids: list[str]) -> Cohort:
        """Return the synthetic cohort of these codes under these patient ids."""
        static = self.decode_static(encoded.static_codes, encoded.static_positions)
        id_column = pl.Series(self.schema.patient_id, patient_ids, dtype=pl.String)
        table = pl.DataFrame([id_column, *static.get_columns()])
        if self.schema.visit_time is None:
            return Cohort(table, schema=self.schema, origin="synthetic")
        owner = np.repeat(np.arange(encoded.n_patients), encoded.n_visits)
        times = self._decode_times(encoded, owner)
        channels = self._decode_channels(encoded, ReferenceColumns(self.schema, static, times, owner))
        columns = [id_column.gather(owner), times, *(channels[name] for name in self.schema.channels)]
        items = [*self.channel_items, *(item for item in self.static_items if item.role == "constant")]
        visits = enforce_visits(self.schema, pl.DataFrame(columns), _conform(items))
        return Cohort(table, visits, schema=self.schema, origin="synthetic")

    def _decode_channels(self, encoded: EncodedCohort, references: ReferenceColumns) -> dict[str, pl.Series]:
        """Return every channel by name, shape (V,)."""
        found = {}
        for number, item in enumerate(self.channel_items):
            dates = references.of(item.reference_column, item.role)
            found[item.name] = item.decode(encoded.codes[:, number], encoded.positions[:, number], dates)
        for number, item in enumerate(self.static_items):
            if item.role == "constant":
                dates = references.of(item.reference_column, item.role)
                values = item.decode(encoded.static_codes[:, number], encoded.static_positions[:, number], dates)
                found[item.name] = values.gather(references.owner)
        return found

    def decode_static(self, codes: np.ndarray, positions: np.ndarray) -> pl.DataFrame:
        """Return static attributes, duration and event of static codes and positions, each (N, S)."""
        codes = self._with_baseline(codes, positions)
        found: dict[str, pl.Series] = {}
        numbered = [pair for pair in enumerate(self.static_items) if pair[1].role in ("static", "event", "duration")]
        for number, item in sorted(numbered, key=lambda pair: pair[1].reference is not None):
            dates = None if item.reference is None else found[item.reference.column]
            found[item.name] = item.decode(codes[:, number], positions[:, number], dates)
        table = pl.DataFrame([found[item.name] for _, item in numbered])
        return enforce_static(self.schema, table, _conform([item for _, item in numbered]))

    def _with_baseline(self, codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return static codes in which nobody with dates of visits or a date of the end lacks the baseline date.

        One is drawn for them.
        """
        time, end = self.schema.visit_time, self.schema.terminal_event
        if time is None or time.origin is None:
            return codes
        origin = list(self.schema.static).index(time.origin)
        codec = self.static_items[origin].codec
        has_dates = np.full(len(codes), end is not None and end.kind != "number")
        for number, item in enumerate(self.static_items):
            if item.role == "start":
                has_dates |= codes[:, number] < item.codec.n_classes
        missing = has_dates & (codes[:, origin] >= codec.n_classes)
        if not missing.any():
            return codes
        assert isinstance(codec, NumericCodec)
        drawn = np.searchsorted(codec.cumulative[1:-1], positions[:, origin], side="right")
        return np.where(missing[:, None] & (np.arange(codes.shape[1]) == origin), drawn[:, None], codes)

    def _decode_times(self, encoded: EncodedCohort, owner: np.ndarray) -> pl.Series:
        assert self.schema.visit_time is not None
        name = self.schema.visit_time.column
        if self.time_scale is None:
            return pl.Series(name, np.zeros(0))
        times = encoded.start[owner] + encoded.steps * self.time_scale.step
        last = encoded.offsets[1:][encoded.ends_at_visit] - 1
        times[last] = encoded.duration[encoded.ends_at_visit]
        rounded = np.round(times, self.time_scale.decimals)
        unit = 10.0**self.time_scale.decimals
        late = rounded > encoded.duration[owner]  # a duration finer than the times: round down instead
        rounded[late] = np.floor(times[late] * unit) / unit
        return in_type(pl.Series(name, rounded), self.time_dtype)

    def to_json(self) -> dict[str, Any]:
        """Return the whole state as plain JSON values; it holds no patient's row."""
        return {
            "n_bins": self.n_bins,
            "is_private": self.is_private,
            "schema": self.schema.model_dump(mode="json"),
            "static_items": [item.to_json() for item in self.static_items],
            "channel_items": [item.to_json() for item in self.channel_items],
            "time_scale": None if self.time_scale is None else self.time_scale.to_json(),
            "time_dtype": None if self.time_scale is None else self.time_dtype,
            "gap": None if self.gap is None else self.gap.to_json(),
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> CohortEncoder:
        """Rebuild an encoder from :meth:`to_json`."""
        encoder = cls(state["n_bins"])
        encoder.is_private = state.get("is_private", False)
        encoder.schema = Schema.model_validate(state["schema"])
        encoder.static_items = [Item.from_json(item) for item in state["static_items"]]
        encoder.channel_items = [Item.from_json(item) for item in state["channel_items"]]
        encoder.time_scale = None if state["time_scale"] is None else TimeScale(**state["time_scale"])
        encoder.time_dtype = state["time_dtype"]
        encoder.gap = None if state["gap"] is None else NumericCodec.from_json(state["gap"])
        return encoder


class CohortTables:
    """The arrays of a cohort that more than one step needs."""

    def __init__(self, cohort: Cohort) -> None:
        schema = cohort.schema
        self.cohort = cohort
        n = cohort.n_patients
        numbers = pl.DataFrame({schema.patient_id: cohort.static[schema.patient_id], "_row": np.arange(n)})
        owner = cohort.visits.select(schema.patient_id).join(
            numbers, on=schema.patient_id, how="left", maintain_order="left"
        )
        self.owner = owner["_row"].to_numpy()
        self.offsets = np.concatenate([[0], np.cumsum(np.bincount(self.owner, minlength=n))]).astype(np.int64)
        self.times = np.zeros(0)
        if schema.visit_time is not None:
            self.times = cohort.visits[schema.visit_time.column].cast(pl.Float64).to_numpy()
        column = None if schema.visit_time is None else cohort.visits[schema.visit_time.column]
        self.references = ReferenceColumns(schema, cohort.static, column, self.owner)
        self.start = np.full(n, np.nan)
        has_visits = np.diff(self.offsets) > 0
        self.start[has_visits] = self.times[self.offsets[:-1][has_visits]]
        self.duration, self.event = np.full(n, np.nan), np.zeros(n, np.int64)
        if schema.terminal_event is not None:
            self.duration = cohort.static[schema.terminal_event.duration].cast(pl.Float64).to_numpy()
            self.event = cohort.static[schema.terminal_event.event].cast(pl.Int64).to_numpy()
        else:  # the record itself ends somewhere: at its last visit
            self.duration[has_visits] = self.times[self.offsets[1:][has_visits] - 1]

    def first_observed(self, name: str) -> pl.Series:
        """The first observed value of a channel for each patient, in patient order."""
        key = self.cohort.schema.patient_id
        values = self.cohort.visits.group_by(key).agg(pl.col(name).drop_nulls().first())
        return self.cohort.static.select(key).join(values, on=key, how="left", maintain_order="left")[name]


def constant_channels(schema: Schema) -> list[str]:
    """Names of the channels that never change in a patient."""
    return [rule.channel for rule in schema.constraints if isinstance(rule, Constant)]


def _follows(offsets: np.ndarray) -> np.ndarray:
    """Whether a visit has one before it, shape (V,)."""
    follows = np.ones(offsets[-1], bool)
    follows[offsets[:-1][np.diff(offsets) > 0]] = False
    return follows


def _steps(table: CohortTables, scale: TimeScale) -> np.ndarray:
    """Whole steps since the first visit, strictly increasing within a patient, shape (V,)."""
    return np.round((table.times - table.start[table.owner]) / scale.step).astype(np.int64)


def _spans(steps: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Steps from the first to the last visit, NaN without visits, shape (N,)."""
    spans = np.full(len(offsets) - 1, np.nan)
    has_visits = np.diff(offsets) > 0
    spans[has_visits] = steps[offsets[1:][has_visits] - 1]
    return spans


def _columns(prefix: str, pairs: list[tuple[np.ndarray, np.ndarray]], n_rows: int) -> dict[str, np.ndarray]:
    prefix = prefix and prefix + "_"
    codes = np.stack([pair[0] for pair in pairs], 1) if pairs else np.zeros((n_rows, 0), np.int16)
    positions = np.stack([pair[1] for pair in pairs], 1) if pairs else np.zeros((n_rows, 0))
    return {f"{prefix}codes": codes, f"{prefix}positions": positions}


def _encode(item: Item, values: pl.Series, references: ReferenceColumns) -> tuple[np.ndarray, np.ndarray]:
    return item.encode(values, references.of(item.reference_column, item.role))


def _conform(items: list[Item]) -> dict[str, Conform]:
    return {item.name: item.conform for item in items if isinstance(item.codec, NumericCodec)}
