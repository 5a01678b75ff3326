"""What a cohort's trajectories look like, in numbers: one row a patient, or one row a pair of consecutive visits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from longsynth.cohort.memo import remembered
from longsynth.schema import Column

if TYPE_CHECKING:
    from longsynth.cohort.cohort import Cohort

MOST_LEVELS_WITH_SHARES = 20
_MICROSECONDS_PER_DAY = 86_400_000_000


def numbers(values: pl.Series, column: Column) -> pl.Series:
    """Return the values of one column as numbers.

    Parameters
    ----------
    values : polars.Series
        A static attribute or a channel of a cohort.
    column : Column
        Its entry in the schema.

    Returns
    -------
    polars.Series
        Float64, null where missing: the values of a continuous or count column, the days since 1970-01-01 of a date,
        the position (from 0) of a level among the column's levels.
    """
    if column.levels is None:
        if values.dtype.is_temporal():
            return values.dt.timestamp("us").cast(pl.Float64) / _MICROSECONDS_PER_DAY
        return values.cast(pl.Float64)
    ranks = list(map(float, range(len(column.levels))))
    if isinstance(column.levels[0], str):
        return values.replace_strict(column.levels, ranks, default=None, return_dtype=pl.Float64)
    levels = pl.Series(list(map(float, column.levels)))
    if values.dtype == pl.Float32:
        levels = levels.cast(pl.Float32).cast(pl.Float64)
    return values.cast(pl.Float64).replace_strict(levels, ranks, default=None, return_dtype=pl.Float64)


@remembered("static")
def numeric_static(cohort: Cohort) -> pl.DataFrame:
    """Return the static table as numbers.

    Returns
    -------
    polars.DataFrame
        Patient id, ``static.<name>`` for each attribute, then ``event.duration`` and ``event.type`` if the cohort has
        a terminal event. Coded as by `numbers`.
    """
    schema, table = cohort.schema, cohort.static
    columns = [numbers(table[name], column).alias(f"static.{name}") for name, column in schema.static.items()]
    if schema.terminal_event is not None:
        columns.append(table[schema.terminal_event.duration].cast(pl.Float64).alias("event.duration"))
        columns.append(table[schema.terminal_event.event].cast(pl.Float64).alias("event.type"))
    return pl.DataFrame([table[schema.patient_id], *columns])


@remembered("visits")
def numeric_visits(cohort: Cohort) -> pl.DataFrame:
    """Return the visits table as numbers.

    Returns
    -------
    polars.DataFrame
        Same columns and rows as ``cohort.visits``, times as Float64 and channels coded as by `numbers`.
    """
    schema, table = cohort.schema, cohort.visits
    if schema.visit_time is None:
        return table
    columns = [numbers(table[name], column).alias(name) for name, column in schema.channels.items()]
    return pl.DataFrame([table[schema.patient_id], table[schema.visit_time.column].cast(pl.Float64), *columns])


@remembered("static")
def patient_features(cohort: Cohort) -> pl.DataFrame:
    """Describe each patient by one row of numbers.

    Parameters
    ----------
    cohort : Cohort
        N patients.

    Returns
    -------
    polars.DataFrame
        N rows in the order of ``cohort.static``: the patient id, and Float64 columns that are null where a quantity
        has no value.

        - ``static.<name>``, ``event.duration``, ``event.type``: the static row.
        - ``visits.count``, ``visits.span`` (last minus first time), ``visits.gap_mean``, ``visits.gap_sd``.
        - ``<channel>.observed_share`` of the patient's visits, ``.first``, ``.last``, ``.mean``, ``.sd``, ``.min``,
          ``.max`` and ``.slope`` (least squares, per time unit) over the visits where the channel was observed;
          ``.change_sd`` and ``.change_size`` (mean absolute) over changes from one observed value to the next.
        - For a categorical channel ``.observed_share``, ``.first``, ``.last``, ``.most_common``, ``.change_rate``
          (share of values that differ from the one before) and, up to 20 levels, ``.share[<level>]``.

        A static table alone gives the static columns only.

    Notes
    -----
    Standard deviations divide by n - 1 and are null for n = 1. Levels are coded by their position in the schema, so
    features of two cohorts compare only under one schema.
    """
    static = numeric_static(cohort)
    schema = cohort.schema
    if schema.visit_time is None:
        return static
    visits = numeric_visits(cohort)
    times = pl.DataFrame({"patient": _patient_rows(cohort), "time": visits[schema.visit_time.column]})
    patients = pl.DataFrame({"patient": pl.arange(static.height, eager=True, dtype=pl.UInt32)})
    by_visit = patients.join(_visit_features(times), on="patient", how="left", maintain_order="left")
    by_visit = by_visit.with_columns(pl.col("visits.count").fill_null(0.0))
    parts = [static, by_visit.drop("patient")]
    for name, column in schema.channels.items():
        seen = times.with_columns(visits[name].alias("value")).filter(pl.col("value").is_not_null())
        features = _level_features(seen, column) if column.kind == "categorical" else _number_features(seen)
        features = patients.join(features, on="patient", how="left", maintain_order="left").drop("patient")
        share = pl.col("count").fill_null(0) / by_visit["visits.count"]
        features = features.select(share.fill_nan(None).alias("observed_share"), pl.exclude("count"))
        parts.append(features.rename({feature: f"{name}.{feature}" for feature in features.columns}))
    return pl.concat(parts, how="horizontal")


@remembered(None)
def transition_features(cohort: Cohort) -> pl.DataFrame:
    """Describe each pair of consecutive visits by one row of numbers.

    Parameters
    ----------
    cohort : Cohort
        Patients with 0, 1 or more visits; a patient of n visits gives n - 1 rows.

    Returns
    -------
    polars.DataFrame
        In the order of ``cohort.visits``: the patient id, ``static.<name>`` of each static attribute, ``gap`` (time
        between the two visits), and ``before.<channel>``, ``after.<channel>``: Float64, coded as by `numbers`, null
        where not observed.
    """
    schema = cohort.schema
    static = numeric_static(cohort).select(schema.patient_id, *(f"static.{name}" for name in schema.static))
    if schema.visit_time is None:
        return static.clear().with_columns(pl.lit(None, pl.Float64).alias("gap"))
    visits = numeric_visits(cohort)
    row = _patient_rows(cohort)
    second = row == row.shift()
    channels = pl.DataFrame([visits[name] for name in schema.channels])
    columns = [
        static[row],
        visits[schema.visit_time.column].diff().alias("gap").to_frame(),
        channels.shift().rename(lambda name: f"before.{name}"),
        channels.rename(lambda name: f"after.{name}"),
    ]
    return pl.concat(columns, how="horizontal").filter(second)


def _patient_rows(cohort: Cohort) -> pl.Series:
    """Return for each visit the row of its patient in the static table."""
    name = cohort.schema.patient_id
    rows = cohort.static.select(name).with_row_index("patient")
    return cohort.visits.select(name).join(rows, on=name, how="left", maintain_order="left")["patient"]


def _visit_features(times: pl.DataFrame) -> pl.DataFrame:
    gap = _change("time")
    return (
        times.with_columns(gap.alias("gap"))
        .group_by("patient", maintain_order=True)
        .agg(
            pl.len().cast(pl.Float64).alias("visits.count"),
            (pl.col("time").last() - pl.col("time").first()).alias("visits.span"),
            pl.col("gap").mean().alias("visits.gap_mean"),
            pl.col("gap").std().alias("visits.gap_sd"),
        )
    )


def _number_features(seen: pl.DataFrame) -> pl.DataFrame:
    """Summarise the observed values (``patient``, ``time``, ``value``) of one channel."""
    value, time = pl.col("value"), pl.col("time")
    centred = time - time.mean()
    spread = centred.pow(2).sum()
    slope = pl.when(spread > 0).then((centred * (value - value.mean())).sum() / spread)
    return (
        seen.with_columns(_change("value").alias("change"))
        .group_by("patient", maintain_order=True)
        .agg(
            pl.len().alias("count"),
            value.first().alias("first"),
            value.last().alias("last"),
            value.mean().alias("mean"),
            value.std().alias("sd"),
            value.min().alias("min"),
            value.max().alias("max"),
            slope.alias("slope"),
            pl.col("change").std().alias("change_sd"),
            pl.col("change").abs().mean().alias("change_size"),
        )
    )


def _level_features(seen: pl.DataFrame, column: Column) -> pl.DataFrame:
    """Summarise the observed levels, as positions, of one categorical channel."""
    value = pl.col("value")
    levels = column.levels or ()
    shares = []
    if len(levels) <= MOST_LEVELS_WITH_SHARES:
        shares = [(value == rank).mean().alias(f"share[{level}]") for rank, level in enumerate(levels)]
    return (
        seen.with_columns((_change("value") != 0).cast(pl.Float64).alias("changed"))
        .group_by("patient", maintain_order=True)
        .agg(
            pl.len().alias("count"),
            value.first().alias("first"),
            value.last().alias("last"),
            value.mode().min().alias("most_common"),
            pl.col("changed").mean().alias("change_rate"),
            *shares,
        )
    )


def _change(name: str) -> pl.Expr:
    """Return the change since the patient's row before; null in a patient's first row."""
    return pl.when(pl.col("patient") == pl.col("patient").shift()).then(pl.col(name).diff())
