"""Constraints that happen to hold in the data, for a person to confirm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations

import numpy as np
import polars as pl

from longsynth.schema.types import LEVEL_KINDS, Absorbing, Column, Constant, Constraint, Monotone, Ordered

LEAST_EVIDENCE = 20


def constraints_that_hold(
    static: pl.DataFrame,
    visits: pl.DataFrame,
    *,
    attributes: Mapping[str, Column],
    channels: Mapping[str, Column],
    patient_id: str,
) -> list[Constraint]:
    """Return the constraints that no patient breaks, as far as the data could have shown it.

    Parameters
    ----------
    static, visits : polars.DataFrame
        Plain columns, visits sorted by patient and time.
    attributes, channels : mapping of str to Column
        The columns to look at.
    patient_id : str
        The column of the patient id.

    Returns
    -------
    list of Constraint
        Each backed by at least 20 rows that could have broken it.
    """
    found: list[Constraint] = []
    for name, channel in channels.items():
        observed = visits.select(pl.col(patient_id).alias("patient"), _rank(visits[name], channel).alias("value"))
        found += _within_patient(name, channel, observed.drop_nulls())
    for table, columns in ((static, attributes), (visits, channels)):
        found += _ordered_pairs(table, columns)
    return found


def _rank(values: pl.Series, column: Column) -> pl.Series:
    """Return values that compare: levels by their position."""
    if column.levels is None:
        return _comparable(values, column)
    if values.dtype != pl.String:
        values = values.cast(pl.Float64)
    levels = pl.Series(column.levels).cast(values.dtype)
    return values.replace_strict(levels, pl.arange(len(levels), eager=True), default=None, return_dtype=pl.Float64)


def _within_patient(name: str, channel: Column, observed: pl.DataFrame) -> Iterator[Constraint]:
    """Yield the rules of one channel that hold from each observed value to the patient's next."""
    steps = observed.with_columns(before=pl.col("value").shift().over("patient")).drop_nulls()
    if steps.height < LEAST_EVIDENCE:
        return
    rises = int((steps["value"] > steps["before"]).sum())
    falls = int((steps["value"] < steps["before"]).sum())
    if rises + falls == 0:
        yield Constant(channel=name)
    elif channel.kind != "categorical" and min(rises, falls) == 0 and rises + falls >= LEAST_EVIDENCE:
        yield Monotone(channel=name, direction="increasing" if rises else "decreasing")
    else:
        for rank, level in enumerate(channel.levels or ()):
            held = steps.filter(pl.col("before") == rank)
            if held.height >= LEAST_EVIDENCE and (held["value"] == rank).all():
                yield Absorbing(channel=name, level=level)


def _ordered_pairs(table: pl.DataFrame, columns: Mapping[str, Column]) -> Iterator[Constraint]:
    """Yield the pairs of columns of one table that keep an order although their central ranges overlap."""
    numeric = {name: column for name, column in columns.items() if column.kind not in LEVEL_KINDS}
    values = {name: _comparable(table[name], column) for name, column in numeric.items()}
    spread = {name: np.quantile(value.drop_nulls().to_numpy(), (0.05, 0.95)) for name, value in values.items()}
    for lower, upper in permutations(numeric, 2):
        if (numeric[lower].kind == "date") != (numeric[upper].kind == "date"):
            continue
        if spread[lower][1] < spread[upper][0]:
            continue
        in_order = (values[lower] <= values[upper]).drop_nulls()
        if len(in_order) >= LEAST_EVIDENCE and in_order.all() and not (values[lower] == values[upper]).all():
            yield Ordered(lower=lower, upper=upper)


def _comparable(values: pl.Series, column: Column) -> pl.Series:
    if column.kind == "date":
        return values.cast(pl.Datetime("us")).to_physical() if values.dtype != pl.Datetime else values.dt.timestamp()
    return values.cast(pl.Float64, strict=False)  # a few cells of text may be no numbers
