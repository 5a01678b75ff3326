"""Kaplan-Meier curves with the numbers of patients at risk below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.survival import kaplan_meier
from longsynth.exceptions import ConfigError
from longsynth.report.figures.style import Picture, check_groups, groups, legend_above, look, styled
from longsynth.schema.types import Schema

FIRST_ROW, ROW_HEIGHT = -38, 10  # of the numbers at risk, in points below the panel


@styled
def draw_survival(cohorts: Mapping[str, Cohort], *, by: str | None = None) -> Figure:
    """Draw the Kaplan-Meier curves of cohorts over each other, one panel a group.

    Parameters
    ----------
    cohorts : mapping of str to Cohort
        By title; all under the same schema, with a terminal event.
    by : str or None
        Static attribute with levels whose groups get panels of their own, for example the trial arm. None: one panel.

    Returns
    -------
    matplotlib.figure.Figure
        Every event type counts as the event. A cohort is told by colour and by dashes. Below the panel stands how many
        patients are still followed at each time, by cohort.

    Raises
    ------
    ConfigError
        If the schema has no terminal event, or ``by`` cannot be drawn.

    Notes
    -----
    Assumes that censoring is independent of the event.
    """
    schema = next(iter(cohorts.values())).schema
    check_groups(schema, by)
    if schema.terminal_event is None:
        raise ConfigError("there is nothing to draw: the schema has no terminal event.")
    panels: dict[str, dict[str, pl.DataFrame]] = {}
    for title, cohort in cohorts.items():
        for label, patients in groups(cohort, by):
            panels.setdefault(label, {})[title] = patients
    figure = Picture(figsize=(1.4 + 3.6 * len(panels), 3.2 + 0.2 * len(cohorts)), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True, sharex=True)[0]
    draw_panels(axes, list(panels.values()), schema)
    for axis, label in zip(axes, panels, strict=True):
        axis.set_title(label)
        axis.set_xlabel(f"{schema.time_unit} since baseline")
    legend_above(figure, axes[0])
    return figure


def draw_panels(axes: Sequence[Axes], panels: Sequence[Mapping[str, pl.DataFrame]], schema: Schema) -> None:
    """Draw in each panel the Kaplan-Meier curves of groups of patients, and the numbers at risk below.

    Parameters
    ----------
    axes : sequence of Axes
        Panels beside each other.
    panels : sequence of mapping of str to polars.DataFrame
        For each panel the static rows of its groups by label. A group without patients has no curve.
    schema : Schema
        Of all patients; one without a terminal event draws nothing.
    """
    event = schema.terminal_event
    if event is None:
        return
    ends = [patients[event.duration].cast(pl.Float64).to_numpy() for panel in panels for patients in panel.values()]
    longest = max((float(group.max()) for group in ends if group.size), default=0.0) or 1.0
    ticks = np.asarray(MaxNLocator(4).tick_values(0, longest))
    ticks = ticks[(ticks >= 0) & (ticks <= longest)]
    for place, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
        axis.set(ylim=(0, 1.02), xlim=(0, longest * 1.02), xticks=ticks)
        for row, (label, patients) in enumerate(panel.items()):
            line = look(row)
            durations = patients[event.duration].cast(pl.Float64).to_numpy()
            if durations.size:
                times, surviving = kaplan_meier(durations, patients[event.event].to_numpy() > 0)
                steps = np.append(0.0, times), np.append(1.0, surviving)
                axis.step(*steps, where="post", color=line.colour, linestyle=line.dash, label=label or None)
            _write_at_risk(axis, row, ticks, _at_risk(durations, ticks), None if place else label)
    axes[0].set_ylabel("event-free share")


def _at_risk(durations: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many patients are followed up to each time or longer."""
    return len(durations) - np.searchsorted(np.sort(durations), times, side="left")


def _write_at_risk(
    axes: Axes, row: int, ticks: NDArray[np.float64], counts: NDArray[np.int64], label: str | None
) -> None:
    """Write one row of numbers below the panel, and before them whose they are."""

    def write(text: str, time: float, right: int, **how: Any) -> None:
        below = (right, FIRST_ROW - ROW_HEIGHT * row)
        place: dict[str, Any] = {
            "xycoords": axes.get_xaxis_transform(),
            "textcoords": "offset points",
            "annotation_clip": False,
        }
        axes.annotate(text, (time, 0), xytext=below, fontsize=7.5, va="center", **place, **how)

    colour = look(row).colour
    if label is not None:
        write(f"{label}  at risk" if label else "at risk", 0, -14, ha="right", color=colour)
    for tick, count in zip(ticks, counts, strict=True):
        write(f"{count:,}", tick, 0, ha="center", color=colour)
