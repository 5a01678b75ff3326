"""Whether columns go together as in real patients, apart for differences between patients and within them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.evaluation.association import Matrix, associations, corr_static
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Column

MAX = "max"
DEVIATION_DIGITS = 9


class _Table(NamedTuple):
    """Columns whose values have an order, then those with mere levels, NaN where missing; and their names."""

    ordered: Matrix
    levels: Matrix
    names: list[str]


@metric(block="association", level="visit", title="Associations between channels at the first visit")
def association_first_visit(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of the associations between channels at each patient's first visit.

    ``mean_{a<b} |A_ab(sample) - A_ab(reference)|`` with A as in `longsynth.evaluation.association.associations`:
    Spearman's correlation, Cramér's V or correlation ratio, as the kinds ask.

    Sees: columns permuted. Not: anything after the first visit.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole, ``max`` (the worst pair), and each channel (mean over its pairs); in [0, 2], lower is better.
        Pairs without value in the reference are left out; without value in the sample they count as 0.

    Raises
    ------
    NotComputableError
        If no two channels vary and are observed together in 20 first visits of the reference.

    References
    ----------
    Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, doi:10.1016/j.jkss.2012.10.002.
    """
    return _errors(_first_visits(sample), _first_visits(reference))


@metric(block="association", level="trajectory", title="Associations between channels' patient means", by_stratum=True)
def association_patient_mean(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of the associations between patients' means of channels: who is high in one and in another.

    As `association_first_visit`, over patients; of a categorical channel a patient's most common level is taken.

    Sees: columns permuted, visits dealt across patients. Not: visit order shuffled, changes within patients.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        As `association_first_visit`.

    Raises
    ------
    NotComputableError
        If no two channels vary and are both observed in 20 patients of the reference.

    References
    ----------
    Bland and Altman (1995), Correlation coefficients with repeated observations 2, doi:10.1136/bmj.310.6980.633.
    """
    return _errors(_patient_means(sample), _patient_means(reference))


@metric(block="association", level="visit", title="Associations between channels' changes within patients")
def association_within_patient(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of the associations between deviations from patients' means: what rises and falls together.

    As `association_first_visit`, over visits and values less the patient's mean; a patient's channel that is observed
    once is left out. Pairs of two categorical channels are not compared.

    Sees: columns permuted. Not: visit order shuffled, differences between patients.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        As `association_first_visit`.

    Raises
    ------
    NotComputableError
        If no two channels vary within patients and are observed together in 20 visits of the reference.

    References
    ----------
    Bland and Altman (1995), Correlation coefficients with repeated observations 1, doi:10.1136/bmj.310.6977.446.
    """
    return _errors(_deviations(sample), _deviations(reference), with_levels=False)


@metric(block="association", level="static", title="Associations between static attributes")
def association_static(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of the associations between static attributes.

    As `association_first_visit`, over patients; without duration and event.

    Sees: static attributes that are drawn independently. Not: visits and the terminal event.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        As `association_first_visit`.

    Raises
    ------
    NotComputableError
        If no two static attributes vary and are both observed in 20 patients of the reference.

    References
    ----------
    Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, doi:10.1016/j.jkss.2012.10.002.
    """
    return _errors(_static(sample), _static(reference))


@metric(
    block="association",
    level="trajectory",
    title="Correlations of static attributes and the event with channels' means and slopes",
)
def association_static_trajectory(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean absolute error of the correlations between static row and trajectories.

    See `longsynth.evaluation.association.corr_static`.

    Sees: visits dealt across patients, event times permuted, static rows given to other patients, visit order
    shuffled where slopes follow from the static row. Not: associations among channels, or among static attributes.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole; in [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        If there is no static column, or no channel, whose values have an order and vary.

    References
    ----------
    Spearman (1904), The proof and measurement of association between two things, doi:10.2307/1412159.
    """
    return {WHOLE: corr_static(sample, reference)}


def _errors(sample: _Table, reference: _Table, *, with_levels: bool = True) -> dict[str, float]:
    """Return the mean and the largest error over pairs, and the mean over each column's pairs."""
    made, real = (associations(table.ordered, table.levels) for table in (sample, reference))
    np.fill_diagonal(real, np.nan)
    if not with_levels:
        n_ordered = reference.ordered.shape[1]
        real[n_ordered:, n_ordered:] = np.nan
    known = ~np.isnan(real)
    if not known.any():
        raise NotComputableError("it needs two columns that vary and are observed together in 20 rows of real patients")
    errors = np.abs(np.nan_to_num(made) - real)
    found = {WHOLE: float(errors[known].mean()), MAX: float(errors[known].max())}
    return found | {name: float(errors[i][known[i]].mean()) for i, name in enumerate(reference.names) if known[i].any()}


def _table(frame: pl.DataFrame, columns: Mapping[str, Column], prefix: str) -> _Table:
    ordered = [name for name, column in columns.items() if column.kind != "categorical"]
    levels = [name for name, column in columns.items() if column.kind == "categorical"]
    arrays = [frame.select(pl.col(names).cast(pl.Float64)).to_numpy() for names in (ordered, levels)]
    return _Table(arrays[0], arrays[1], [f"{prefix}.{name}" for name in (*ordered, *levels)])


def _static(cohort: Cohort) -> _Table:
    static = numeric_static(cohort).rename(lambda name: name.removeprefix("static."))
    return _table(static, cohort.schema.static, "static")


def _first_visits(cohort: Cohort) -> _Table:
    first = numeric_visits(cohort).filter(pl.col(cohort.schema.patient_id).is_first_distinct())
    return _table(first, cohort.schema.channels, "visits")


def _patient_means(cohort: Cohort) -> _Table:
    channels = cohort.schema.channels
    summaries = [
        pl.col(name).drop_nulls().mode().min() if column.kind == "categorical" else pl.col(name).mean()
        for name, column in channels.items()
    ]
    means = numeric_visits(cohort).group_by(cohort.schema.patient_id, maintain_order=True).agg(summaries)
    return _table(means, channels, "visits")


def _deviations(cohort: Cohort) -> _Table:
    """Return values less the patient's mean, rounded so that equal deviations stay equal; levels as they are."""
    channels, patient = cohort.schema.channels, cohort.schema.patient_id
    deviations = []
    for name, column in channels.items():
        if column.kind == "categorical":
            continue
        value = pl.col(name)
        seen_twice = value.count().over(patient) > 1
        deviation = pl.when(seen_twice).then(value - value.mean().over(patient))
        scale = value.std()
        deviations.append(pl.when(scale > 0).then((deviation / scale).round(DEVIATION_DIGITS)).alias(name))
    return _table(numeric_visits(cohort).with_columns(deviations), channels, "visits")
