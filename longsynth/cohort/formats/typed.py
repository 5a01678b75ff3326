"""A CSV file says nothing of types; this reads them off the text, for proposing a schema."""

from __future__ import annotations

import polars as pl

from longsynth.cohort.columns import blank_to_null, to_number


def typed(table: pl.DataFrame, *, patient_id: str) -> pl.DataFrame:
    """Return a table whose text columns are numbers or booleans where every value is one.

    Parameters
    ----------
    table : polars.DataFrame
        As read from CSV: all columns are text.
    patient_id : str
        Name of the column that stays text whatever it holds.

    Returns
    -------
    polars.DataFrame
        Columns with a number that begins with a superfluous zero (``007``) are codes and stay text.

    Examples
    --------
    >>> table = pl.DataFrame({"id": ["1", "2"], "site": ["007", "12"], "age": ["61", "NA"], "dead": ["True", "false"]})
    >>> typed(table, patient_id="id").rows()
    [('1', '007', 61, True), ('2', '12', None, False)]
    """
    return table.with_columns(
        [_typed(column) for column in table if column.dtype == pl.String and column.name != patient_id]
    )


def _typed(text: pl.Series) -> pl.Series:
    present = blank_to_null(text).str.strip_chars().drop_nulls()
    if present.is_empty() or present.str.contains(r"^[+-]?0\d").any():
        return text
    if present.str.to_lowercase().is_in(["true", "false"]).all():
        return blank_to_null(text).str.strip_chars().str.to_lowercase() == "true"
    number = to_number(text)
    return text if number.problem is not None else number.values
