"""The second release of a private fit: counts of every column, of gaps and of what ends a record.

They are on cells that the schema and the first release determine. What one patient adds is a vector of bounded length;
the caller adds the noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.grids import group_counts, group_sizes
from longsynth.encoding.levels import LevelCodec
from longsynth.encoding.numeric import NumericCodec
from longsynth.encoding.private_sizes import Sizes

_VISITS_SHARE = 2.0
OBSERVED_WEIGHT = 0.5


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
    """Sums of the second release: of each item the patients, or visits, by cell.

    Numeric items are counted by cell and by groups of cells, durations also by event type. In each count of an item
    with one value a patient, a patient adds 1 to one cell; those without a value are counted last.

    The counts of items with one value a visit are one vector a patient. It is divided by its own length, or by
    ``usual_visits`` where that is more, and multiplied by :func:`visits_length`: so the bound is reached by most
    patients, also where most channels are missing at most visits. Patients with few measurements have short vectors and
    would weigh too much where it is counted what is missing. So the visits, and those at which each channel is
    observed, are counted once more, with weights that depend on the number of visits alone: half of one over this
    number, or over ``usual_visits`` where that is more. The last three sums are further visits over ``max_visits``,
    records that end at a visit, and records that end later: altogether a vector of length :func:`cell_sensitivity`.

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
    sums = [_count(item.codec, encoded.static_codes[:, i]) for i, item in enumerate(cells.static_items)]
    event, duration = _place_of(cells, "event"), _place_of(cells, "duration")
    if event is not None and duration is not None:
        types, codes = encoded.static_codes[:, event], encoded.static_codes[:, duration]
        n_types = cells.static_items[event].codec.n_classes
        sums[duration] = np.concatenate(
            [_count(cells.static_items[duration].codec, codes[types == one]) for one in range(n_types)]
        )
    if cells.gap is not None:
        length = np.maximum(_lengths(cells, encoded), sizes.usual_visits)
        counts, ends = encoded.n_visits, float(encoded.ends_at_visit.sum())
        weight = np.repeat(visits_length(cells) / length, counts)
        sums += [_count(codec, codes, weight)[:-1] for codec, codes in _of_visits(cells, encoded)]
        even = np.repeat(OBSERVED_WEIGHT / np.maximum(counts, sizes.usual_visits), counts)
        n_classes = np.array([item.codec.n_classes for item in cells.channel_items])
        sums.append(np.append(even @ (encoded.codes < n_classes), even.sum()))
        going = float(np.maximum(counts - 1, 0).sum()) - ends
        stops = float((counts > 0).sum()) - ends - cut.sum()
        sums.append(np.array([going / sizes.max_visits, ends, stops]))
    return np.concatenate(sums)


def _of_visits(cells: CohortEncoder, encoded: EncodedCohort) -> Iterator[tuple[NumericCodec | LevelCodec, np.ndarray]]:
    """Codec and codes (V,) of each item with one value a visit; without one, as before a first visit, as if missing."""
    for number, item in enumerate(cells.channel_items):
        yield item.codec, encoded.codes[:, number]
    assert cells.gap is not None
    yield cells.gap, np.where(encoded.gap_codes < 0, cells.gap.n_classes, encoded.gap_codes)


def _lengths(cells: CohortEncoder, encoded: EncodedCohort) -> np.ndarray:
    """Length (N,) of each patient's vector of counts of visits, as L2 norm, before any weight."""
    owners = np.repeat(np.arange(encoded.n_patients), encoded.n_visits)
    squares = np.zeros(encoded.n_patients)
    for codec, codes in _of_visits(cells, encoded):
        has_value = codes < codec.n_classes
        owner, code = owners[has_value], codes[has_value].astype(np.int64)
        for size in cells_a_count(codec):
            places, times = np.unique(owner * codec.n_classes + code // size, return_counts=True)
            squares += np.bincount(places // codec.n_classes, times.astype(float) ** 2, minlength=len(squares))
    return np.sqrt(squares)


def visits_length(cells: CohortEncoder) -> float:
    """Most that the visits of one patient add to :func:`cell_sums`, as L2 norm.

    As a square, twice as much as all else together: an error in the counts of visits is made at each visit.
    """
    return float(np.sqrt(_VISITS_SHARE * _other_squares(cells)))


def cell_sensitivity(cells: CohortEncoder) -> float:
    """Most that one patient changes :func:`cell_sums`, as L2 norm: all else, and the visits."""
    return float(np.sqrt(_other_squares(cells) + (cells.gap is not None) * visits_length(cells) ** 2))


def _other_squares(cells: CohortEncoder) -> float:
    """Square of the most that one patient changes all other sums.

    1 a static item and size of group; with visits, 2 for the last three sums, and the square of the weight of each of
    the visits and of the channels observed.
    """
    of_static = sum(len(cells_a_count(item.codec)) for item in cells.static_items)
    if cells.gap is None:
        return float(of_static)
    return of_static + 2.0 + OBSERVED_WEIGHT**2 * (1 + len(cells.channel_items))


def cells_a_count(codec: NumericCodec | LevelCodec) -> list[int]:
    """How many cells each count of an item puts together."""
    return group_sizes(codec) if isinstance(codec, NumericCodec) else [1]


def _place_of(cells: CohortEncoder, role: str) -> int | None:
    return next((place for place, item in enumerate(cells.static_items) if item.role == role), None)


def _count(codec: NumericCodec | LevelCodec, codes: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    if isinstance(codec, NumericCodec):
        return group_counts(codec, codes, weight)
    return np.bincount(codes.astype(np.int64), weight, minlength=codec.n_classes + 1).astype(float)


def n_counts(cells: NumericCodec | LevelCodec) -> int:
    """How many counts there are of an item, the one of missing values included."""
    return len(_count(cells, np.zeros(0)))
