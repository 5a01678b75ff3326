"""Whether pieces of real patients stand in the synthetic cohort word for word."""

from __future__ import annotations

import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.exceptions import NotComputableError
from longsynth.privacy.precision import reporting_decimals, rounded
from longsynth.schema.types import Column

WINDOW = 3


def copied_windows(synthetic: Cohort, train: Cohort, holdout: Cohort) -> float:
    """Return the share of synthetic windows that repeat a train patient's window and no holdout patient's.

    A window is three consecutive visits of a patient: the values of all channels at reporting precision, without the
    times. Windows in which nothing was observed are left out.

    Parameters
    ----------
    synthetic, train, holdout : Cohort
        Under one schema; ``holdout`` was not used to make ``synthetic``.

    Returns
    -------
    float
        In [0, 1], lower is better. Where windows repeat by chance (few channels, few levels) compare it with
        `holdout_windows` times the ratio of train to holdout patients, which is what chance gives.

    Raises
    ------
    NotComputableError
        If the schema has no channel, or the synthetic cohort no window.
    """
    return _share_only_in(synthetic, train, holdout, train)


def holdout_windows(synthetic: Cohort, train: Cohort, holdout: Cohort) -> float:
    """Return the share of synthetic windows that repeat a holdout patient's window and no train patient's.

    The generator never saw the holdout, so these are repeats by chance: the yardstick of `copied_windows`.

    Parameters
    ----------
    synthetic, train, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    NotComputableError
        As `copied_windows`.
    """
    return _share_only_in(synthetic, holdout, train, train)


def copied_static(synthetic: Cohort, train: Cohort) -> float:
    """Return the share of synthetic patients whose static row and outcome equal a train patient's.

    All static attributes, the duration and the event type, at reporting precision.

    Parameters
    ----------
    synthetic, train : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1], lower is better. With few attributes and coarse durations some rows are equal by chance: compare with
        the same share for the holdout in place of train, times the ratio of their numbers of patients.

    Raises
    ------
    NotComputableError
        If the schema has no terminal event: rows of a few levels repeat, and mean nothing without an outcome.
    """
    if train.schema.terminal_event is None:
        raise NotComputableError("it needs a terminal event, and the schema has none")
    rows = [_static_rows(cohort, train) for cohort in (synthetic, train)]
    return int(rows[0].is_in(rows[1].implode()).sum()) / len(rows[0])


def windows(cohort: Cohort, train: Cohort) -> pl.Series:
    """Return a hash of each window of three consecutive visits in which anything was observed, UInt64.

    Parameters
    ----------
    cohort : Cohort
        Whose windows.
    train : Cohort
        From whose values the reporting precision is found.
    """
    if not train.schema.channels:
        raise NotComputableError("it needs a channel, and the schema has none")
    visits, real = numeric_visits(cohort), numeric_visits(train)
    values = pl.DataFrame([_as_reported(visits[name], real[name], c) for name, c in train.schema.channels.items()])
    seen = values.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    hashes = pl.DataFrame(
        {"patient": visits[cohort.schema.patient_id], "visit": values.hash_rows(seed=0), "seen": seen}
    )
    in_window = [pl.col("visit").shift(lag).alias(f"visit {lag}") for lag in range(WINDOW)]
    any_seen = pl.any_horizontal(pl.col("seen").shift(lag) for lag in range(WINDOW))
    complete = pl.col("patient") == pl.col("patient").shift(WINDOW - 1)
    kept = hashes.select(*in_window, (complete & any_seen).alias("kept")).filter("kept").drop("kept")
    return kept.hash_rows(seed=0)


def _share_only_in(synthetic: Cohort, there: Cohort, not_there: Cohort, train: Cohort) -> float:
    made = windows(synthetic, train)
    if made.is_empty():
        raise NotComputableError("no synthetic patient has three consecutive visits with a value")
    repeats = made.is_in(windows(there, train).implode()) & ~made.is_in(windows(not_there, train).implode())
    return int(repeats.sum()) / len(made)


def _static_rows(cohort: Cohort, train: Cohort) -> pl.Series:
    """Return a hash of each patient's static row and outcome, UInt64."""
    schema, static, real = train.schema, numeric_static(cohort), numeric_static(train)
    columns: dict[str, Column] = {f"static.{name}": column for name, column in schema.static.items()}
    if schema.terminal_event is not None:
        columns["event.duration"] = Column(kind="continuous", decimals=schema.terminal_event.decimals)
        columns["event.type"] = Column(kind="count")
    return pl.DataFrame(
        [_as_reported(static[name], real[name], column) for name, column in columns.items()]
    ).hash_rows()


def _as_reported(values: pl.Series, real: pl.Series, column: Column) -> pl.Series:
    return rounded(values, reporting_decimals(real, column))
