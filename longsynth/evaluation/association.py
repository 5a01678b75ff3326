"""Whether columns go together as in a real cohort: rank correlations, and how far they are from the real ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_visits, patient_features
from longsynth.evaluation.columns import ordered_channels, ordered_static, require
from longsynth.exceptions import NotComputableError

FEWEST_PAIRS = 20
DIGITS = 9

Matrix = NDArray[np.float64]


def spearman(first: Matrix, second: Matrix) -> Matrix:
    """Return Spearman correlations between the columns of two tables, each over the rows where both are observed.

    Parameters
    ----------
    first, second : array, shape (n, A) and (n, B)
        NaN where missing.

    Returns
    -------
    array, shape (A, B)
        In [-1, 1]; NaN where fewer than 20 rows have both values, or one of the two columns is constant there.
    """
    correlations = np.full((first.shape[1], second.shape[1]), np.nan)
    for i, x in enumerate(first.T):
        for j, y in enumerate(second.T):
            both = ~(np.isnan(x) | np.isnan(y))
            if both.sum() >= FEWEST_PAIRS:
                correlations[i, j] = _rank_correlation(x[both], y[both])
    return correlations


def mean_correlation_error(synthetic: Matrix, real: Matrix) -> float:
    """Return the mean absolute difference of two arrays of correlations.

    Parameters
    ----------
    synthetic, real : array
        Of one shape; NaN where a correlation has no value. Entries without a real value are left out; an entry
        without a synthetic one counts as no correlation (0), so that a column made constant is not overlooked.

    Raises
    ------
    NotComputableError
        If no entry has a real value.
    """
    known = ~np.isnan(real)
    if not known.any():
        raise NotComputableError(f"nothing varies over {FEWEST_PAIRS} or more rows of the holdout")
    return float(np.abs(np.nan_to_num(synthetic[known]) - real[known]).mean())


def above_diagonal(matrix: Matrix) -> Matrix:
    """Return the entries above the diagonal of a square matrix."""
    return matrix[np.triu_indices(len(matrix), 1)]


def corr_visit(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean absolute error of the Spearman correlations between channels of one visit.

    ``mean_{a<b} |rho_S(x_a, x_b) - rho_H(x_a, x_b)|`` over pairs of channels that are not categorical, visits pooled.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has fewer than two such channels, or none are observed together in the holdout.
    """
    names = ordered_channels(holdout.schema)
    require(names, at_least=2)
    tables = [numeric_visits(cohort).select(names).to_numpy() for cohort in (synthetic, holdout)]
    errors = [above_diagonal(spearman(table, table)) for table in tables]
    return mean_correlation_error(errors[0], errors[1])


def corr_static(synthetic: Cohort, holdout: Cohort) -> float:
    """Return the mean absolute error of the Spearman correlations between static row and trajectories.

    ``mean |rho_S(s, f) - rho_H(s, f)|`` over s: static attributes that are not categorical, duration and event types;
    and f: each patient's mean and slope of each channel that is not categorical.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema.

    Returns
    -------
    float
        In [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        If there is no static column, or no channel, whose values have an order.
    """
    names = ordered_channels(holdout.schema)
    require(names)
    tables = [(ordered_static(cohort), patient_features(cohort)) for cohort in (synthetic, holdout)]
    if not tables[1][0].width:
        raise NotComputableError("it needs a static column with ordered values, and the schema has none")
    summaries = [f"{name}.{summary}" for name in names for summary in ("mean", "slope")]
    correlations = [spearman(_array(static), _array(features.select(summaries))) for static, features in tables]
    return mean_correlation_error(correlations[0], correlations[1])


def correlations(first: Matrix, second: Matrix) -> Matrix:
    """Return Pearson correlations between the columns of two tables, each over the rows where both are observed.

    Parameters
    ----------
    first, second : array, shape (n, A) and (n, B)
        NaN where missing.

    Returns
    -------
    array, shape (A, B)
        In [-1, 1]; NaN where fewer than 20 rows have both values, or one of the two columns is constant there.
    """
    x, y = _centred(first), _centred(second)
    in_x, in_y = ((~np.isnan(table)).astype(np.float64) for table in (first, second))
    n = in_x.T @ in_y
    with np.errstate(divide="ignore", invalid="ignore"):
        x_sum, y_sum = x.T @ in_y, in_x.T @ y
        covariance = x.T @ y - x_sum * y_sum / n
        x_spread = _spread((x**2).T @ in_y, x_sum, n)
        y_spread = _spread(in_x.T @ y**2, y_sum, n)
        found = covariance / np.sqrt(x_spread * y_spread)
    return np.where(n >= FEWEST_PAIRS, np.clip(found, -1, 1), np.nan)


def correlation_ratios(levels: NDArray[np.float64], values: Matrix) -> NDArray[np.float64]:
    """Return the correlation ratio of each column given the levels, ``eta = sqrt(between / total sum of squares)``.

    Parameters
    ----------
    levels : array, shape (n,)
        NaN where missing.
    values : array, shape (n, A)
        NaN where missing.

    Returns
    -------
    array, shape (A,)
        In [0, 1], over the rows where both are observed; NaN where they are fewer than 20, or one of the two does
        not vary there.
    """
    known = ~np.isnan(levels)
    x, observed = _centred(values[known]), ~np.isnan(values[known])
    _, codes = np.unique(levels[known], return_inverse=True)
    n_levels = max(int(codes.max(initial=-1)) + 1, 1)
    counts = np.array([np.bincount(codes, column, n_levels) for column in observed.T]).reshape(-1, n_levels)
    sums = np.array([np.bincount(codes, column, n_levels) for column in x.T]).reshape(-1, n_levels)
    n, total = counts.sum(axis=1), sums.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.where(counts > 0, sums**2 / counts, 0).sum(axis=1) - total**2 / n
        ratios = np.sqrt(np.clip(between / _spread((x**2).sum(axis=0), total, n), 0, 1))
    varies = (n >= FEWEST_PAIRS) & ((counts > 0).sum(axis=1) > 1)
    return np.where(varies, ratios, np.nan)


def cramers_v(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Cramér's V of two columns of levels with Bergsma's correction of its bias.

    ``V = sqrt(max(0, chi2 / n - (r-1)(c-1) / (n-1)) / min(r' - 1, c' - 1))`` with ``r' = r - (r-1)^2 / (n-1)``.

    Parameters
    ----------
    first, second : array, shape (n,)
        NaN where missing.

    Returns
    -------
    float
        In [0, 1], over the rows where both are observed; NaN where they are fewer than 20, or one of the two does
        not vary there.

    References
    ----------
    Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, doi:10.1016/j.jkss.2012.10.002.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    n = int(both.sum())
    codes = [np.unique(levels[both], return_inverse=True)[1] for levels in (first, second)]
    r, c = (int(code.max(initial=-1)) + 1 for code in codes)
    if n < FEWEST_PAIRS or min(r, c) < 2:
        return float("nan")
    counts = np.bincount(codes[0] * c + codes[1], minlength=r * c).reshape(r, c)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / n
    phi2 = ((counts - expected) ** 2 / expected).sum() / n
    phi2 = max(0.0, phi2 - (r - 1) * (c - 1) / (n - 1))
    largest = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(phi2 / largest))) if largest > 0 else float("nan")


class Table(NamedTuple):
    """Columns of patients or visits by what their values are, NaN where missing.

    Attributes
    ----------
    ordered : array, shape (n, A)
        Values that have an order.
    levels : array, shape (n, B)
        Mere levels.
    names : list of str
        Of the A ordered columns, then of the B others.
    """

    ordered: Matrix
    levels: Matrix
    names: list[str]


def associations(first: Table, second: Table) -> Matrix:
    """Return the association of each column of one table with each of another, by their kinds.

    Two ordered columns: Spearman's correlation, ranks taken over all observed values of a column and values alike to
    nine digits of the column's spread tied, since what is equal may differ by rounding errors. Two columns of levels:
    Cramér's V. One of each: the correlation ratio of the ranks.

    Parameters
    ----------
    first, second : Table
        With the same rows, of A and B columns.

    Returns
    -------
    array, shape (A, B)
        In the order of the names; NaN where a pair has no value.
    """
    ranks = [_ranks(table.ordered) for table in (first, second)]
    found = np.full((len(first.names), len(second.names)), np.nan)
    rows, columns = ranks[0].shape[1], ranks[1].shape[1]
    found[:rows, :columns] = correlations(ranks[0], ranks[1])
    for j, levels in enumerate(second.levels.T):
        found[:rows, columns + j] = correlation_ratios(levels, ranks[0])
    for i, levels in enumerate(first.levels.T):
        found[rows + i, :columns] = correlation_ratios(levels, ranks[1])
        found[rows + i, columns:] = [cramers_v(levels, others) for others in second.levels.T]
    return found


def _ranks(table: Matrix) -> Matrix:
    """Return the ranks of each column's values, rounded to nine digits of their spread."""
    if not table.size:
        return table
    centred = _centred(table)
    spread = np.sqrt((centred**2).mean(axis=0))
    varies = spread > 1e-12 * np.abs(np.nan_to_num(table)).max(axis=0)
    rounded = np.round(centred / np.where(varies, spread, np.inf), DIGITS) + 0.0
    return np.asarray(rankdata(np.where(np.isnan(table), np.nan, rounded), axis=0, nan_policy="omit"))


def _centred(table: Matrix) -> Matrix:
    """Return a table with the mean of each column taken off and 0 where missing, which keeps sums of squares exact."""
    known = ~np.isnan(table)
    filled = np.where(known, table, 0)
    return np.where(known, filled - filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0)


def _spread(squares: Matrix, sums: Matrix, n: Matrix) -> Matrix:
    """Return sums of squares about the mean; NaN where they are rounding errors of a constant."""
    spread = squares - sums**2 / n
    return np.where(spread > 1e-9 * squares, spread, np.nan)


def _array(table: pl.DataFrame) -> Matrix:
    return table.cast(pl.Float64).to_numpy()


def _rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x_ranks, y_ranks = rankdata(x), rankdata(y)
    x_ranks, y_ranks = x_ranks - x_ranks.mean(), y_ranks - y_ranks.mean()
    spread = np.sqrt((x_ranks**2).sum() * (y_ranks**2).sum())
    return float((x_ranks * y_ranks).sum() / spread) if spread > 0 else float("nan")
