"""Forest plot: how far each metric of a synthetic cohort lies from what two real samples score."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from longsynth.evaluation.results import Evaluation, MetricResult, headline
from longsynth.exceptions import ConfigError
from longsynth.report.figures.style import BAND, GREY, Picture, look, styled

LINEAR_UP_TO = 4.0
LABEL_WIDTH = 38
Limits = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class _Row:
    """One metric, or one part of it: what to write, and the result of each cohort that has one."""

    label: str
    results: dict[str, MetricResult]

    @property
    def metric(self) -> str:
        return next(iter(self.results.values())).metric

    @property
    def drawn(self) -> dict[str, MetricResult]:
        return {name: result for name, result in self.results.items() if result.ceiling_sd}


@styled
def draw_forest(
    evaluations: Mapping[str, Evaluation], *, block: str | None = None, limits: Limits | None = None
) -> Figure:
    """Draw every metric of one or several synthetic cohorts against its ceiling band.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
        By name of the synthetic cohort, made from the same real patients.
    block : str or None
        Draw just the metrics of this block. None: all.
    limits : mapping of str to sequence of float, or None
        By metric, the values beyond which a use case does not accept it; drawn as ticks. Metrics may be left out.

    Returns
    -------
    matplotlib.figure.Figure
        One row a metric (of the whole cohort; by part for metrics that only have parts). Grey: the 95 % band of two
        real samples. Marker and line: the value with its 95 % interval; a filled marker is outside the band on the
        side that is worse. All are given as distance from the mean of two real samples in their standard deviations,
        worse to the right, or on both sides for rows with ↔. Beyond 4 the axis is logarithmic.

    Raises
    ------
    ConfigError
        If there is no metric with a ceiling that varies.
    """
    rows = _rows(evaluations, block)
    if not any(row.drawn for row in rows):
        of_block = f" of the block {block}" if block else ""
        raise ConfigError(f"there is nothing to draw: no metric{of_block} has a ceiling that varies")
    places = {name: place for place, name in enumerate(evaluations)}
    height = 0.26 + 0.13 * (len(places) - 1)
    lines = [textwrap.wrap(row.label, LABEL_WIDTH) for row in rows]
    heights = np.array([max(height, 0.16 * len(text)) + 0.08 for text in lines])
    figure = Picture(figsize=(7.2, 1.25 + heights.sum()), layout="constrained")
    axes = figure.subplots()
    centres = np.cumsum(heights) - heights / 2
    for row, centre in zip(rows, centres, strict=True):
        _draw_row(axes, row, centre, places, (limits or {}).get(row.metric, ()))
    axes.set_yticks(centres, ["\n".join(text) for text in lines], fontsize=8)
    axes.set_ylim(heights.sum(), 0)
    _finish(figure, axes, list(places))
    return figure


def _rows(evaluations: Mapping[str, Evaluation], block: str | None) -> list[_Row]:
    """Return what is drawn, in the order of the first evaluation that has it."""
    found: dict[tuple[str, str], dict[str, MetricResult]] = {}
    for name, evaluation in evaluations.items():
        for result in headline(evaluation):
            if block is None or result.block == block:
                found.setdefault((result.metric, result.part), {})[name] = result
    rows = []
    for (_, part), results in found.items():
        first = next(iter(results.values()))
        label = f"{first.title}: {part}" if part else first.title
        rows.append(_Row(f"{label} ↔" if first.worse == "both" else label, results))
    return rows


def _draw_row(axes: Axes, row: _Row, centre: float, places: Mapping[str, int], limits: Sequence[float]) -> None:
    axes.axhline(centre, color="#EEEEEE", linewidth=0.6, zorder=0)
    if not row.drawn:
        reason = "not assessed" if all(one.value is None for one in row.results.values()) else "ceiling does not vary"
        axes.text(0, centre, reason, ha="center", va="center", fontsize=7.5, color=GREY, style="italic")
        return
    n_models = len(places)
    for name, result in row.drawn.items():
        height = centre + 0.13 * (places[name] - (n_models - 1) / 2)
        low, high = sorted((_distance(result, result.ceiling_lo), _distance(result, result.ceiling_hi)))
        axes.fill_betweenx([height - 0.06, height + 0.06], low, high, color=BAND, linewidth=0, zorder=1)
        for limit in limits:
            axes.plot([_distance(result, limit)], [height], marker="|", ms=9, mew=1.8, color="black", zorder=2)
        line = look(places[name])
        if result.lo is not None and result.hi is not None:
            ends = _distance(result, result.lo), _distance(result, result.hi)
            axes.plot(ends, [height, height], color=line.colour, linestyle=line.dash, linewidth=1.4, zorder=3)
        inside = line.colour if result.flagged else "white"
        point: dict[str, Any] = {"marker": line.marker, "mec": line.colour, "mfc": inside}
        axes.plot([_distance(result, result.value)], [height], linestyle="none", ms=5.5, zorder=4, **point)


def _distance(result: MetricResult, value: float | None) -> float:
    """Return the distance of a value from the ceiling in its standard deviations, counted upwards as worse."""
    if value is None or result.ceiling is None or not result.ceiling_sd:
        return float("nan")
    sign = -1.0 if result.worse == "lower" else 1.0
    return sign * (value - result.ceiling) / result.ceiling_sd


def _finish(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    axes.set_xscale("symlog", linthresh=LINEAR_UP_TO, linscale=2)
    left, right = axes.get_xlim()
    axes.set_xlim(min(1.15 * left, -LINEAR_UP_TO), max(1.15 * right, LINEAR_UP_TO))
    left, right = axes.get_xlim()
    ticks = [t for t in (-1000, -100, -30, -10, -4, -2, 0, 2, 4, 10, 30, 100, 300, 1000) if left <= t <= right]
    axes.set_xticks(ticks, [f"{tick:,}".replace("-", "−") for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("standard deviations from two real samples (→ worse, ↔ both ways)")
    shown: list[Line2D | Patch] = [Patch(color=BAND, label="95 % of real samples")]
    for place, name in enumerate(names):
        line = look(place)
        title = name or "synthetic"
        shown.append(Line2D([], [], color=line.colour, marker=line.marker, ls=line.dash, mfc="white", label=title))
    shown.append(Line2D([], [], color=GREY, marker="o", ls="none", label="filled: differs"))
    figure.legend(handles=shown, loc="outside upper center", ncols=min(len(shown), 4), fontsize=8)
