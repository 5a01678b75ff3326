"""Pictures of cohorts side by side: trajectories as quantile ribbons, and Kaplan-Meier curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.survival import kaplan_meier
from longsynth.exceptions import ConfigError
from longsynth.schema.types import LEVEL_KINDS, Schema

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito: safe for colour blindness
DASHES = ("solid", "dashed", "dotted", "dashdot")
N_TIME_BINS = 7
FEWEST_IN_A_BIN = 10
LOW, HIGH = 0.1, 0.9


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
        Per channel and group the median (line) and the 10 % to 90 % range (ribbon) of the values seen in each of up to
        seven time bins with equal numbers of visits; bins with fewer than ten values are left out. Kaplan-Meier curves
        count every event type as the event.

    Raises
    ------
    ConfigError
        If there is nothing to draw, or ``by`` or a channel cannot be drawn.
    """
    first = next(iter(cohorts.values()))
    _check(first.schema, by, channels)
    chosen = list(channels) if channels is not None else _most_observed(first)
    with_events = first.schema.terminal_event is not None
    n_rows = len(chosen) + with_events
    if not n_rows:
        raise ConfigError("there is neither a continuous or count channel nor a terminal event to draw.")
    figure = Figure(figsize=(1 + 3.4 * len(cohorts), 0.8 + 2.2 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, len(cohorts), squeeze=False, sharey="row", sharex=True)
    edges = _time_edges(first)
    for column, (title, cohort) in enumerate(cohorts.items()):
        axes[0, column].set_title(f"{title} ({cohort.n_patients:,} patients)", fontsize=10)
        for row, channel in enumerate(chosen):
            _ribbons(axes[row, column], cohort, channel, by, edges)
        if with_events:
            _survival_curves(axes[-1, column], cohort, by)
        axes[-1, column].set_xlabel(f"{first.schema.time_unit} since baseline")
    for row, channel in enumerate(chosen):
        _label_values(axes[row, 0], first, channel)
    if with_events:
        axes[-1, 0].set_ylabel("event-free share")
        axes[-1, 0].set_ylim(0, 1.02)
    figure.suptitle("Line: median, ribbon: 10 % to 90 % of the values seen, bottom: Kaplan-Meier", fontsize=9)
    if by is not None:
        axes[0, 0].legend(fontsize=8, frameon=False)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Save a figure as PNG or SVG, by suffix; the same figure gives the same bytes.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    with rc_context({"svg.hashsalt": "longsynth"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    return path


def _check(schema: Schema, by: str | None, channels: Sequence[str] | None) -> None:
    if by is not None and (by not in schema.static or schema.static[by].kind not in LEVEL_KINDS):
        raise ConfigError(f"`by` must name a binary, ordinal or categorical static attribute; {by!r} is none.")
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


def _groups(cohort: Cohort, by: str | None) -> Iterator[tuple[str | None, pl.DataFrame]]:
    """Yield the label and the static rows of each group, in the order of the levels."""
    if by is None:
        yield None, cohort.static
        return
    for level in cohort.schema.static[by].levels or ():
        same = pl.col(by) == level if isinstance(level, str) else pl.col(by).cast(pl.Float64) == float(level)
        text = int(level) if isinstance(level, float) and level.is_integer() else level
        yield f"{by} = {text}", cohort.static.filter(same)


def _ribbons(axes: Axes, cohort: Cohort, channel: str, by: str | None, edges: np.ndarray) -> None:
    schema = cohort.schema
    time = schema.visit_time.column if schema.visit_time is not None else ""
    seen = cohort.visits.select(schema.patient_id, time, channel).drop_nulls()
    for index, (label, patients) in enumerate(_groups(cohort, by)):
        visits = seen.join(patients, on=schema.patient_id, how="semi")
        times, values = (visits[name].cast(pl.Float64).to_numpy() for name in (time, channel))
        bins = np.searchsorted(edges, times)
        counts = np.bincount(bins, minlength=len(edges) + 1)
        kept = np.flatnonzero(counts >= FEWEST_IN_A_BIN)
        centres = [np.median(times[bins == number]) for number in kept]
        low, middle, high = (
            [np.quantile(values[bins == number], share) for number in kept] for share in (LOW, 0.5, HIGH)
        )
        colour = COLOURS[index % len(COLOURS)]
        axes.fill_between(centres, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(centres, middle, color=colour, linestyle=DASHES[index % len(DASHES)], label=label, marker=".")


def _label_values(axes: Axes, cohort: Cohort, channel: str) -> None:
    """Name the value axis; a skewed positive channel gets a logarithmic one."""
    unit = cohort.schema.channels[channel].unit
    axes.set_ylabel(channel if unit is None else f"{channel} ({unit})")
    values = cohort.visits[channel].drop_nulls().cast(pl.Float64).to_numpy()
    if len(values) and values.min() > 0 and np.quantile(values, 0.95) > 4 * np.median(values):
        axes.set_yscale("log")


def _survival_curves(axes: Axes, cohort: Cohort, by: str | None) -> None:
    event = cohort.schema.terminal_event
    if event is None:
        return
    for index, (label, patients) in enumerate(_groups(cohort, by)):
        durations = patients[event.duration].cast(pl.Float64).to_numpy()
        times, surviving = kaplan_meier(durations, patients[event.event].to_numpy() > 0)
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        axes.step(
            np.append(0.0, times), np.append(1.0, surviving), where="post", color=colour, linestyle=dash, label=label
        )
