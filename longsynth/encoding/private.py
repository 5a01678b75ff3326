"""An encoder whose every fact is declared in the schema or comes from noisy sums over patients.

The sums come in two releases. The first counts patients by number of visits and by length of follow-up, on powers of
two: it gives the number of patients, the contribution bound and the range of times. The second counts the cells of
every item. What one patient adds to a release is a vector of bounded length; the caller adds the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.cohort_encoder import SPAN, CohortEncoder, CohortTables, constant_channels
from longsynth.encoding.dates import Bounds, ReferenceDate, calendar_bounds, order_limits, per_day
from longsynth.encoding.declared import column_type, number_type
from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.grids import (
    group_counts,
    group_sizes,
    level_cells,
    merge_cells,
    numeric_cells,
    shares_of_part,
    weigh_levels,
)
from longsynth.encoding.items import Item, bounds_of, column_of, reference_of
from longsynth.encoding.levels import LevelCodec
from longsynth.encoding.numeric import NumericCodec
from longsynth.encoding.visit_times import TimeScale
from longsynth.schema.types import DAYS_PER_UNIT, NUMERIC_KINDS, Level, Schema

N_VISIT_POWERS = 13
_LONGEST_YEARS = 150.0
_A_YEAR = {"minutes": 525_960, "hours": 8766, "days": 365.25, "weeks": 52.2, "months": 12, "years": 1}
SIZE_SENSITIVITY = float(np.sqrt(3.0))
_REST_OF_VISITS, _REST_OF_TIMES = 0.02, 0.002
_STANDS_OUT = 4.0
_PRECISE_COUNTS = 1000
_FEW_BINS, _MANY_BINS, _MANY_PATIENTS = 24, 48, 2000
_LEAST_END_SHARE = 2e-3


@dataclass(frozen=True)
class Sizes:
    """What the first release says.

    Attributes
    ----------
    n_patients : float
        Noisy number of patients, at least 1.
    max_visits : int
        Contribution bound: visits of a patient that are used.
    longest : float
        End of the range of times, in the schema's time unit.
    usual_visits : int
        Where counts are noisy, the power of two that half of the patients stay within, at most half the bound; None:
        ``max_visits``.
    """

    n_patients: float
    max_visits: int
    longest: float
    usual_visits: int | None = None


def size_sums(cohort: Cohort) -> np.ndarray:
    """Sums of the first release: patients; by number of visits; by end of follow-up in recordable steps.

    One patient adds 1 to one entry of each part: a vector of length ``SIZE_SENSITIVITY``. There are 1, then
    ``N_VISIT_POWERS``, then as many sums as powers of two of steps in the longest life.
    """
    tables, n_powers = CohortTables(cohort), _n_time_powers(cohort.schema)
    steps = np.nan_to_num(tables.duration) / _step(cohort.schema)
    visits = _by_power(np.diff(tables.offsets), N_VISIT_POWERS)
    return np.concatenate([[cohort.n_patients], visits, _by_power(steps, n_powers)])


def read_sizes(noisy: np.ndarray, sd: float, schema: Schema, max_visits: int | None) -> Sizes:
    """Read number of patients, contribution bound and range of times off the noisy sums of the first release.

    Parameters
    ----------
    noisy : ndarray
        Noisy :func:`size_sums`.
    sd : float
        Standard deviation of the noise.
    schema : Schema
        Of the cohort.
    max_visits : int or None
        The declared contribution bound; None: the power of two that all but a few patients stay within.
    """
    visits, ends = np.split(noisy[1:], [N_VISIT_POWERS])
    n_patients = max(float(noisy[0]), 1.0)
    chosen = max_visits or 2 ** _last_power(visits, sd, _REST_OF_VISITS * n_patients)
    usual = min(2 ** _last_power(visits, sd, n_patients / 2), (chosen + 1) // 2)
    longest = 2.0 ** _last_power(ends, sd, _REST_OF_TIMES * n_patients) * _step(schema)
    return Sizes(n_patients, chosen, longest, None if n_patients > _PRECISE_COUNTS * sd else usual)


def _by_power(values: np.ndarray, n_powers: int) -> np.ndarray:
    """Number of patients by the smallest power of two that their value does not exceed, shape (n_powers,)."""
    power = np.ceil(np.log2(np.clip(values, 1.0, 2.0 ** (n_powers - 1)))).astype(int)
    return np.bincount(power, minlength=n_powers).astype(float)


def _last_power(noisy: np.ndarray, sd: float, rest: float) -> int:
    """Smallest power such that no more than ``rest`` patients, or noise, lie above it; the most common at least."""
    above = np.where(noisy > _STANDS_OUT * sd, noisy, 0.0)
    last = next(power for power in range(len(noisy)) if above[power + 1 :].sum() <= rest)
    return max(last, int(noisy.argmax()))


def _n_time_powers(schema: Schema) -> int:
    """Powers of two, that of 1 included, up to the recordable steps of the longest life; known from the schema."""
    return int(np.ceil(np.log2(_LONGEST_YEARS * _A_YEAR[schema.time_unit] / _step(schema)))) + 1


def _step(schema: Schema) -> float:
    """Recordable step of times, in the schema's time unit."""
    parts = [part for part in (schema.visit_time, schema.terminal_event) if part is not None]
    return float(10.0 ** -max((part.decimals or 0 for part in parts), default=0))


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
        step, decimals = _step(schema), time.decimals or 0
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


def truncate(encoded: EncodedCohort, max_visits: int) -> tuple[EncodedCohort, np.ndarray]:
    """Return the cohort with the first ``max_visits`` visits a patient, and whether a record was cut short, (N,)."""
    cut = encoded.n_visits > max_visits
    counts = np.minimum(encoded.n_visits, max_visits)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(offsets[-1]) + np.repeat(encoded.offsets[:-1] - offsets[:-1], counts)
    by_visit = {
        name: getattr(encoded, name)[rows] for name in ("codes", "positions", "gap_codes", "gap_positions", "steps")
    }
    return replace(encoded, **by_visit, offsets=offsets, ends_at_visit=encoded.ends_at_visit & ~cut), cut


def cell_sums(cells: CohortEncoder, encoded: EncodedCohort, sizes: Sizes) -> np.ndarray:
    """Sums of the second release: of each item the patients, or visits, by cell, the one of missing values last.

    Numeric items are counted by cell and by groups of cells, durations also by event type. In each count a patient adds
    1 to one cell of an item with one value a patient, and no more than 1 in all to cells of an item with one value a
    visit. Each visit weighs ``1 / max_visits``, or where ``usual_visits`` are given one over these or, if there are
    more, the patient's own number: twice the signal for as much noise, and a little less weight for long records. The
    last three sums are further visits over ``max_visits``, records that end at a visit, and records that end later:
    altogether a vector of length :func:`cell_sensitivity`.

    Parameters
    ----------
    cells : CohortEncoder
        From :func:`cell_encoder`.
    encoded : EncodedCohort
        What it makes of the patients, before any truncation.
    sizes : Sizes
        From the first release.
    """
    encoded, cut = truncate(encoded, sizes.max_visits)
    least = sizes.usual_visits or sizes.max_visits
    weight = np.repeat(1.0 / np.maximum(encoded.n_visits, least), encoded.n_visits)
    sums = [_count(item.codec, encoded.static_codes[:, i]) for i, item in enumerate(cells.static_items)]
    event, duration = _place_of(cells, "event"), _place_of(cells, "duration")
    if event is not None and duration is not None:
        types, codes = encoded.static_codes[:, event], encoded.static_codes[:, duration]
        n_types = cells.static_items[event].codec.n_classes
        sums[duration] = np.concatenate(
            [_count(cells.static_items[duration].codec, codes[types == one]) for one in range(n_types)]
        )
    sums += [_count(item.codec, encoded.codes[:, i], weight) for i, item in enumerate(cells.channel_items)]
    if cells.gap is not None:
        has_gap, counts = encoded.gap_codes >= 0, encoded.n_visits
        sums.append(_count(cells.gap, encoded.gap_codes[has_gap], weight[has_gap]))
        ends = float(encoded.ends_at_visit.sum())
        going = float(np.maximum(counts - 1, 0).sum()) - ends
        sums.append(np.array([going / sizes.max_visits, ends, float((counts > 0).sum()) - ends - cut.sum()]))
    return np.concatenate(sums)


def cell_sensitivity(cells: CohortEncoder) -> float:
    """Most that one patient changes :func:`cell_sums`, as L2 norm: 1 an item and size of group, 2 the last three."""
    codecs = [item.codec for item in (*cells.static_items, *cells.channel_items)]
    codecs += [] if cells.gap is None else [cells.gap]
    n_counts = sum(len(group_sizes(codec)) if isinstance(codec, NumericCodec) else 1 for codec in codecs)
    return float(np.sqrt(n_counts + 2 * (cells.gap is not None)))


def _place_of(cells: CohortEncoder, role: str) -> int | None:
    return next((place for place, item in enumerate(cells.static_items) if item.role == role), None)


def _count(codec: NumericCodec | LevelCodec, codes: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    if isinstance(codec, NumericCodec):
        return group_counts(codec, codes, weight)
    return np.bincount(codes.astype(np.int64), weight, minlength=codec.n_classes + 1).astype(float)


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
    encoder.channel_items = [replace(item, codec=counts.codec(item.codec)) for item in cells.channel_items]
    encoder.gap = encoder.time_scale = None
    if cells.gap is None or cells.time_scale is None:
        return PrivateMargins(encoder, duration_given_event=by_event)
    encoder.gap, encoder.time_dtype = counts.codec(cells.gap, can_be_missing=False), cells.time_dtype
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

    def _next(self, codec: Any) -> np.ndarray:
        n_counts = len(_count(codec, np.zeros(0)))
        counts, self.rest = self.rest[:n_counts], self.rest[n_counts:]
        return counts

    def codec(self, cells: Any, can_be_missing: bool = True) -> Any:
        """The codec of one item."""
        if isinstance(cells, LevelCodec):
            return weigh_levels(cells, self._next(cells), self.sd, can_be_missing)
        return merge_cells(cells, self._next(cells), self.sd, self.n_bins, can_be_missing)

    def durations(self, cells: Any, n_types: int) -> tuple[NumericCodec, tuple[tuple[float, ...], ...]]:
        """The codec of the duration, and the shares of its classes by event type."""
        parts = [self._next(cells) for _ in range(n_types)]
        together, sd = np.sum(parts, axis=0), self.sd * np.sqrt(n_types)
        codec = merge_cells(cells, together, sd, self.n_bins, can_be_missing=False)
        shares = (shares_of_part(cells, together, part, sd, self.n_bins) for part in parts)
        return codec, tuple(tuple(share.tolist()) for share in shares)


def _median(codec: Any) -> float:
    """Median of a numeric codec's values, at least a little above 0."""
    place = int(np.clip(np.searchsorted(codec.cumulative, 0.5, side="right") - 1, 0, codec.n_classes - 1))
    left, right = codec.cumulative[place : place + 2]
    return max(float(codec.decode(np.array([place]), np.array([(0.5 - left) / (right - left)]))[0]), 1e-6)
