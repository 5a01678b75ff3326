"""The only place that tells pandas from polars: tables come in here and leave as polars, and the other way round."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from longsynth.exceptions import CohortError

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = (pl.Boolean, pl.String, pl.Date, pl.Datetime, pl.Null)


def to_polars(table: Any, name: str) -> pl.DataFrame:
    """Return a table as polars with plain column types.

    Parameters
    ----------
    table : pandas.DataFrame, polars.DataFrame or polars.LazyFrame
        Left as it is; an index is ignored.
    name : str
        What to call the table in an error.

    Returns
    -------
    polars.DataFrame
        Categorical and enumerated columns as text, decimals as floats, NaN as null.

    Raises
    ------
    CohortError
        If the table is no frame, or a column has a type that no schema kind can hold.
    """
    if isinstance(table, pl.LazyFrame):
        frame = table.collect()
    elif isinstance(table, pl.DataFrame):
        frame = table
    elif type(table).__module__.split(".")[0] == "pandas" and hasattr(table, "columns"):
        frame = _from_pandas(table, name)
    else:
        raise CohortError(
            f"the {name} table is a {type(table).__name__}; give a pandas or polars data frame, or a path"
        )
    return frame.select(_plain(column, name) for column in frame.get_columns())


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Return a polars frame as pandas; integers with missing values become floats, as pandas users expect."""
    return frame.to_pandas()


def _plain(column: pl.Series, table: str) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        return column.cast(pl.String)
    if isinstance(dtype, pl.Decimal):
        return column.cast(pl.Float64)
    if dtype.is_float():
        return column.fill_nan(None)
    if dtype.is_integer() or isinstance(dtype, _PLAIN):
        return column
    raise CohortError(
        f"{table}.{column.name}: columns of type {dtype} cannot be read; make it a number, text, a boolean or a date"
    )


def _from_pandas(table: pd.DataFrame, name: str) -> pl.DataFrame:
    names = [str(column) for column in table.columns]
    if len(set(names)) != len(names):
        raise CohortError(f"the {name} table has two columns of the same name; rename one")
    columns = []
    for position, column_name in enumerate(names):
        column = table.iloc[:, position]
        if column.dtype == object:
            _check_objects(column, f"{name}.{column_name}")
        try:
            columns.append(pl.Series(column_name, pl.from_pandas(column, nan_to_null=True)))
        except (pa.ArrowException, TypeError):  # the cause would show values
            where = f"{name}.{column_name}"
            raise CohortError(f"{where}: values of different types in one column; make them one type") from None
    return pl.DataFrame(columns)


def _check_objects(column: pd.Series[Any], where: str) -> None:
    zones = {str(value.tzinfo) for value in column if isinstance(value, dt.datetime)}
    if len(zones) > 1:
        raise CohortError(f"{where}: mixed time zones; convert them all to one zone")
