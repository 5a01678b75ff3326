"""Correlation heat maps: a real cohort, a synthetic one, and the difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_visits
from longsynth.evaluation.association import spearman
from longsynth.evaluation.columns import ordered_channels
from longsynth.exceptions import ConfigError
from longsynth.report.figures.style import GREY, Picture, styled

MOST_CHANNELS = 12
LEAST_WRITTEN = 0.05
DARK = 0.6
Matrix = NDArray[np.float64]


@styled
def draw_correlations(real: Cohort, synthetic: Cohort) -> Figure:
    """Draw the Spearman correlations between channels, between and within patients, real and synthetic.

    Parameters
    ----------
    real, synthetic : Cohort
        Under one schema.

    Returns
    -------
    matplotlib.figure.Figure
        Columns: real, synthetic, synthetic minus real. First row: correlations of the patients' means. Second row: of
        the deviations from the patient's own mean. Channels that are not categorical, the twelve that the real cohort
        observes most often if there are more. Numbers below 0.05 are
        left out; white: fewer than 20 pairs, or nothing varies.

    Raises
    ------
    ConfigError
        If there are fewer than two such channels.
    """
    names = _channels(real, at_least=2)

    def between(cohort: Cohort) -> Matrix:
        means = _values(cohort, names).group_by("patient").mean().select(names).to_numpy()
        return _without_diagonal(spearman(means, means))

    def within(cohort: Cohort) -> Matrix:
        deviations = _deviations(cohort, names).select(names).to_numpy()
        return _without_diagonal(spearman(deviations, deviations))

    return _draw(real, synthetic, names, {"patients' means": between, "deviations from them": within})


@styled
def draw_lag_correlations(real: Cohort, synthetic: Cohort) -> Figure:
    """Draw the Spearman correlations of channels with those at the next visit, real and synthetic.

    Parameters
    ----------
    real, synthetic : Cohort
        Under one schema.

    Returns
    -------
    matplotlib.figure.Figure
        As `draw_correlations`; rows of a panel are channels at a visit, its columns channels at the next visit of the
        same patient, whatever the gap. First row: values. Second row: deviations from the patient's own mean.

    Raises
    ------
    ConfigError
        If there is no channel that is not categorical.

    Notes
    -----
    Within short sequences the correlation of deviations with the next ones is biased downwards; in both cohorts alike
    if their patients have equally many visits.
    """
    names = _channels(real, at_least=1)

    def pooled(cohort: Cohort) -> Matrix:
        return _with_next(_values(cohort, names), names)

    def within(cohort: Cohort) -> Matrix:
        return _with_next(_deviations(cohort, names), names)

    return _draw(real, synthetic, names, {"next visit: values": pooled, "next visit: deviations": within})


def _channels(real: Cohort, at_least: int) -> list[str]:
    names = ordered_channels(real.schema)
    if len(names) < at_least:
        raise ConfigError(f"there is nothing to draw: correlations need {at_least} channels with ordered values.")
    kept = sorted(names, key=lambda name: real.visits[name].null_count())[:MOST_CHANNELS]
    return [name for name in names if name in kept]


def _values(cohort: Cohort, names: list[str]) -> pl.DataFrame:
    """Return ``patient`` and the channels as numbers, one row a visit, in the order of time."""
    return numeric_visits(cohort).select(pl.col(cohort.schema.patient_id).alias("patient"), *names)


def _deviations(cohort: Cohort, names: list[str]) -> pl.DataFrame:
    """Return the same less each patient's mean; patients with one value deviate by nothing and are left out."""
    values = pl.col(names)
    several = pl.when(values.count().over("patient") > 1)
    return _values(cohort, names).with_columns(several.then(values - values.mean().over("patient")))


def _with_next(visits: pl.DataFrame, names: list[str]) -> Matrix:
    paired = (visits["patient"] == visits["patient"].shift(-1)).fill_null(False)
    before = visits.select(names).filter(paired)
    after = visits.select(names).shift(-1).filter(paired)
    return spearman(before.to_numpy(), after.to_numpy())


def _without_diagonal(matrix: Matrix) -> Matrix:
    matrix[np.diag_indices_from(matrix)] = np.nan
    return matrix


def _draw(real: Cohort, synthetic: Cohort, names: list[str], rows: dict[str, Callable[[Cohort], Matrix]]) -> Figure:
    side = max(1.2, 0.21 * len(names))
    longest = 0.07 * max(map(len, names))
    figure = Picture(figsize=(1.6 + longest + 3 * side, 0.6 + longest + len(rows) * side), layout="constrained")
    axes = figure.subplots(len(rows), 3, squeeze=False, sharex=True, sharey=True)
    for row, (title, correlate) in enumerate(rows.items()):
        matrices = correlate(real), correlate(synthetic)
        for axis, matrix in zip(axes[row], (*matrices, matrices[1] - matrices[0]), strict=True):
            picture = _heat_map(axis, matrix, names)
        axes[row, 0].set_ylabel(title)
    for axis, title in zip(axes[0], ("real", "synthetic", "synthetic - real"), strict=True):
        axis.set_title(title)
    figure.colorbar(picture, ax=axes, shrink=0.5, label="Spearman correlation, or difference")
    return figure


def _heat_map(axes: Axes, matrix: Matrix, names: list[str]) -> AxesImage:
    """Draw one matrix; the numbers in it make it readable without colour."""
    picture = axes.imshow(matrix, cmap="PuOr_r", vmin=-1, vmax=1, aspect="equal")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (i, j), value in np.ndenumerate(matrix):
        if abs(value) >= LEAST_WRITTEN:
            text = f"{value:.1f}".replace("0.", ".").replace("-", "−")
            colour = "white" if abs(value) > DARK else "black"
            axes.text(j, i, text, ha="center", va="center", fontsize=6, color=colour, in_layout=False)
    if np.isnan(matrix).all():
        axes.text(0.5, 0.5, "too few pairs", transform=axes.transAxes, ha="center", va="center", color=GREY)
    return picture
