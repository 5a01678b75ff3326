"""Whether pieces of one patient's record stand in the synthetic cohort word for word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.exceptions import NotComputableError
from longsynth.privacy.base import SIDES, Outcome, Release, Trials, attack, joined, not_assessed
from longsynth.privacy.coded import static_columns
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.precision import reporting_decimals
from longsynth.privacy.records import Records
from longsynth.schema.types import NUMERIC_KINDS, Column

Integers = NDArray[np.int64]

_MISSING = np.iinfo(np.int64).min


class Precision(NamedTuple):
    """Decimal places by column, as the real values are reported; levels have none."""

    values: list[int]
    static: list[int]
    time: int


class Pieces(NamedTuple):
    """Hashes of pieces of records, shape (n,), and the patient of each: a row of the records."""

    hashes: NDArray[np.uint64]
    patient: Integers


Cut = Callable[[Records, Precision], Pieces]


@attack(criterion="duplicates", title="Pieces of a record found word for word in the synthetic cohort")
def duplicates(release: Release, knowledge: Knowledge, seed: int) -> tuple[Outcome, ...]:  # noqa: ARG001
    """Look for pieces of each record that stand in the synthetic cohort word for word, and in no other real record.

    A piece is k consecutive visits (all channels, without times), the static row with the outcome, or the whole record
    (static row, outcome, all visits with their times), at the precision at which real values are reported. A piece
    that several real patients share tells of nobody and does not count. Success: any piece of the target is found.
    Members should not succeed more often than control patients, whose pieces are found by chance.

    Sees: verbatim copies of members, also of one channel, also mixed into fresh patients. Does not see copies with
    noise.

    Parameters
    ----------
    release : Release
        Draws, members and control; all allowed targets are tried, since a look-up costs nothing.
    knowledge : Knowledge
        Gives k.
    seed : int
        Not used.

    Returns
    -------
    tuple of Outcome
        One part a kind of piece.

    Raises
    ------
    NotComputableError
        If no side has a telling piece of any kind.
    """
    real = (release.train, release.holdout)
    precision = _precision(release.train)
    cuts: dict[str, Cut] = {
        f"{knowledge.k} visits": lambda records, precision: _windows(records, precision, knowledge.k),
        "static row and outcome": _static_rows,
        "whole record": _whole_records,
    }
    if release.train.cohort.schema.terminal_event is None or not release.train.cohort.schema.static:
        del cuts["static row and outcome"]  # rows of a few levels repeat, and mean nothing without an outcome
    outcomes = [_outcome(part, cut, release, real, precision) for part, cut in cuts.items()]
    if all(outcome.reason is not None for outcome in outcomes):
        raise NotComputableError("; ".join(f"{outcome.part}: {outcome.reason}" for outcome in outcomes))
    return tuple(outcomes)


def _outcome(part: str, cut: Cut, release: Release, real: Sequence[Records], precision: Precision) -> Outcome:
    pieces = [_telling(own, other) for own, other in _both_ways([cut(records, precision) for records in real])]
    synthetic = [np.unique(cut(records, precision).hashes) for records in release.synthetic]
    trials: list[Trials] = []
    for side, own in zip(SIDES, pieces, strict=True):
        kept = release.allowed(side)[own.patient]
        own = Pieces(own.hashes[kept], own.patient[kept])
        if not len(own.patient):
            return not_assessed(part, f"none of the {side} has a piece of that kind that no other real patient has")
        trials.append(joined([_found(own, made, draw) for draw, made in enumerate(synthetic)]))
    n_requested = max(int(release.allowed(side).sum()) for side in SIDES)
    return Outcome(part, trials[0], trials[1], n_requested)


def _both_ways(pieces: list[Pieces]) -> list[tuple[Pieces, Pieces]]:
    return [(pieces[0], pieces[1]), (pieces[1], pieces[0])]


def _telling(own: Pieces, other: Pieces) -> Pieces:
    """Return the pieces that one patient of a side has, and no patient of the other side."""
    table = pl.DataFrame({"hash": own.hashes, "patient": own.patient}).unique()
    table = table.filter(pl.len().over("hash") == 1).sort("patient")
    hashes, patient = table["hash"].to_numpy(), table["patient"].to_numpy()
    only_here = ~np.isin(hashes, other.hashes)
    return Pieces(hashes[only_here], patient[only_here])


def _found(own: Pieces, made: NDArray[np.uint64], draw: int) -> Trials:
    targets, rows = np.unique(own.patient, return_inverse=True)
    success = np.bincount(rows, np.isin(own.hashes, made)) > 0
    return Trials(success.astype(float), targets, np.full(len(targets), draw))


def _windows(records: Records, precision: Precision, k: int) -> Pieces:
    """Return all windows of k visits in which anything was observed."""
    visits = _hashed(_whole_numbers(records.values, precision.values))
    seen = np.asarray((~np.isnan(records.values)).any(axis=1))
    free = np.maximum(records.n_visits - k + 1, 0)
    patient = np.repeat(np.arange(records.n_patients), free)
    offset = np.arange(len(patient)) - np.repeat(np.cumsum(free) - free, free)
    visit = (records.start[patient] + offset)[:, None] + np.arange(k)
    kept = seen[visit].any(axis=1)
    return Pieces(_hashed(visits[visit[kept]].view(np.int64)), patient[kept])


def _static_rows(records: Records, precision: Precision) -> Pieces:
    return Pieces(_hashed(_whole_numbers(records.static, precision.static)), np.arange(records.n_patients))


def _whole_records(records: Records, precision: Precision) -> Pieces:
    visits = _hashed(
        np.column_stack(
            [_whole_numbers(records.values, precision.values), _whole_numbers(records.time[:, None], [precision.time])]
        )
    )
    place = np.arange(len(visits)) - np.repeat(records.start[:-1], records.n_visits)
    patient = np.repeat(np.arange(records.n_patients), records.n_visits)
    in_order = _hashed(np.column_stack([visits.view(np.int64), place]))
    together = np.zeros(records.n_patients, dtype=np.uint64)
    np.add.at(together, patient, in_order)
    static = _whole_numbers(records.static, precision.static)
    return Pieces(
        _hashed(np.column_stack([static, together.view(np.int64), records.n_visits])), np.arange(records.n_patients)
    )


def _hashed(rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a hash of each row, shape (n,)."""
    if not rows.shape[1]:
        return np.zeros(len(rows), dtype=np.uint64)
    return pl.DataFrame(dict(zip(map(str, range(rows.shape[1])), rows.T, strict=True))).hash_rows(seed=0).to_numpy()


def _whole_numbers(table: NDArray[np.float64], decimals: list[int]) -> NDArray[np.int64]:
    """Return values as whole numbers of the last decimal place."""
    scaled = np.round(table * 10.0 ** np.array(decimals, dtype=np.float64))
    return np.where(np.isnan(scaled), _MISSING, np.nan_to_num(scaled)).astype(np.int64)


def _precision(real: Records) -> Precision:
    schema = real.cohort.schema
    static = static_columns(schema)
    if schema.terminal_event is not None and schema.terminal_event.decimals is not None:
        static[-2] = Column(kind="continuous", decimals=schema.terminal_event.decimals)
    time = schema.visit_time
    time_column = Column(kind="continuous", decimals=None if time is None else time.decimals)
    return Precision(
        [_decimals(real.values[:, i], column) for i, column in enumerate(schema.channels.values())],
        [_decimals(real.static[:, i], column) for i, column in enumerate(static)],
        _decimals(real.time, time_column),
    )


def _decimals(values: NDArray[np.float64], column: Column) -> int:
    return reporting_decimals(pl.Series(values).fill_nan(None), column) if column.kind in NUMERIC_KINDS else 0
