"""Whether patients obey the rules: those of the schema, the range of real values, and those that nobody wrote down."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.rules import column_rules
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.columns import level_columns, number_columns, value_patients, with_whole
from longsynth.evaluation.unwritten import broken_unwritten_rules
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Column

FEWEST_OUTSIDE = 5


@metric(block="rules", level="cohort", title="Patients who break a rule of the schema", is_share=True)
def rule_violations(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the share of patients with a value that breaks what the schema says about its column.

    What the schema declares, a `Cohort` obeys by construction: levels, bounds, constraints, increasing times, no visit
    after the end. What is left are bounds and decimals that were inferred from other data.

    Sees: values outside inferred bounds, values with too many decimals. Not: anything inside them.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema, which is taken from the reference.

    Returns
    -------
    dict of str to float
        The whole (patients who break any rule) and each static attribute and channel; in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has neither static attributes nor channels.

    References
    ----------
    Kahn et al. (2016), A harmonized data quality assessment terminology, doi:10.13063/2327-9214.1244.
    """
    schema = reference.schema
    broken = _breaking(sample.static, "static", schema.static, schema.patient_id)
    broken |= _breaking(sample.visits, "visits", schema.channels, schema.patient_id)
    if not broken:
        raise NotComputableError("it needs a column, and the schema has neither static attributes nor channels")
    return _shares(broken, sample.n_patients)


@metric(block="rules", level="visit", title="Values outside the range of real ones", is_share=True)
def outside_range(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the share of values below the least or above the greatest of the reference, or of levels it never has.

    ``P(x < min y or x > max y)`` of each numeric column, ``P(x not among the y)`` of each column with levels; 0 where
    fewer than 5 patients of the sample have such values.

    Sees: values, durations and levels that no real patient has: times doubled. Not: values that are common and wrong,
    nor what fewer than 5 patients have.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole (mean over columns) and each column with a value in both, visits pooled; in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If no column has a value in both.

    Notes
    -----
    In a continuous column with one value a patient, a fresh real sample of n patients has k outside the range of n
    others with probability of about ``(k + 1) / 2**(k + 2)``, whatever n: 5 or more in 11 % of samples. Splits of real
    patients show that, and the ceiling is right. It is not where ties are many: if a value is so rare that no real
    patient happens to have it, it is outside in no split, and a fresh sample still may have it (counted singly, up to
    17 % of samples would be flagged). With 5 patients it is 2 % or fewer, whatever the ties at the ends; with 4 up to
    3 %. In a column with many levels that are each rarer than one in n patients it remains up to 6 %.

    References
    ----------
    Kahn et al. (2016), A harmonized data quality assessment terminology, doi:10.13063/2327-9214.1244. Gumbel and von
    Schelling (1950), The distribution of the number of exceedances, doi:10.1214/aoms/1177729842.
    """
    shares = {}
    for columns, is_outside in ((number_columns, _beyond), (level_columns, _unseen)):
        made, real = columns(sample), columns(reference)
        for name, values in real.items():
            if values.size and made[name].size:
                outside = is_outside(made[name], values)
                n_patients = value_patients(sample, name).filter(pl.Series(outside)).n_unique()
                shares[name] = float(outside.mean()) if n_patients >= FEWEST_OUTSIDE else 0.0
    return with_whole(shares, "column")


@metric(block="rules", level="trajectory", title="Patients who do what no real patient does", is_share=True)
def unwritten_rules(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the share of patients who break a rule that every reference patient obeys, though nobody declared it.

    Rules are looked for in the reference: a channel never changes, never falls or never rises within a patient, a
    level is never left, a column is never above another of its unit. See
    `longsynth.evaluation.unwritten.broken_unwritten_rules`.

    Sees: visit order shuffled or visits dealt across patients, where a channel only goes one way; columns permuted,
    where one bounds another. Not: rules that one real patient breaks, rules over more than two columns.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole (patients who break any rule) and each column or pair of columns with a rule; in [0, 1], lower is
        better. Rules found in few patients are broken by some real ones too: compare with the ceiling.

    Raises
    ------
    NotComputableError
        If no such rule holds for 20 or more reference patients.

    References
    ----------
    Kahn et al. (2016), A harmonized data quality assessment terminology, doi:10.13063/2327-9214.1244.
    """
    broken = broken_unwritten_rules(sample, reference)
    if not broken:
        raise NotComputableError("it needs a rule that all of 20 or more real patients obey, and there is none")
    return _shares(broken, sample.n_patients)


def _beyond(values: NDArray[np.float64], real: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (values < real.min()) | (values > real.max())


def _unseen(values: NDArray[np.float64], real: NDArray[np.float64]) -> NDArray[np.bool_]:
    return ~np.isin(values, np.unique(real))


def _breaking(frame: pl.DataFrame, table: str, columns: Mapping[str, Column], patient_id: str) -> dict[str, pl.Series]:
    """Return the ids of the patients with a value that breaks a rule, for each column."""
    broken = {}
    for name, column in columns.items():
        rules = [rule.broken.fill_null(False) for rule in column_rules(name, column, frame.schema[name])]
        broken[f"{table}.{name}"] = frame.filter(pl.any_horizontal(pl.lit(False), *rules))[patient_id].unique()
    return broken


def _shares(broken: Mapping[str, pl.Series], n_patients: int) -> dict[str, float]:
    """Return the share of patients in any of the lists, and in each."""
    shares = {name: len(ids) / n_patients for name, ids in broken.items()}
    return {WHOLE: pl.concat(list(broken.values())).n_unique() / n_patients, **shares}
