"""The visits themselves: how many, how far apart, and what is measured at them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import patient_features
from longsynth.evaluation.columns import observed
from longsynth.evaluation.visit_process import gaps
from longsynth.exceptions import ConfigError
from longsynth.report.figures.style import Picture, legend_above, look, styled

MOST_CHANNELS = 20


@styled
def draw_visits(cohorts: Mapping[str, Cohort]) -> Figure:
    """Draw how many visits patients have, how far apart they are, and how often each channel is observed.

    Parameters
    ----------
    cohorts : mapping of str to Cohort
        By title; all under the same schema, with visits.

    Returns
    -------
    matplotlib.figure.Figure
        Left: share of patients with at most so many visits. Middle: share of gaps between consecutive visits that are
        at most so long. Right: share of visits at which each channel is observed; the twenty channels whose share
        differs most if there are more.

    Raises
    ------
    ConfigError
        If the schema has no visit time.
    """
    schema = next(iter(cohorts.values())).schema
    if schema.visit_time is None:
        raise ConfigError("there is nothing to draw: the schema has no visit time.")
    n_channels = min(len(schema.channels), MOST_CHANNELS)
    figure = Picture(figsize=(9.5, max(3.0, 1 + 0.22 * n_channels)), layout="constrained")
    counts, between, shares = figure.subplots(1, 3)
    for index, (title, cohort) in enumerate(cohorts.items()):
        _cumulative(counts, observed(patient_features(cohort)["visits.count"]), index, title)
        _cumulative(between, observed(gaps(cohort)), index, title)
    counts.set(xlabel="visits of a patient", ylabel="share of patients")
    between.set(xlabel=f"{schema.time_unit} between visits", ylabel="share of gaps")
    legend_above(figure, counts)
    _observed_shares(shares, cohorts)
    return figure


def _cumulative(axes: Axes, values: np.ndarray, index: int, title: str) -> None:
    line = look(index)
    if values.size:
        axes.ecdf(values, color=line.colour, linestyle=line.dash, label=title)
    axes.set_ylim(0, 1.02)


def _observed_shares(axes: Axes, cohorts: Mapping[str, Cohort]) -> None:
    names = list(next(iter(cohorts.values())).schema.channels)
    shares = np.array([[1 - _share_missing(cohort.visits[name]) for name in names] for cohort in cohorts.values()])
    if len(names) > MOST_CHANNELS:
        most = np.sort(np.argsort(-np.ptp(shares, axis=0), kind="stable")[:MOST_CHANNELS])
        names, shares = [names[place] for place in most], shares[:, most]
    for index, row in enumerate(shares):
        line = look(index)
        inside = "none" if index else line.colour
        axes.plot(row, range(len(names)), linestyle="none", marker=line.marker, color=line.colour, mfc=inside, ms=5)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="share of visits at which it is observed", xlim=(-0.03, 1.03))
    axes.invert_yaxis()
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)


def _share_missing(values: pl.Series) -> float:
    return values.null_count() / len(values) if len(values) else 1.0
