"""Statements about a stretch of visits ("creatinine near 3, then a gap near 30 days, then ..."), and whom they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longsynth.privacy.coded import NOT_OBSERVED, Coded
from longsynth.privacy.knowledge import Knowledge

TOLERANCE = 0.05
_EQUAL = 1e-6


class Term(NamedTuple):
    """One condition: ``|x - value| <= tolerance`` on the coded scale.

    Attributes
    ----------
    table : {"channel", "gap", "time", "static"}
        What x is; "gap" is the one to the next visit.
    column : int
        Channel or static column.
    visit : int
        Visit of the stretch, from 0.
    value, tolerance : float
        Coded.
    """

    table: Literal["channel", "gap", "time", "static"]
    column: int
    visit: int
    value: float
    tolerance: float

    def x(self, coded: Coded, first: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return x of the stretches that start at some visits, shape of ``first``."""
        return self.column_of(coded)[coded.patient[first] if self.table == "static" else first + self.visit]

    def everywhere(self, coded: Coded) -> NDArray[np.float32]:
        """Return what x is of the stretch in which it belongs to each visit, shape (V,)."""
        x = self.column_of(coded)
        return x[coded.patient] if self.table == "static" else x

    def column_of(self, coded: Coded) -> NDArray[np.float32]:
        """Return x of each visit, or for a static column of each patient."""
        tables = {
            "channel": coded.values, "static": coded.static, "gap": coded.gap[None], "time": coded.time[None]
        }  # fmt: skip
        return tables[self.table][self.column]


def terms_of(coded: Coded, first: int, knowledge: Knowledge, static: NDArray[np.int64]) -> list[Term]:
    """Return all conditions that an attacker can state about one stretch of k visits.

    Numbers and times fit within 5 % of their width (more if the attacker's knowledge is less exact), levels if equal.
    What was not observed gives no condition.

    Parameters
    ----------
    coded : Coded
        Whose stretch.
    first : int
        Its first visit, an index into all visits.
    knowledge : Knowledge
        Which channels and times, and how exactly.
    static : ndarray of int
        Known static columns.
    """
    schema = coded.records.cohort.schema
    width = max(TOLERANCE, knowledge.value_noise)
    terms: list[Term] = []
    for column, name in enumerate(schema.channels):
        if name in knowledge.known_channels(schema):
            tolerance = width if coded.is_number[column] else _EQUAL
            values = coded.values[column, first : first + knowledge.k]
            terms += [Term("channel", column, visit, float(value), tolerance) for visit, value in enumerate(values)]
    for column in static:
        tolerance = width if coded.static_is_number[column] else _EQUAL
        terms.append(Term("static", int(column), 0, float(coded.static[column, coded.patient[first]]), tolerance))
    if knowledge.time != "none":
        tolerance = max(TOLERANCE, 2 * knowledge.jitter / coded.scaling.gap)
        gaps = coded.gap[first : first + knowledge.k - 1]
        terms += [Term("gap", 0, visit, float(gap), tolerance) for visit, gap in enumerate(gaps)]
    if knowledge.time == "exact":
        terms.append(Term("time", 0, 0, float(coded.time[first]), TOLERANCE))
    return [term for term in terms if term.value != np.float32(NOT_OBSERVED)]


def fitting(coded: Coded, stretches: NDArray[np.int64], terms: Sequence[Term]) -> NDArray[np.int64]:
    """Return the stretches that fulfil all of some conditions, from among ``stretches``."""
    for term in terms:
        stretches = stretches[np.abs(term.x(coded, stretches) - term.value) <= term.tolerance]
    return stretches


def all_fitting(coded: Coded, k: int, terms: Sequence[Term]) -> NDArray[np.int64]:
    """Return all stretches of k visits that fulfil one or more conditions, sorted; faster than asking each stretch."""
    term, *others = terms
    visits = np.flatnonzero(np.abs(term.everywhere(coded) - term.value) <= term.tolerance) - term.visit
    visits = visits[(visits >= 0) & (visits + k <= len(coded.patient))]
    return fitting(coded, visits[coded.patient[visits] == coded.patient[visits + k - 1]], others)


def patients_of(coded: Coded, stretches: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return whose stretches these are, each patient once, sorted."""
    patient = coded.patient[stretches]
    return patient[np.append(True, patient[1:] != patient[:-1])] if patient.size else patient
