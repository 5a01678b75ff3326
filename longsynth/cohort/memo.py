"""Tables about a sample of patients, computed once: many metrics ask for the same ones.

A cohort keeps nothing unless it carries a memo. Numbered cohorts and samples taken from them do; they live as long as
one evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from longsynth.cohort.cohort import Cohort

Rows = Literal["static", "visits"]
Function = Callable[["Cohort"], pl.DataFrame]


@dataclass(eq=False)
class Memo:
    """What was computed about a cohort, and where it was taken from.

    Attributes
    ----------
    source : Cohort or None
        The cohort it is a sample of.
    rows : dict of str to array of int
        Which rows of the source's tables it has, by "static" and "visits".
    tables : dict of str to polars.DataFrame
        By the name of the function that made them.
    """

    source: Cohort | None = None
    rows: dict[Rows, NDArray[np.int64]] = field(default_factory=dict)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)


def remembered(rows: Rows | None) -> Callable[[Function], Function]:
    """Compute a table of a cohort once if it carries a memo.

    Parameters
    ----------
    rows : {"static", "visits"} or None
        The table of the cohort whose rows the result has, each depending on nothing but its patient; a sample's result
        is then taken from that of its source. None: it is not one row for a row.
    """

    def wrap(function: Function) -> Function:
        name = function.__name__  # type: ignore[attr-defined]

        @wraps(function)
        def call(cohort: Cohort) -> pl.DataFrame:
            memo = cohort._memo
            if memo is None:
                return function(cohort)
            if name not in memo.tables:
                taken = rows is not None and memo.source is not None
                memo.tables[name] = call(memo.source)[memo.rows[rows]] if taken else function(cohort)  # type: ignore
            return memo.tables[name]

        return call

    return wrap
