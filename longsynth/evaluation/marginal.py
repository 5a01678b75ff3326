"""Whether every column, on its own, looks as in a real cohort."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.evaluation.columns import level_columns, number_columns
from longsynth.exceptions import NotComputableError

Columns = dict[str, NDArray[np.float64]]
Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


def kolmogorov_smirnov(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the largest distance between two empirical distribution functions, ``sup |F - G|``.

    Parameters
    ----------
    first, second : array, shape (n,) and (m,)
        Values without missing ones.

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
    below_first = np.searchsorted(np.sort(first), both, side="right") / first.size
    below_second = np.searchsorted(np.sort(second), both, side="right") / second.size
    return float(np.abs(below_first - below_second).max())


def total_variation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return half the summed distance between two sets of level shares, ``sum_k |p_k - q_k| / 2``.

    Parameters
    ----------
    first, second : array, shape (n,) and (m,)
        Levels as numbers, without missing ones.

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
    shares = [(values[:, None] == levels).mean(axis=0) for values in (first, second)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


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
    return _mean_over_columns(number_columns(synthetic), number_columns(holdout), kolmogorov_smirnov, "numeric column")


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
    return _mean_over_columns(level_columns(synthetic), level_columns(holdout), total_variation, "column with levels")


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
    shares = [_missing_shares(cohort) for cohort in (synthetic, holdout)]
    if not shares[0].size:
        raise NotComputableError("it needs a column, and the schema has neither static attributes nor channels")
    return float(np.abs(shares[0] - shares[1]).mean())


def _mean_over_columns(synthetic: Columns, holdout: Columns, distance: Distance, needed: str) -> float:
    distances = [distance(synthetic[name], values) for name, values in holdout.items() if values.size]
    if not distances:
        raise NotComputableError(f"it needs a {needed}, and the schema has none with a value in the holdout")
    return float(np.mean(distances))


def _missing_shares(cohort: Cohort) -> NDArray[np.float64]:
    """Return the share of missing values, shape (S + C,); 1 for channels of a cohort without visits."""
    static = numeric_static(cohort).select(f"static.{name}" for name in cohort.schema.static)
    channels = numeric_visits(cohort).select(list(cohort.schema.channels))
    columns = [*static, *channels]
    return np.array([column.null_count() / len(column) if len(column) else 1.0 for column in columns])
