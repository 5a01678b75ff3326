"""What all pictures share: what tells lines apart, also in print and without colours, and how a picture is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import ConfigError
from longsynth.schema.types import LEVEL_KINDS, Schema

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito: safe for colour blindness
DASHES = ("solid", "dashed", "dotted", "dashdot")
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "#595959"
BAND = "#D9D9D9"
MOST_SVG_PARTS = 3_000
MOST_SVG_BYTES = 80_000
PNG_DPI = 140
PNG_COLOURS = 96
STYLE: Any = {
    "text.parse_math": False,  # a column may be called "cost ($)"
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "longsynth",
}

P = ParamSpec("P")


class Picture(Figure):
    """A figure that a notebook shows, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        return _bytes(self, "png")


class Look(NamedTuple):
    """How the lines of one cohort or group are drawn."""

    colour: str
    dash: str
    marker: str


def look(index: int) -> Look:
    """Return the look of the line that comes at this place; places 0 to 5 differ in colour, and all 12 in something."""
    return Look(COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)], MARKERS[index % len(MARKERS)])


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with the style of this room, whatever the user's own settings are."""

    @wraps(draw)
    def draw_styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return draw_styled


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Save a figure as PNG or SVG, by suffix; the same figure gives the same bytes.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    path.write_bytes(_bytes(figure, path.suffix.removeprefix("."), dpi=150))
    return path


def image(figure: Figure) -> tuple[str, bytes]:
    """Return a figure as media type and bytes: SVG, or PNG if it has so many parts that SVG is large."""
    vector = _bytes(figure, "svg") if _n_parts(figure) <= MOST_SVG_PARTS else None
    if vector is not None and len(vector) <= MOST_SVG_BYTES:
        return "image/svg+xml", vector
    with Image.open(BytesIO(_bytes(figure, "png", dpi=PNG_DPI))) as full:
        buffer = BytesIO()
        full.convert("RGB").quantize(PNG_COLOURS).save(buffer, "png", optimize=True)
    if vector is not None and len(vector) <= buffer.tell():
        return "image/svg+xml", vector
    return "image/png", buffer.getvalue()


def _n_parts(figure: Figure) -> int:
    """Return about how many marks an SVG of the figure has: a text counts as ten points of a line."""
    texts = sum(len(axes.texts) for axes in figure.axes)
    return 10 * texts + sum(int(np.size(line.get_xdata())) for axes in figure.axes for line in axes.lines)


def legend_above(figure: Figure, axes: Axes) -> None:
    """Name the lines of one panel above all panels, where the legend hides none of them."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), fontsize=8)


def check_groups(schema: Schema, by: str | None) -> None:
    """Raise unless patients can be drawn apart by a static attribute.

    Raises
    ------
    ConfigError
        If ``by`` names no static attribute with levels.
    """
    if by is not None and (by not in schema.static or schema.static[by].kind not in LEVEL_KINDS):
        raise ConfigError(f"`by` must name a binary, ordinal or categorical static attribute; {by!r} is none.")


def groups(cohort: Cohort, by: str | None) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the label and the static rows of each group, by level; all without a label if ``by`` is None."""
    if by is None:
        yield "", cohort.static
        return
    for level in cohort.schema.static[by].levels or ():
        same = pl.col(by) == level if isinstance(level, str) else pl.col(by).cast(pl.Float64) == float(level)
        text = int(level) if isinstance(level, float) and level.is_integer() else level
        yield f"{by} = {text}", cohort.static.filter(same)


def _bytes(figure: Figure, form: str, dpi: int | None = None) -> bytes:
    nothing = ("Date", "Creator", "Format", "Type") if form == "svg" else ("Software",)
    buffer = BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format=form, dpi=dpi or figure.dpi, metadata=dict.fromkeys(nothing))
    return buffer.getvalue()
