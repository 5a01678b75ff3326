"""Whether columns go together as in real patients, apart for differences between patients and within them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.evaluation.association import Matrix, Table, associations
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.columns import ordered_static
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Column

MAX = "max"


@metric(block="association", level="visit", title="Associations between channels at the first visit")
def association_first_visit(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of the associations between channels at each patient's first visit.

    ``mean_{a<b} |A_ab(sample) - A_ab(reference)|`` with A as in `longsynth.evaluation.association.associations`:
    Spearman's correlation, Cramér's V or correlation ratio, as the kinds ask.

    Sees: columns permuted. Not: visit order shuffled (hardly), anything after the first visit.

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
        If no two channels vary and are observed together in 20 first visits of the reference, or of the sample.

    References
    ----------
    Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, doi:10.1016/j.jkss.2012.10.002.
    """
    return _errors_among(_first_visits(sample), _first_visits(reference))


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
        If no two channels vary and are both observed in 20 patients of the reference, or of the sample.

    References
    ----------
    Bland and Altman (1995), Correlation coefficients with repeated observations 2, doi:10.1136/bmj.310.6980.633.
    """
    return _errors_among(_patient_means(sample), _patient_means(reference))


@metric(block="association", level="visit", title="Associations between channels' changes within patients")
def association_within_patient(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of the associations between deviations from patients' means: what rises and falls together.

    As `association_first_visit`, over visits and values less the patient's mean; a patient's channel that is observed
    once is left out. Pairs of two categorical channels are not compared.

    Sees: columns permuted, visits dealt across patients. Not: visit order shuffled, differences between patients.

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
        If no two channels vary within patients and are observed together in 20 visits of the reference, or of the
        sample.

    References
    ----------
    Bland and Altman (1995), Correlation coefficients with repeated observations 1, doi:10.1136/bmj.310.6977.446.
    """
    return _errors_among(_deviations(sample), _deviations(reference), with_levels=False)


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
        If no two static attributes vary and are both observed in 20 patients of the reference, or of the sample.

    References
    ----------
    Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, doi:10.1016/j.jkss.2012.10.002.
    """
    return _errors_among(_static(sample), _static(reference))


@metric(
    block="association",
    level="trajectory",
    title="Associations of static attributes and the event with channels' means and slopes",
)
def association_static_trajectory(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the error of the associations between the static row and the trajectories.

    As `association_first_visit`, over patients, for pairs of a column of the static row (static attributes, duration,
    an indicator of each event type) and a summary of a channel: the patient's mean and slope over time, or most common
    level if it is categorical.

    Sees: visits dealt across patients, columns permuted, static rows given to other patients; event times permuted or
    visit order shuffled only where the event or slopes go closely with the other side. Not: associations among
    channels, or among static attributes.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole, ``max`` (the worst pair), and each column of the static row and each channel (mean over its pairs);
        in [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        If no such pair varies and is observed in 20 patients of the reference, or of the sample.

    References
    ----------
    Spearman (1904), The proof and measurement of association between two things, doi:10.2307/1412159.
    """
    tables = [(_static_row(cohort), _means_and_slopes(cohort)) for cohort in (sample, reference)]
    made, real = (associations(*pair) for pair in tables)
    return _errors(made, real, tables[1][0].names, tables[1][1].names)


def _errors_among(sample: Table, reference: Table, *, with_levels: bool = True) -> dict[str, float]:
    """Return the errors over the pairs of columns of a table."""
    made, real = (associations(table, table) for table in (sample, reference))
    real[np.tril_indices(len(real))] = np.nan
    if not with_levels:
        n_ordered = reference.ordered.shape[1]
        real[n_ordered:, n_ordered:] = np.nan
    return _errors(made, real, reference.names, reference.names)


def _errors(made: Matrix, real: Matrix, rows: list[str], columns: list[str]) -> dict[str, float]:
    """Return the mean and the largest error over pairs that have a value, and the mean over each column's pairs."""
    places = np.argwhere(~np.isnan(real))
    if not len(places):
        raise NotComputableError("it needs two columns that vary and are observed together in 20 rows of real patients")
    if np.isnan(made[tuple(places.T)]).all():
        raise NotComputableError("no two columns that go with each other in real patients vary together in the sample")
    errors = np.abs(np.nan_to_num(made) - real)[tuple(places.T)]
    by_column: dict[str, list[float]] = {}
    for (i, j), error in zip(places, errors, strict=True):
        for name in {rows[i], columns[j]}:
            by_column.setdefault(name, []).append(error)
    means = {name: float(np.mean(by_column[name])) for name in dict.fromkeys([*rows, *columns]) if name in by_column}
    return {WHOLE: float(errors.mean()), MAX: float(errors.max()), **means}


def _table(frame: pl.DataFrame, columns: Mapping[str, Column], prefix: str) -> Table:
    ordered = [name for name, column in columns.items() if column.kind != "categorical"]
    levels = [name for name, column in columns.items() if column.kind == "categorical"]
    return Table(
        _array(frame.select(ordered), frame.height),
        _array(frame.select(levels), frame.height),
        [f"{prefix}.{name}" for name in (*ordered, *levels)],
    )


def _array(frame: pl.DataFrame, n_rows: int) -> Matrix:
    """Return a frame as numbers; without columns it would forget its rows."""
    return frame.cast(pl.Float64).to_numpy().reshape(n_rows, frame.width)


def _static(cohort: Cohort) -> Table:
    static = numeric_static(cohort).rename(lambda name: name.removeprefix("static."))
    return _table(static, cohort.schema.static, "static")


def _static_row(cohort: Cohort) -> Table:
    """Return the static attributes, the duration and an indicator of each event type."""
    ordered = ordered_static(cohort)
    static = _static(cohort)
    names = [name.partition("=")[0] if name.startswith("event.") else name for name in ordered.columns]
    names += static.names[static.ordered.shape[1] :]
    return Table(_array(ordered, cohort.n_patients), static.levels, names)


def _first_visits(cohort: Cohort) -> Table:
    first = numeric_visits(cohort).filter(pl.col(cohort.schema.patient_id).is_first_distinct())
    return _table(first, cohort.schema.channels, "visits")


def _patient_means(cohort: Cohort) -> Table:
    return _table(_by_patient(cohort, _typical(cohort)), cohort.schema.channels, "visits")


def _means_and_slopes(cohort: Cohort) -> Table:
    channels = cohort.schema.channels
    ordered = {name: column for name, column in channels.items() if column.kind != "categorical"}
    means = _table(_by_patient(cohort, _typical(cohort)), channels, "visits")
    slopes = _table(_by_patient(cohort, [_slope(cohort, name) for name in ordered]), ordered, "visits")
    names = [*means.names[: len(ordered)], *slopes.names, *means.names[len(ordered) :]]
    return Table(np.hstack([means.ordered, slopes.ordered]), means.levels, names)


def _by_patient(cohort: Cohort, summaries: list[pl.Expr]) -> pl.DataFrame:
    """Return summaries of the visits of each patient, one row a patient."""
    name = cohort.schema.patient_id
    found = numeric_visits(cohort).group_by(name, maintain_order=True).agg(summaries)
    return cohort.static.select(name).join(found, on=name, how="left", maintain_order="left")


def _typical(cohort: Cohort) -> list[pl.Expr]:
    return [
        pl.col(name).drop_nulls().mode().min() if column.kind == "categorical" else pl.col(name).mean()
        for name, column in cohort.schema.channels.items()
    ]


def _slope(cohort: Cohort, name: str) -> pl.Expr:
    """Return the least-squares slope over time of a channel, null where it has none."""
    assert cohort.schema.visit_time is not None  # for the type checker: there is a channel
    value = pl.col(name)
    time = pl.when(value.is_not_null()).then(pl.col(cohort.schema.visit_time.column))
    centred = time - time.mean()
    spread = centred.pow(2).sum()
    return pl.when(spread > 0).then((centred * value).sum() / spread).alias(name)


def _deviations(cohort: Cohort) -> Table:
    """Return values less the patient's mean where a patient has two of a channel; levels as they are."""
    channels, patient = cohort.schema.channels, cohort.schema.patient_id
    deviations = []
    for name, column in channels.items():
        if column.kind != "categorical":
            value = pl.col(name)
            seen_twice = value.count().over(patient) > 1
            deviations.append(pl.when(seen_twice).then(value - value.mean().over(patient)).alias(name))
    return _table(numeric_visits(cohort).with_columns(deviations), channels, "visits")
