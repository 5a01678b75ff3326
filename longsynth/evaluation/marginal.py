"""Whether every column, on its own, looks as in a real cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE
from longsynth.evaluation.columns import level_columns, number_columns, with_whole
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Schema

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
FEWEST_BEYOND = 5

Values = NDArray[np.float64]
Weights = tuple[Values | None, Values | None]
Columns = dict[str, Values]
Distance = Callable[[Values, Values], float]


def kolmogorov_smirnov(first: Values, second: Values, weights: Weights = (None, None)) -> float:
    """Return the largest distance between two empirical distribution functions, ``sup |F - G|``.

    Parameters
    ----------
    first, second : array, shape (n,) and (m,)
        Values without missing ones.
    weights : (array or None, array or None)
        Weight of each value of the first and of the second; need not sum to 1. None: all alike.

    Returns
    -------
    float
        In [0, 1], 0 best; 1 if just one of the two is empty.

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    if not first.size or not second.size:
        return float(first.size != second.size)
    both = np.concatenate([first, second])
    return float(np.abs(_below(first, both, weights[0]) - _below(second, both, weights[1])).max())


def total_variation(first: Values, second: Values, weights: Weights = (None, None)) -> float:
    """Return half the summed distance between two sets of level shares, ``sum_k |p_k - q_k| / 2``.

    Parameters
    ----------
    first, second : array, shape (n,) and (m,)
        Levels as numbers, without missing ones.
    weights : (array or None, array or None)
        As in `kolmogorov_smirnov`.

    Returns
    -------
    float
        In [0, 1], 0 best; 1 if just one of the two is empty.

    Examples
    --------
    >>> total_variation(np.array([0.0, 1.0]), np.array([0.0, 0.0]))
    0.5
    """
    if not first.size or not second.size:
        return float(first.size != second.size)
    levels = np.union1d(first, second)
    counts = [
        np.bincount(np.searchsorted(levels, values), weight, len(levels))
        for values, weight in zip((first, second), weights, strict=True)
    ]
    shares = [count / count.sum() for count in counts]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def quantile_table(cohorts: Mapping[str, Cohort]) -> pl.DataFrame:
    """Return quantiles of every numeric column of some cohorts, in the columns' own units.

    Parameters
    ----------
    cohorts : mapping of str to Cohort
        By name, under one schema; visits of a channel are pooled.

    Returns
    -------
    polars.DataFrame
        One row a column and cohort: ``column``, ``unit`` (dates: days since 1970-01-01), ``cohort``, ``n`` observed
        values, ``p1``, ``p5``, ``p25``, ``p50``, ``p75``, ``p95``, ``p99``. A quantile is null where fewer than 5
        values lie beyond it, since it would then be hardly more than the value of one patient.

    Notes
    -----
    Quantiles are interpolated linearly (type 7 of Hyndman and Fan, doi:10.1080/00031305.1996.10473566).
    """
    rows = []
    for name, cohort in cohorts.items():
        for column, values in number_columns(cohort).items():
            known = [min(q, 1 - q) * values.size >= FEWEST_BEYOND for q in QUANTILES]
            quantiles = np.quantile(values, QUANTILES) if values.size else QUANTILES
            found = [float(value) if is_known else None for value, is_known in zip(quantiles, known, strict=True)]
            rows.append((column, _unit(column, cohort.schema), name, values.size, *found))
    types = {"column": pl.String, "unit": pl.String, "cohort": pl.String, "n": pl.Int64}
    types |= {f"p{round(100 * q)}": pl.Float64 for q in QUANTILES}
    order = list(dict.fromkeys(row[0] for row in rows))
    rows.sort(key=lambda row: order.index(row[0]))
    return pl.DataFrame(rows, schema=types, orient="row")


def ks_mean(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean Kolmogorov-Smirnov distance over the numeric columns.

    ``mean_c sup |F_c - G_c|`` over continuous, count and date columns, static and channels, and the duration.
    Missing values are left out, visits are pooled.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no numeric column, or the holdout no value in any.
    """
    distances = by_column(number_columns(synthetic), number_columns(holdout), kolmogorov_smirnov)
    return with_whole(distances, "numeric column")[WHOLE]


def tv_mean(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean total variation distance over the columns with levels.

    ``mean_c sum_k |p_ck - q_ck| / 2`` over binary, ordinal and categorical columns, static and channels, and the event
    type. Missing values are left out, visits are pooled.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no column with levels, or the holdout no value in any.
    """
    distances = by_column(level_columns(synthetic), level_columns(holdout), total_variation)
    return with_whole(distances, "column with levels")[WHOLE]


def missing_mean(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean distance between the shares of missing values of a column, ``mean_c |P(c missing) - Q(...)|``.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has neither static attributes nor channels.
    """
    made, real = missing_shares(synthetic), missing_shares(holdout)
    if not real:
        raise NotComputableError("it needs a column, and the schema has neither static attributes nor channels")
    return float(np.mean([abs(made[name] - share) for name, share in real.items()]))


def by_column(sample: Columns, reference: Columns, distance: Distance) -> dict[str, float]:
    """Return the distance of each column that has a value in the reference, by column name."""
    return {name: distance(sample[name], values) for name, values in reference.items() if values.size}


def _below(values: Values, at: Values, weights: Values | None) -> Values:
    """Return the empirical distribution function of (weighted) values at some points."""
    order = np.argsort(values)
    steps = np.arange(1.0, len(values) + 1) if weights is None else np.cumsum(weights[order])
    places = np.searchsorted(values[order], at, side="right")
    return np.asarray(np.concatenate([[0.0], steps])[places] / steps[-1])


def _unit(column: str, schema: Schema) -> str | None:
    table, _, name = column.partition(".")
    if table == "event":
        return schema.time_unit
    found = schema.static[name] if table == "static" else schema.channels[name]
    return "days since 1970-01-01" if found.kind == "date" else found.unit


def missing_shares(cohort: Cohort) -> dict[str, float]:
    """Return the share of missing values of each static attribute and channel; 1 for channels without any visit."""
    tables = (("static", cohort.static, cohort.schema.static), ("visits", cohort.visits, cohort.schema.channels))
    return {
        f"{table}.{name}": frame[name].null_count() / frame.height if frame.height else 1.0
        for table, frame, columns in tables
        for name in columns
    }
