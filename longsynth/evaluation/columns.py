"""Which columns a metric looks at, and their values as numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.evaluation.base import WHOLE
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import NUMERIC_KINDS, Schema


def ordered_channels(schema: Schema) -> list[str]:
    """Return the channels whose values have an order, so that ranks mean something: all but categorical ones."""
    return [name for name, column in schema.channels.items() if column.kind != "categorical"]


def require(names: list[str], at_least: int = 1) -> None:
    """Raise unless a schema has enough channels whose values have an order.

    Raises
    ------
    NotComputableError
        If there are fewer than ``at_least``.
    """
    if len(names) < at_least:
        needed = "a channel" if at_least == 1 else f"{at_least} channels"
        raise NotComputableError(f"it needs {needed} with ordered values, and the schema has {len(names)}")


def observed(values: pl.Series) -> NDArray[np.float64]:
    """Return the observed values of a numeric column as an array, shape (n observed,)."""
    return values.drop_nulls().to_numpy().astype(np.float64)


def number_columns(cohort: Cohort) -> dict[str, NDArray[np.float64]]:
    """Return the observed values of every continuous, count and date column, and of the duration, by column name.

    Channels are named ``visits.<name>``, static attributes ``static.<name>``; a channel's visits are pooled.
    """
    static, visits, schema = numeric_static(cohort), numeric_visits(cohort), cohort.schema
    names = [f"static.{name}" for name, column in schema.static.items() if column.kind in NUMERIC_KINDS]
    columns = {name: observed(static[name]) for name in names}
    if schema.terminal_event is not None:
        columns["event.duration"] = observed(static["event.duration"])
    for name, column in schema.channels.items():
        if column.kind in NUMERIC_KINDS:
            columns[f"visits.{name}"] = observed(visits[name])
    return columns


def level_columns(cohort: Cohort) -> dict[str, NDArray[np.float64]]:
    """Return the observed levels of every other column, as positions in the schema, and the event types; as above."""
    static, visits, schema = numeric_static(cohort), numeric_visits(cohort), cohort.schema
    names = [f"static.{name}" for name, column in schema.static.items() if column.kind not in NUMERIC_KINDS]
    columns = {name: observed(static[name]) for name in names}
    if schema.terminal_event is not None:
        columns["event.type"] = observed(static["event.type"])
    for name, column in schema.channels.items():
        if column.kind not in NUMERIC_KINDS:
            columns[f"visits.{name}"] = observed(visits[name])
    return columns


def value_patients(cohort: Cohort, column: str) -> pl.Series:
    """Return the id of the patient behind each observed value of a column, in the order of the functions above."""
    table = numeric_visits(cohort) if column.startswith("visits.") else numeric_static(cohort)
    return table.drop_nulls(column.removeprefix("visits."))[cohort.schema.patient_id]


def patient_weights(cohort: Cohort, channel: str) -> NDArray[np.float64]:
    """Return a weight for each observed value of a channel such that all patients weigh the same.

    Returns
    -------
    array, shape (n observed,)
        One over the number of observed values of the patient, in the order of `number_columns` and `level_columns`.
    """
    name = cohort.schema.patient_id
    seen = cohort.visits.select(name, channel).drop_nulls(channel)
    return seen.select((1.0 / pl.len()).over(name).alias("weight"))["weight"].to_numpy()


def with_whole(values: dict[str, float], needed: str) -> dict[str, float]:
    """Return the values by part together with their mean as `WHOLE`.

    Raises
    ------
    NotComputableError
        If there is none; the message says that a ``needed`` is missing.
    """
    if not values:
        raise NotComputableError(f"it needs a {needed}, and the schema has none with a value in the real cohort")
    return {WHOLE: float(np.mean(list(values.values()))), **values}


def ordered_static(cohort: Cohort) -> pl.DataFrame:
    """Return the static attributes whose values have an order, the duration, and an indicator for each event type.

    Returns
    -------
    polars.DataFrame
        N rows in the order of ``cohort.static``; Float64, null where missing.
    """
    static, schema = numeric_static(cohort), cohort.schema
    columns = [static[f"static.{name}"] for name, column in schema.static.items() if column.kind != "categorical"]
    if schema.terminal_event is not None:
        columns.append(static["event.duration"])
        types = schema.terminal_event.event_types
        columns += [(static["event.type"] == code).cast(pl.Float64).alias(f"event.type={code}") for code in types]
    return pl.DataFrame(columns)
