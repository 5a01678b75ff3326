"""An encoder whose every fact is declared in the schema or comes from noisy sums over patients.

The sums come in two releases: :mod:`longsynth.encoding.private_sizes` and :mod:`longsynth.encoding.private_counts`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from longsynth.encoding.cohort_encoder import SPAN, CohortEncoder, constant_channels
from longsynth.encoding.dates import Bounds, ReferenceDate, calendar_bounds, order_limits, per_day
from longsynth.encoding.declared import column_type, number_type
from longsynth.encoding.grids import (
    level_cells,
    merge_cells,
    missing_share,
    numeric_cells,
    shares_of_part,
    weigh_levels,
)
from longsynth.encoding.items import Item, bounds_of, column_of, reference_of
from longsynth.encoding.levels import LevelCodec
from longsynth.encoding.numeric import NumericCodec
from longsynth.encoding.private_counts import n_counts
from longsynth.encoding.private_sizes import Sizes, recordable_step
from longsynth.encoding.visit_times import TimeScale
from longsynth.schema.types import DAYS_PER_UNIT, NUMERIC_KINDS, Level, Schema

_FEW_BINS, _MANY_BINS, _MANY_PATIENTS = 24, 48, 2000
_LEAST_END_SHARE = 2e-3


def cell_encoder(schema: Schema, sizes: Sizes) -> CohortEncoder:
    """Return an encoder whose classes are cells known without the patients."""
    longest = sizes.longest
    encoder = CohortEncoder(0)
    encoder.schema, encoder.is_private = schema, True
    encoder.time_scale, encoder.gap = None, None
    constant = constant_channels(schema)
    static = [_item(schema, name, "static", longest) for name in schema.static]
    static += [_item(schema, name, "constant", longest) for name in constant]
    end, time = schema.terminal_event, schema.visit_time
    if end is not None:
        codes: tuple[Level, ...] = (0, *sorted(end.event_types))
        static.append(Item(end.event, "event", level_cells(codes), "Int64"))
        cells = numeric_cells(0.0, longest, end.decimals or 0, (0.0, None))
        static.append(Item(end.duration, "duration", cells, number_type(end.decimals)))
    if time is not None:
        step, decimals = recordable_step(schema), time.decimals or 0
        encoder.time_dtype = number_type(time.decimals)
        cells = numeric_cells(0.0, longest, decimals, (None, None))
        static.append(Item(time.column, "start", cells, encoder.time_dtype))
        n_steps = max(round(longest / step), 2)
        if end is None:
            static.append(Item(SPAN, "span", numeric_cells(0.0, n_steps, 0, (0.0, None)), "Float64"))
        encoder.gap = numeric_cells(1.0, n_steps, 0, (1.0, None))
        may_end = end is not None and (end.decimals or 0) <= decimals
        encoder.time_scale = TimeScale(step, decimals, longest, longest, may_end)
    encoder.static_items = static
    channels = [name for name in schema.channels if name not in constant]
    encoder.channel_items = [_item(schema, name, "channel", longest) for name in channels]
    return encoder


def _item(schema: Schema, name: str, role: str, longest: float) -> Item:
    column = column_of(schema, name, role)
    dtype, other = column_type(column), reference_of(schema, name, role)
    if column.kind not in NUMERIC_KINDS:
        assert column.levels is not None
        return Item(name, role, level_cells(column.levels), dtype)
    bounds = bounds_of(column, dtype)
    if other is not None:
        reference, since = _reference(schema, name, role, longest)
        return Item(name, role, numeric_cells(*since, 0, since, fine_at=0.0), dtype, reference)
    decimals = column.decimals or 0 if column.kind == "continuous" else 0
    return Item(name, role, numeric_cells(*_declared(bounds), decimals, bounds), dtype)


def _reference(schema: Schema, name: str, role: str, longest: float) -> tuple[ReferenceDate, tuple[float, float]]:
    """Return what the dates of a column are counted from, and the range of the time since then by declared bounds."""
    column, other = column_of(schema, name, role), str(reference_of(schema, name, role))
    dtype, time = column_type(column), schema.visit_time
    of_visits = role == "channel" and time is not None and other == time.column
    source = schema.static[str(time.origin) if of_visits and time is not None else other]
    first, last = _declared(calendar_bounds(source, dtype))
    typical = round((first + last) / 2)
    if of_visits:
        last += longest * DAYS_PER_UNIT[schema.time_unit] * per_day(dtype)
    bounds = calendar_bounds(column, dtype)
    lower, upper = _declared(bounds)
    limits: Bounds = (None, None)
    if role == "static" and dtype in ("Date", column_type(source)):
        limits = order_limits(schema, name, other)
    low, high = lower - last, upper - first
    since = 0.0 if limits[0] == 0 and high > 0 else low, 0.0 if limits[1] == 0 and low < 0 else high
    return ReferenceDate(other, typical, limits, bounds), since


def _declared(bounds: Bounds) -> tuple[float, float]:
    lower, upper = bounds
    assert lower is not None and upper is not None  # `check_declared` has looked
    return lower, upper


@dataclass(frozen=True)
class PrivateMargins:
    """What the second release says.

    Attributes
    ----------
    encoder : CohortEncoder
        With classes as fine as the noise allows.
    outcome_shares : tuple of three floats
        Shares of a further visit, a last visit at the end of follow-up, and no further visit.
    duration_given_event : tuple of tuples of float
        Shares of the classes of the duration, by class of the event; empty without a terminal event.
    """

    encoder: CohortEncoder
    outcome_shares: tuple[float, float, float] = (1.0, 0.0, 0.0)
    duration_given_event: tuple[tuple[float, ...], ...] = ()


def read_margins(cells: CohortEncoder, noisy: np.ndarray, sd: float, sizes: Sizes) -> PrivateMargins:
    """Read the encoder, and where the network starts, off the noisy sums of the second release.

    Parameters
    ----------
    cells : CohortEncoder
        From :func:`cell_encoder`.
    noisy : ndarray
        Noisy :func:`cell_sums`.
    sd : float
        Standard deviation of the noise.
    sizes : Sizes
        From the first release.
    """
    n_bins = _MANY_BINS if sizes.n_patients >= _MANY_PATIENTS else _FEW_BINS
    counts = _Reader(noisy, sd, n_bins)
    encoder = CohortEncoder(n_bins)
    encoder.schema, encoder.is_private = cells.schema, True
    encoder.static_items = []
    by_event: tuple[tuple[float, ...], ...] = ()
    for item in cells.static_items:
        if item.role == "duration":
            codec, by_event = counts.durations(item.codec, encoder.static_items[-1].codec.n_classes)
        else:
            codec = counts.codec(item.codec, can_be_missing=item.role != "event")
        encoder.static_items.append(replace(item, codec=codec))
    encoder.channel_items, encoder.gap, encoder.time_scale = [], None, None
    if cells.gap is None or cells.time_scale is None:
        return PrivateMargins(encoder, duration_given_event=by_event)
    codecs = [counts.codec_of_visits(item.codec) for item in cells.channel_items]
    encoder.gap, encoder.time_dtype = counts.codec_of_visits(cells.gap), cells.time_dtype
    shares = counts.missing_shares(len(codecs))
    for item, codec, share in zip(cells.channel_items, codecs, shares, strict=True):
        encoder.channel_items.append(replace(item, codec=replace(codec, missing_share=share)))
    going, ends, stops = np.maximum(counts.rest, [sd, 0.0, sd]) * [sizes.max_visits, 1.0, 1.0]
    by_role = {item.role: item.codec for item in encoder.static_items}
    old, total = cells.time_scale, going + ends + stops
    typical = _median(by_role["duration"]) if "duration" in by_role else _median(by_role["span"]) * old.step
    may_end = old.ends_at_visits and bool(ends > max(_LEAST_END_SHARE * total, 3 * sd))
    encoder.time_scale = TimeScale(old.step, old.decimals, typical, _median(encoder.gap) * old.step, may_end)
    return PrivateMargins(encoder, (going / total, ends / total, stops / total), by_event)


class _Reader:
    """Reads the noisy sums from front to back, item by item."""

    def __init__(self, noisy: np.ndarray, sd: float, n_bins: int) -> None:
        self.rest, self.sd, self.n_bins = noisy, sd, n_bins

    def _next(self, n_counts: int) -> np.ndarray:
        counts, self.rest = self.rest[:n_counts], self.rest[n_counts:]
        return counts

    def codec(self, cells: Any, can_be_missing: bool) -> Any:
        """The codec of an item with one value a patient."""
        return self._codec(cells, self._next(n_counts(cells)), self.sd if can_be_missing else None)

    def codec_of_visits(self, cells: Any) -> Any:
        """The codec of an item with one value a visit, without its share of missing values."""
        return self._codec(cells, np.append(self._next(n_counts(cells) - 1), 0.0), None)

    def missing_shares(self, n_channels: int) -> list[float]:
        """The share of visits at which each channel is missing."""
        *observed, visits = self._next(n_channels + 1).tolist()
        sd = self.sd * float(np.sqrt(2.0))
        return [missing_share(round(visits - one, 6), max(one, self.sd), sd) for one in observed]

    def _codec(self, cells: Any, counts: np.ndarray, missing_sd: float | None) -> Any:
        if isinstance(cells, LevelCodec):
            return weigh_levels(cells, counts, self.sd, missing_sd)
        return merge_cells(cells, counts, self.sd, self.n_bins, missing_sd)

    def durations(self, cells: Any, n_types: int) -> tuple[NumericCodec, tuple[tuple[float, ...], ...]]:
        """The codec of the duration, and the shares of its classes by event type."""
        parts = [self._next(n_counts(cells)) for _ in range(n_types)]
        together, sd = np.sum(parts, axis=0), self.sd * np.sqrt(n_types)
        codec = merge_cells(cells, together, sd, self.n_bins, missing_sd=None)
        shares = (shares_of_part(cells, together, part, sd, self.n_bins) for part in parts)
        return codec, tuple(tuple(share.tolist()) for share in shares)


def _median(codec: Any) -> float:
    """Median of a numeric codec's values, at least a little above 0."""
    place = int(np.clip(np.searchsorted(codec.cumulative, 0.5, side="right") - 1, 0, codec.n_classes - 1))
    left, right = codec.cumulative[place : place + 2]
    return max(float(codec.decode(np.array([place]), np.array([(0.5 - left) / (right - left)]))[0]), 1e-6)
