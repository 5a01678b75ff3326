"""The encoder of a whole cohort: which items there are, in which order, and how each goes to classes and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.enforce import Conform, enforce_static, enforce_visits
from longsynth.encoding.levels import LevelCodec, fit_levels, level_numbers
from longsynth.encoding.numeric import NumericCodec, fit_numeric
from longsynth.encoding.visit_times import TimeScale, fit_gaps, fit_time_scale
from longsynth.exceptions import NotFittedError
from longsynth.schema.types import NUMERIC_KINDS, Column, Constant, Level, Schema

Codec = NumericCodec | LevelCodec
SPAN = "(span)"


@dataclass(frozen=True)
class Item:
    """One variable of a network: a name, the role it plays, and its codec.

    ``role`` is ``static``, ``constant`` (a channel that never changes in a patient), ``event``, ``duration``,
    ``start`` (first visit time), ``span`` (steps from the first visit to the last, without a terminal event) or
    ``channel``; ``dtype`` is the polars type of the user's column.
    """

    name: str
    role: str
    codec: Codec
    dtype: str


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
            _fit_item(cohort.static[name], column, "static", patients, n_bins)
            for name, column in cohort.schema.static.items()
        ]
        for name in constant:
            values = table.first_observed(name)
            self.static_items.append(_fit_item(values, cohort.schema.channels[name], "constant", patients, n_bins))
        self.channel_items = [
            _fit_item(cohort.visits[name], column, "channel", table.owner, n_bins)
            for name, column in cohort.schema.channels.items()
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
        channels = [_encode(item, cohort.visits[item.name]) for item in self.channel_items]
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
            return _encode(item, table.first_observed(item.name))
        return _encode(item, table.cohort.static[item.name])

    def inverse_transform(self, encoded: EncodedCohort, patient_ids: list[str]) -> Cohort:
        """Return the synthetic cohort of these codes under these patient ids."""
        static = self.decode_static(encoded.static_codes, encoded.static_positions)
        id_column = pl.Series(self.schema.patient_id, patient_ids, dtype=pl.String)
        owner = np.repeat(np.arange(encoded.n_patients), encoded.n_visits)
        columns = [id_column.gather(owner)]
        if self.schema.visit_time is not None:
            columns.append(self._decode_times(encoded, owner))
        by_name = {
            item.name: _decode(item, encoded.codes[:, number], encoded.positions[:, number])
            for number, item in enumerate(self.channel_items)
        }
        for number, item in enumerate(self.static_items):
            if item.role == "constant":
                values = _decode(item, encoded.static_codes[:, number], encoded.static_positions[:, number])
                by_name[item.name] = values.gather(owner)
        columns += [by_name[name] for name in self.schema.channels]
        visits = enforce_visits(self.schema, pl.DataFrame(columns), self._conform(self.channel_items))
        given = None if self.schema.visit_time is None else visits
        table = pl.DataFrame([id_column, *static.get_columns()])
        return Cohort(table, given, schema=self.schema, origin="synthetic")

    def decode_static(self, codes: np.ndarray, positions: np.ndarray) -> pl.DataFrame:
        """Return static attributes, duration and event of static codes and positions, each (N, S)."""
        columns = [
            _decode(item, codes[:, number], positions[:, number])
            for number, item in enumerate(self.static_items)
            if item.role not in ("start", "span", "constant")
        ]
        return enforce_static(self.schema, pl.DataFrame(columns), self._conform(self.static_items))

    @staticmethod
    def _conform(items: list[Item]) -> dict[str, Conform]:
        return {item.name: item.codec.conform for item in items if isinstance(item.codec, NumericCodec)}

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
        return _cast(pl.Series(name, rounded), self.time_dtype)

    def to_json(self) -> dict[str, Any]:
        """Return the whole state as plain JSON values; it holds no patient's row."""
        return {
            "n_bins": self.n_bins,
            "is_private": self.is_private,
            "schema": self.schema.model_dump(mode="json"),
            "static_items": [_item_to_json(item) for item in self.static_items],
            "channel_items": [_item_to_json(item) for item in self.channel_items],
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
        encoder.static_items = [_item_from_json(item) for item in state["static_items"]]
        encoder.channel_items = [_item_from_json(item) for item in state["channel_items"]]
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


def _fit_item(values: pl.Series, column: Column, role: str, owner: np.ndarray, n_bins: int) -> Item:
    codec: Codec
    if column.kind in NUMERIC_KINDS:
        decimals = column.decimals if column.kind == "continuous" else 0
        bounds = tuple(None if bound is None else to_number(bound) for bound in column.bounds or (None, None))
        codec = fit_numeric(_to_float(values), owner, n_bins=n_bins, decimals=decimals, bounds=(bounds[0], bounds[1]))
    else:
        assert column.levels is not None
        codec = fit_levels(level_numbers(values, column.levels), column.levels)
    return Item(values.name, role, codec, str(values.dtype))


def _encode(item: Item, values: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(item.codec, LevelCodec):
        return item.codec.encode(level_numbers(values, item.codec.levels))
    if values.dtype.is_temporal() and item.dtype.startswith("Date"):  # days or seconds, as the item counts
        values = values.cast(
            pl.Date if item.dtype == "Date" else pl.Datetime("us", getattr(values.dtype, "time_zone", None))
        )
    return item.codec.encode(_to_float(values))


def _decode(item: Item, codes: np.ndarray, positions: np.ndarray) -> pl.Series:
    values = item.codec.decode(codes, positions)
    if isinstance(item.codec, LevelCodec):
        levels = pl.Series(item.name, list(item.codec.levels), strict=False)
        found = pl.Series(np.where(values < 0, 0, values))
        column = levels.gather(found).zip_with(pl.Series(values >= 0), pl.Series([None], dtype=levels.dtype))
        return _cast(column.alias(item.name), item.dtype)
    return _cast(pl.Series(item.name, values, nan_to_null=True), item.dtype)


def _to_float(values: pl.Series) -> np.ndarray:
    """Numbers as they are, dates as days since 1970, datetimes as seconds; NaN where missing."""
    if values.dtype == pl.Date:
        values = values.to_physical()
    elif isinstance(values.dtype, pl.Datetime):
        values = values.dt.epoch("s")
    return values.cast(pl.Float64).to_numpy().copy()


def to_number(bound: Any) -> float:
    """A bound as the encoder counts: a date as days since 1970, a datetime as seconds."""
    if isinstance(bound, int | float):
        return float(bound)
    return float(_to_float(pl.Series([bound]))[0])


def _cast(column: pl.Series, dtype: str) -> pl.Series:
    if dtype == "Date":
        return column.cast(pl.Int32).cast(pl.Date)
    if dtype.startswith("Datetime"):
        zone = dtype.rpartition("time_zone=")[2].strip("')")
        return (column * 1e6).cast(pl.Int64).cast(pl.Datetime("us", None if zone == "None" else zone))
    if dtype.startswith(("Int", "UInt")):
        return column.cast(pl.Float64).round().cast(getattr(pl, dtype))
    if dtype in ("Float32", "Float64", "Boolean"):
        return column.cast(getattr(pl, dtype))
    return column.cast(pl.String)


def _item_to_json(item: Item) -> dict[str, Any]:
    kind = "numeric" if isinstance(item.codec, NumericCodec) else "levels"
    return {"name": item.name, "role": item.role, "dtype": item.dtype, "kind": kind, "codec": item.codec.to_json()}


def _item_from_json(state: dict[str, Any]) -> Item:
    codec_type = NumericCodec if state["kind"] == "numeric" else LevelCodec
    return Item(state["name"], state["role"], codec_type.from_json(state["codec"]), state["dtype"])
