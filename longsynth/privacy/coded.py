"""Records on one scale, so that a difference of 1 is as far apart as two values can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from longsynth.privacy.ranked import Ranked, ranked
from longsynth.privacy.records import Records
from longsynth.schema.types import NUMERIC_KINDS, Column, Schema

Floats = NDArray[np.float32]
NOT_OBSERVED = 1e4
_FURTHEST = 1e3
_LOW, _HIGH = 0.05, 0.95
_EVENT_COLUMNS = {"event.duration": Column(kind="continuous"), "event.type": Column(kind="count")}


@dataclass(frozen=True, eq=False)
class Scaling:
    """Where each column's zero lies and how wide it is, found on the synthetic side alone.

    The width of a number is its range from the 5 % to the 95 % quantile, of an ordinal column its number of levels
    less one, of any other level 1.

    Attributes
    ----------
    values, static : ndarray, shape (2, C) and (2, S)
        Centre and width by column.
    gap, time : float
        90 % quantile of the gaps; range of the visit times from the 5 % to the 95 % quantile.
    """

    values: NDArray[np.float64]
    static: NDArray[np.float64]
    gap: float
    time: float


@dataclass(frozen=True, eq=False)
class Coded:
    """Records on the scale of the synthetic side: N patients, V visits, C channels, S static columns.

    Attributes
    ----------
    records : Records
        What was coded.
    values : ndarray of float32, shape (C, V)
        Channels; a value that was not observed is `NOT_OBSERVED`, further than 1 from all others.
    static : ndarray of float32, shape (S, N)
        Static columns, likewise.
    gap, time : ndarray of float32, shape (V,)
        Gap to the patient's next visit (`NOT_OBSERVED` after the last) and visit time.
    patient : ndarray of int, shape (V,)
        Patient of each visit.
    is_number : ndarray of bool, shape (C,)
        Which channels hold numbers rather than levels.
    static_is_number : ndarray of bool, shape (S,)
        Which static columns do.
    scaling : Scaling
        The scale.
    """

    records: Records
    values: Floats
    static: Floats
    gap: Floats
    time: Floats
    patient: NDArray[np.int64]
    is_number: NDArray[np.bool_]
    static_is_number: NDArray[np.bool_]
    scaling: Scaling

    @cached_property
    def ranked(self) -> Ranked:
        """The same with all first visits before all second ones and so on."""
        return ranked(self.records.start, self.values, self.static, self.gap, self.time)


def static_columns(schema: Schema) -> list[Column]:
    """Return the schema entry of each static column of `Records`; the outcome counts as numbers."""
    event = [] if schema.terminal_event is None else list(_EVENT_COLUMNS.values())
    return [*schema.static.values(), *event]


def scaling_of(draws: Sequence[Records]) -> Scaling:
    """Return the scale of one or more synthetic draws together."""
    schema = draws[0].cohort.schema
    values = np.concatenate([draw.values for draw in draws])
    static = np.concatenate([draw.static for draw in draws])
    gaps = np.concatenate([_gaps(draw) for draw in draws])
    times = np.concatenate([draw.time for draw in draws])
    gaps = gaps[~np.isnan(gaps)]
    return Scaling(
        _scales(values, list(schema.channels.values())),
        _scales(static, static_columns(schema)),
        _positive(float(np.quantile(gaps, 0.9)) if gaps.size else 0.0),
        _positive(float(np.subtract(*np.quantile(times, [_HIGH, _LOW]))) if times.size else 0.0),
    )


def coded(records: Records, scaling: Scaling) -> Coded:
    """Return records on a scale."""
    schema = records.cohort.schema
    patient = np.repeat(np.arange(records.n_patients), records.n_visits)
    return Coded(
        records,
        _scaled(records.values, scaling.values),
        _scaled(records.static, scaling.static),
        np.nan_to_num(_gaps(records) / scaling.gap, nan=NOT_OBSERVED).astype(np.float32),
        (records.time / scaling.time).astype(np.float32),
        patient,
        np.array([column.kind in NUMERIC_KINDS for column in schema.channels.values()], dtype=bool),
        np.array([column.kind in NUMERIC_KINDS for column in static_columns(schema)], dtype=bool),
        scaling,
    )


def _gaps(records: Records) -> NDArray[np.float64]:
    """Return the gap from each visit to the patient's next one, NaN after the last, shape (V,)."""
    gaps = np.full(len(records.time), np.nan)
    gaps[:-1] = np.diff(records.time)
    gaps[records.start[1:][records.n_visits > 0] - 1] = np.nan
    return gaps


def _scales(table: NDArray[np.float64], columns: list[Column]) -> NDArray[np.float64]:
    scales = [_scale(table[:, i], column) for i, column in enumerate(columns)]
    return np.array(scales, dtype=np.float64).reshape(len(columns), 2).T


def _scale(values: NDArray[np.float64], column: Column) -> tuple[float, float]:
    """Return centre and width of one column."""
    if column.kind not in NUMERIC_KINDS:
        n_levels = len(column.levels or ())
        return 0.0, float(max(n_levels - 1, 1)) if column.kind == "ordinal" else 1.0
    seen = values[~np.isnan(values)]
    if not seen.size:
        return 0.0, 1.0
    low, centre, high = np.quantile(seen, [_LOW, 0.5, _HIGH])
    width = high - low if high > low else seen.max() - seen.min()
    return float(centre), _positive(float(width), float(centre))


def _positive(width: float, centre: float = 0.0) -> float:
    """Return the width; where nothing varies one so small that every other value is far."""
    return width if width > 0 else 1e-9 * max(1.0, abs(centre))


def _scaled(table: NDArray[np.float64], scales: NDArray[np.float64]) -> Floats:
    """Return a table's columns as rows, on their scales."""
    centre, width = scales
    scaled = np.clip((table - centre) / width, -_FURTHEST, _FURTHEST)
    return np.ascontiguousarray(np.nan_to_num(scaled, nan=NOT_OBSERVED).T, dtype=np.float32)
