"""Quality and attack risk against epsilon, with error bars, beside arms without noise."""

from __future__ import annotations

import textwrap
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from longsynth.exceptions import ConfigError
from longsynth.report.figures.style import BAND, COLOURS, GREY, Picture, styled

_SIDES = {"quality": ("Quality", COLOURS[0], "o"), "risk": ("Attack risk", COLOURS[1], "s")}
_OTHERS = {"clip only": "clip\nonly", "no privacy": "no\nprivacy"}
_MARGINS = "margins only"
_COLUMNS = 4
_LEAST_RISK_SHOWN = 0.05


@styled
def draw_trade_off(summary: pl.DataFrame, note: str) -> Figure:
    """Draw mean and standard deviation over seeds of each measure against epsilon.

    Parameters
    ----------
    summary : polars.DataFrame
        One row an arm and measure: ``arm`` (private, clip only, no privacy, margins only), ``epsilon``, ``measure``,
        ``mean``, ``sd``, ``n_seeds``, ``title``, ``side`` (quality, risk), ``better`` (lower, higher), ``best``.
    note : str
        Stands below the panels: who may see the picture, and what it cost.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a measure, quality first. Across: the epsilons, smaller ones, which are stronger privacy, on the left;
        then the arms without noise, unconnected. Bars: one standard deviation over seeds. Grey band: margins only.
        Dotted line: the best value there is. A panel of risk reaches 0.05 above it or more.

    Raises
    ------
    ConfigError
        If there is nothing to draw.
    """
    drawn = summary.drop_nulls("mean")
    panels = drawn.select("measure", "title", "side", "better", "best").unique(maintain_order=True)
    if not panels.height:
        raise ConfigError("there is nothing to draw: no measure has a value")
    n_rows = -(-panels.height // _COLUMNS)
    figure = Picture(figsize=(11.5, 2.75 * n_rows + 1.0), layout="constrained")
    grid = figure.subplots(n_rows, _COLUMNS, squeeze=False)
    places = _places(drawn)
    for axes, panel in zip(grid.flat, panels.iter_rows(named=True), strict=False):
        _draw_panel(axes, drawn.filter(pl.col("measure") == panel["measure"]), panel, places)
    for axes in grid.flat[panels.height :]:
        axes.set_axis_off()
    n_seeds = int(drawn["n_seeds"].to_numpy().max())
    bars = f"bars: one standard deviation over {n_seeds} seeds" if n_seeds > 1 else "one seed, so no bars"
    figure.suptitle(f"Quality and attack risk by epsilon ({bars}; grey: margins only; dotted: best)", fontsize=11)
    figure.supxlabel("\n".join(textwrap.wrap(note, 150)), fontsize=8, color=GREY)
    return figure


def _places(drawn: pl.DataFrame) -> dict[tuple[str, float | None], float]:
    """Where each arm stands across: epsilons first, then a gap, then the arms without noise."""
    epsilons = drawn["epsilon"].drop_nulls().unique().sort().to_list()
    places: dict[tuple[str, float | None], float] = {("private", one): float(i) for i, one in enumerate(epsilons)}
    others = [name for name in _OTHERS if name in set(drawn["arm"])]
    return places | {(name, None): len(epsilons) + 0.4 + i for i, name in enumerate(others)}


def _draw_panel(
    axes: Axes, rows: pl.DataFrame, panel: dict[str, Any], places: dict[tuple[str, float | None], float]
) -> None:
    side, colour, marker = _SIDES[panel["side"]]
    found = {(row["arm"], row["epsilon"]): row for row in rows.iter_rows(named=True)}
    margins = found.get((_MARGINS, None))
    if margins is not None:
        low, high = margins["mean"] - (margins["sd"] or 0), margins["mean"] + (margins["sd"] or 0)
        axes.axhspan(low, high, color=BAND, linewidth=0, zorder=0)
        axes.axhline(margins["mean"], color="#A6A6A6", linewidth=1.2, zorder=0.5)
    if panel["best"] is not None:
        axes.axhline(panel["best"], color=GREY, linewidth=1, linestyle="dotted", zorder=0.6)
    private = [(places[arm], row) for arm, row in found.items() if arm in places and arm[1] is not None]
    others = [(places[arm], row) for arm, row in found.items() if arm in places and arm[1] is None]
    for points, line, inside in ((sorted(private, key=_place), "solid", colour), (others, "none", "white")):
        axes.errorbar(
            [place for place, _ in points],
            [row["mean"] for _, row in points],
            [row["sd"] or 0.0 for _, row in points],
            color=colour, linestyle=line, marker=marker, markersize=5.5, mfc=inside, capsize=3, linewidth=1.4,
        )  # fmt: skip
    labels = [_OTHERS.get(arm, f"{epsilon:g}" if epsilon is not None else arm) for arm, epsilon in places]
    axes.set_xticks(list(places.values()), labels, fontsize=8)
    axes.set_xlim(-0.5, max(places.values()) + 0.5)
    axes.margins(y=0.15)
    if panel["side"] == "risk" and panel["best"] is not None:  # small risks must not look large
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, panel["best"] - _LEAST_RISK_SHOWN / 4), max(high, panel["best"] + _LEAST_RISK_SHOWN))
    axes.set_xlabel("epsilon (← stronger privacy)", fontsize=8, x=_middle(places))
    title = "\n".join(textwrap.wrap(panel["title"], 34))
    axes.set_title(f"{title}\n{side}, {panel['better']} is better", fontsize=8.5, color=colour)


def _place(point: tuple[float, dict[str, Any]]) -> float:
    return point[0]


def _middle(places: dict[tuple[str, float | None], float]) -> float:
    """Share of the way across at which the epsilons have their middle."""
    of_epsilons = [place for (_, epsilon), place in places.items() if epsilon is not None]
    width = max(places.values()) + 1
    return (sum(of_epsilons) / max(len(of_epsilons), 1) + 0.5) / width
