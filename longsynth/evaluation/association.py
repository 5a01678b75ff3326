"""Whether columns go together as in a real cohort: rank correlations, and how far they are from the real ones."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_visits, patient_features
from longsynth.evaluation.columns import ordered_channels, ordered_static, require
from longsynth.exceptions import NotComputableError

FEWEST_PAIRS = 20

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


def _array(table: pl.DataFrame) -> Matrix:
    return table.cast(pl.Float64).to_numpy()


def _rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x_ranks, y_ranks = rankdata(x), rankdata(y)
    x_ranks, y_ranks = x_ranks - x_ranks.mean(), y_ranks - y_ranks.mean()
    spread = np.sqrt((x_ranks**2).sum() * (y_ranks**2).sum())
    return float((x_ranks * y_ranks).sum() / spread) if spread > 0 else float("nan")
