"""Trajectories of cohorts side by side, as quantile ribbons by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import ConfigError
from longsynth.report.figures.style import GREY, Picture, check_groups, groups, legend_above, look, styled
from longsynth.report.figures.survival import draw_panels
from longsynth.schema.types import Schema

N_TIME_BINS = 7
FEWEST_IN_A_BIN = 10
LOW, HIGH = 0.1, 0.9


@styled
def draw_cohorts(
    cohorts: Mapping[str, Cohort], *, by: str | None = None, channels: Sequence[str] | None = None
) -> Figure:
    """Draw cohorts beside each other: one column a cohort, one row a channel, the last row Kaplan-Meier curves.

    Parameters
    ----------
    cohorts : mapping of str to Cohort
        By title; all under the same schema. The first sets the time bins.
    by : str or None
        Static attribute with levels whose groups are drawn apart, for example the trial arm. None: no groups.
    channels : sequence of str or None
        Continuous or count channels to draw. None: the four that the first cohort observes most often.

    Returns
    -------
    matplotlib.figure.Figure
        The panels of `draw_trajectories`, and below them Kaplan-Meier curves, every event type counted as the event,
        with the numbers of patients at risk.

    Raises
    ------
    ConfigError
        If there is nothing to draw, or ``by`` or a channel cannot be drawn.
    """
    return _draw(cohorts, by, channels, with_events=next(iter(cohorts.values())).schema.terminal_event is not None)


@styled
def draw_trajectories(
    cohorts: Mapping[str, Cohort], *, by: str | None = None, channels: Sequence[str] | None = None
) -> Figure:
    """Draw trajectories of cohorts beside each other: one column a cohort, one row a channel.

    Parameters
    ----------
    cohorts, by, channels
        As in `draw_cohorts`.

    Returns
    -------
    matplotlib.figure.Figure
        Per channel and group the median (line) and the 10 % to 90 % range (ribbon) of the values seen in each of up to
        seven time bins with equal numbers of visits; bins with fewer than ten values are left out.

    Raises
    ------
    ConfigError
        If there is no channel to draw, or ``by`` or a channel cannot be drawn.
    """
    return _draw(cohorts, by, channels, with_events=False)


def _draw(
    cohorts: Mapping[str, Cohort], by: str | None, channels: Sequence[str] | None, *, with_events: bool
) -> Figure:
    first = next(iter(cohorts.values()))
    _check(first.schema, by, channels)
    chosen = list(channels) if channels is not None else _most_observed(first)
    n_rows = len(chosen) + with_events
    if not n_rows:
        wanted = "no continuous or count channel" + (" and no terminal event" if first.schema.terminal_event else "")
        raise ConfigError(f"there is nothing to draw: the schema has {wanted}.")
    figure = Picture(figsize=(1 + 3.4 * len(cohorts), 0.8 + 2.2 * n_rows + 0.4 * with_events), layout="constrained")
    axes = figure.subplots(n_rows, len(cohorts), squeeze=False, sharey="row", sharex=True)
    edges = _time_edges(first)
    for column, (title, cohort) in enumerate(cohorts.items()):
        axes[0, column].set_title(f"{title} ({cohort.n_patients:,} patients)")
        for row, channel in enumerate(chosen):
            _ribbons(axes[row, column], cohort, channel, by, edges)
        axes[-1, column].set_xlabel(f"{first.schema.time_unit} since baseline")
    for row, channel in enumerate(chosen):
        _label_values(axes[row, 0], first, channel)
    if with_events:
        draw_panels(axes[-1], [dict(groups(cohort, by)) for cohort in cohorts.values()], first.schema)
    below = ", bottom: Kaplan-Meier" if with_events else ""
    figure.supxlabel(f"Line: median, ribbon: 10 % to 90 % of the values seen{below}", fontsize=8)
    if by is not None:
        legend_above(figure, axes[0, 0])
    return figure


def _check(schema: Schema, by: str | None, channels: Sequence[str] | None) -> None:
    check_groups(schema, by)
    for channel in channels or ():
        if channel not in schema.channels or schema.channels[channel].kind not in ("continuous", "count"):
            raise ConfigError(f"only continuous and count channels can be drawn; {channel!r} is none.")


def _most_observed(cohort: Cohort, most: int = 4) -> list[str]:
    numeric = [name for name, channel in cohort.schema.channels.items() if channel.kind in ("continuous", "count")]
    return sorted(numeric, key=lambda name: cohort.visits[name].null_count())[:most]


def _time_edges(cohort: Cohort) -> np.ndarray:
    """Return the inner edges of the time bins; many visits at one time (baseline) make a bin of their own."""
    if cohort.schema.visit_time is None or not cohort.n_visits:
        return np.empty(0)
    times = cohort.visits[cohort.schema.visit_time.column].cast(pl.Float64).to_numpy()
    return np.unique(np.quantile(times, np.linspace(0, 1, N_TIME_BINS + 1)[1:-1]))


def _ribbons(axes: Axes, cohort: Cohort, channel: str, by: str | None, edges: np.ndarray) -> None:
    schema = cohort.schema
    time = schema.visit_time.column if schema.visit_time is not None else ""
    seen = cohort.visits.select(schema.patient_id, time, channel).drop_nulls()
    for index, (label, patients) in enumerate(groups(cohort, by)):
        visits = seen.join(patients, on=schema.patient_id, how="semi")
        times, values = (visits[name].cast(pl.Float64).to_numpy() for name in (time, channel))
        bins = np.searchsorted(edges, times)
        counts = np.bincount(bins, minlength=len(edges) + 1)
        kept = np.flatnonzero(counts >= FEWEST_IN_A_BIN)
        centres = [np.median(times[bins == number]) for number in kept]
        low, middle, high = (
            [np.quantile(values[bins == number], share) for number in kept] for share in (LOW, 0.5, HIGH)
        )
        line = look(index)
        edge: dict[str, Any] = {"edgecolor": (line.colour, 0.6), "linestyle": line.dash, "linewidth": 0.7}
        axes.fill_between(centres, low, high, facecolor=(line.colour, 0.15), **edge)
        axes.plot(centres, middle, color=line.colour, linestyle=line.dash, label=label, marker=line.marker, ms=3.5)


def _label_values(axes: Axes, cohort: Cohort, channel: str) -> None:
    """Name the value axis; a skewed positive channel gets a logarithmic one."""
    unit = cohort.schema.channels[channel].unit
    axes.set_ylabel(channel if unit is None else f"{channel} ({unit})")
    values = cohort.visits[channel].drop_nulls().cast(pl.Float64).to_numpy()
    if not any(np.size(line.get_xdata()) for line in axes.lines):
        axes.text(0.5, 0.5, "too few values", transform=axes.transAxes, ha="center", va="center", color=GREY)
    elif values.min() > 0 and np.quantile(values, 0.95) > 4 * np.median(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
