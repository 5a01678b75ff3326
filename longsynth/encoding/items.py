"""One variable of a network: its codec, the type of the user's column, and the way there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from longsynth.encoding.dates import (
    Bounds,
    ReferenceColumns,
    ReferenceDate,
    calendar_bounds,
    date_numbers,
    order_limits,
    typical_date,
    zone_of,
)
from longsynth.encoding.levels import LevelCodec, fit_levels, level_numbers
from longsynth.encoding.numeric import NumericCodec, fit_numeric
from longsynth.schema.reference_dates import reference_of_channel, reference_of_static
from longsynth.schema.types import LEVEL_KINDS, Column, Schema

Codec = NumericCodec | LevelCodec


@dataclass(frozen=True)
class Item:
    """One variable of a network: a name, the role it plays, and its codec.

    ``role`` is ``static``, ``constant`` (a channel that never changes in a patient), ``event``, ``duration``,
    ``start`` (first visit time), ``span`` (steps from the first visit to the last, without a terminal event) or
    ``channel``; ``dtype`` is the polars type of the user's column. A date with a ``reference`` is counted from it, any
    other from 1970.
    """

    name: str
    role: str
    codec: Codec
    dtype: str
    reference: ReferenceDate | None = None

    @property
    def reference_column(self) -> str | None:
        """Name of the column that a date is counted from, or None."""
        return None if self.reference is None else self.reference.column

    def encode(self, values: pl.Series, references: pl.Series | None) -> tuple[np.ndarray, np.ndarray]:
        """Return codes and positions of a column; ``references`` are the dates it is counted from, one a value."""
        if isinstance(self.codec, LevelCodec):
            return self.codec.encode(level_numbers(values, self.codec.levels))
        numbers = numbers_of(values, self.dtype)
        if self.reference is not None and references is not None:
            numbers = self.reference.since(numbers, references, self.dtype)
        return self.codec.encode(numbers)

    def decode(self, codes: np.ndarray, positions: np.ndarray, references: pl.Series | None) -> pl.Series:
        """Return the column of codes and positions, in the user's type; ``references`` as in :meth:`encode`."""
        values = self.codec.decode(codes, positions)
        if isinstance(self.codec, LevelCodec):
            levels = pl.Series(self.name, list(self.codec.levels), strict=False)
            found = pl.Series(np.where(values < 0, 0, values))
            column = levels.gather(found).zip_with(pl.Series(values >= 0), pl.Series([None], dtype=levels.dtype))
            return in_type(column.alias(self.name), self.dtype)
        if self.reference is not None and references is not None:
            values = self.reference.restored(values, references, self.dtype)
        return in_type(pl.Series(self.name, values, nan_to_null=True), self.dtype)

    @property
    def conform(self) -> Callable[[np.ndarray], np.ndarray]:
        """What moves numbers, or dates counted from 1970, to the column's precision and bounds."""
        assert isinstance(self.codec, NumericCodec)
        return self.codec.conform if self.reference is None else self.reference.conform

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        kind = "numeric" if isinstance(self.codec, NumericCodec) else "levels"
        state = {"name": self.name, "role": self.role, "dtype": self.dtype, "kind": kind, "codec": self.codec.to_json()}
        return state if self.reference is None else state | {"reference": self.reference.to_json()}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Item:
        """Rebuild an item from :meth:`to_json`."""
        codec_type = NumericCodec if state["kind"] == "numeric" else LevelCodec
        reference = ReferenceDate.from_json(state["reference"]) if "reference" in state else None
        return cls(state["name"], state["role"], codec_type.from_json(state["codec"]), state["dtype"], reference)


def fit_item(
    values: pl.Series, schema: Schema, role: str, owner: np.ndarray, n_bins: int, references: ReferenceColumns
) -> Item:
    """Read the classes of a static attribute or a channel off its values.

    Parameters
    ----------
    values : polars.Series
        Train values, shape (V,), under the column's name.
    schema : Schema
    role : str
        ``static``, ``constant`` or ``channel``.
    owner : ndarray of int, shape (V,)
        Patient number of each value.
    n_bins : int
        Wanted number of intervals of a number or a date.
    references : ReferenceColumns
        Of the same cohort.
    """
    column, name, dtype = column_of(schema, values.name, role), values.name, str(values.dtype)
    if column.kind in LEVEL_KINDS:
        assert column.levels is not None
        return Item(name, role, fit_levels(level_numbers(values, column.levels), column.levels), dtype)
    numbers, bounds, reference = numbers_of(values, dtype), bounds_of(column, dtype), None
    other = reference_of(schema, name, role)
    dates = references.of(other, role)
    if other is not None and dates is not None:
        alike = role == "static" and dtype in ("Date", str(dates.dtype))
        limits = order_limits(schema, name, other) if alike else (None, None)
        reference = ReferenceDate(other, typical_date(dates, dtype), limits, bounds)
        numbers, bounds = reference.since(numbers, dates, dtype), (None, None)
    decimals = column.decimals if column.kind == "continuous" else 0
    codec = fit_numeric(numbers, owner, n_bins=n_bins, decimals=decimals, bounds=bounds)
    return Item(name, role, codec, dtype, reference)


def column_of(schema: Schema, name: str, role: str) -> Column:
    """Return what the schema says about the column of an item with this role."""
    return schema.static[name] if role == "static" else schema.channels[name]


def reference_of(schema: Schema, name: str, role: str) -> str | None:
    """Return the column that the dates of an item with this role are counted from, or None."""
    return reference_of_static(schema, name) if role == "static" else reference_of_channel(schema, name)


def bounds_of(column: Column, dtype: str) -> Bounds:
    """Return the bounds of a column of type ``dtype`` as it counts."""
    if column.kind == "date":
        return calendar_bounds(column, dtype)
    lower, upper = (None if bound is None else float(bound) for bound in column.bounds or (None, None))  # type: ignore[arg-type]
    return lower, upper


def numbers_of(values: pl.Series, dtype: str) -> np.ndarray:
    """Return numbers as they are and dates since 1970 as a column of type ``dtype`` counts them; NaN where missing."""
    return date_numbers(values, dtype) if dtype.startswith("Date") else values.cast(pl.Float64).to_numpy().copy()


def in_type(column: pl.Series, dtype: str) -> pl.Series:
    """Return numbers, or levels, in the type of the user's column."""
    if dtype == "Date":
        return column.cast(pl.Int32).cast(pl.Date)
    if dtype.startswith("Datetime"):
        return (column * 1e6).cast(pl.Int64).cast(pl.Datetime("us", zone_of(dtype)))
    if dtype.startswith(("Int", "UInt")):
        return column.cast(pl.Float64).round().cast(getattr(pl, dtype))
    if dtype in ("Float32", "Float64", "Boolean"):
        return column.cast(getattr(pl, dtype))
    return column.cast(pl.String)
