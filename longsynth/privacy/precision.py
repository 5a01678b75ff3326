"""Tables at reporting precision: two values are the same if they would be reported as the same."""

from __future__ import annotations

import numpy as np
import polars as pl

from longsynth.schema.types import Column

MOST_DECIMALS = 6
COVERED_SHARE = 0.97


def reporting_decimals(values: pl.Series, column: Column) -> int:
    """Return the decimal places that a numeric column is reported with.

    Parameters
    ----------
    values : polars.Series
        Real values, Float64.
    column : Column
        Its entry in the schema; declared decimals are taken as they are.

    Returns
    -------
    int
        Else the fewest places, from 0 to 6, that 97 % of the values need no more than.
    """
    if column.decimals is not None:
        return column.decimals
    seen = values.drop_nulls().to_numpy()
    for decimals in range(MOST_DECIMALS):
        if not seen.size or np.isclose(seen, seen.round(decimals), rtol=0, atol=1e-7).mean() >= COVERED_SHARE:
            return decimals
    return MOST_DECIMALS


def rounded(values: pl.Series, decimals: int) -> pl.Series:
    """Return values as whole numbers of the last decimal place, Int64, null where missing."""
    return (values * 10.0**decimals).round().cast(pl.Int64)
