"""Which static rows meet a condition, so that patients can be drawn given it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import and_
from typing import Any

import numpy as np
import polars as pl

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.exceptions import ConfigError

Where = pl.Expr | Mapping[str, Any]


def acceptance(encoder: CohortEncoder, where: Where) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Turn a condition into a test of static codes and positions."""
    condition = _expression(encoder, where)

    def accept(codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        static = encoder.decode_static(codes, positions)
        return static.select(condition.fill_null(False).alias("accepted"))["accepted"].to_numpy()

    try:
        outcome = encoder.decode_static(
            np.zeros((1, len(encoder.static_items)), np.int64), np.full((1, len(encoder.static_items)), 0.5)
        ).select(condition.alias("accepted"))
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"the condition cannot be applied to the static attributes: {_first_line(error)}") from error
    if outcome["accepted"].dtype != pl.Boolean or len(outcome) != 1:
        raise ConfigError("the condition must be true or false for each patient, such as pl.col('age') >= 50")
    return accept


def _expression(encoder: CohortEncoder, where: Where) -> pl.Expr:
    if isinstance(where, pl.Expr):
        return where
    if not where:
        raise ConfigError("the condition is empty; leave `where` out to sample from everybody")
    names = {*encoder.schema.static, *encoder.schema.event_columns}
    unknown = [name for name in where if name not in names]
    if unknown:
        raise ConfigError(f"no static attribute is called {unknown[0]!r}; there are {', '.join(sorted(names))}")
    return reduce(and_, [pl.col(name) == value for name, value in where.items()])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
