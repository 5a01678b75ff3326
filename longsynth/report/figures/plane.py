"""The quality-privacy plane: several synthetic cohorts as points with error bars, never ranked by one number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl
from matplotlib.figure import Figure

from longsynth.evaluation.results import Evaluation, MetricResult
from longsynth.exceptions import ConfigError
from longsynth.report.figures.style import BAND, Picture, look, styled

DETECTION = "detect_patient"


class _Point(NamedTuple):
    """A value with its interval, if it has one."""

    value: float
    lo: float | None
    hi: float | None
    label: str

    @property
    def bars(self) -> list[list[float]]:
        """How far the interval reaches below and above the value, as `errorbar` wants it."""
        lo, hi = (self.value if end is None else end for end in (self.lo, self.hi))
        return [[max(self.value - lo, 0.0)], [max(hi - self.value, 0.0)]]


@styled
def draw_quality_privacy(
    evaluations: Mapping[str, Evaluation], privacy: Mapping[str, pl.DataFrame], *, metric: str = DETECTION
) -> Figure:
    """Draw synthetic cohorts in the plane of one quality metric and of their largest risk.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
        By name of the synthetic cohort.
    privacy : mapping of str to polars.DataFrame
        Frames of privacy assessments by the same names; columns ``risk``, ``risk_lo``, ``risk_hi``, ``attack`` and
        ``subset`` at least. Cohorts without one are left out.
    metric : str
        The quality metric; its value for the whole cohort is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Across: the metric with its 95 % interval, and in grey the band of two real samples. Upwards: of all attacks on
        all patients that could be assessed, the risk with the highest upper bound, with its 95 % interval. A cohort is
        told by colour and marker; the attack is written beside it.

    Raises
    ------
    ConfigError
        If no cohort has both halves.
    """
    points: dict[str, tuple[MetricResult, _Point, _Point]] = {}
    for name, evaluation in evaluations.items():
        quality = _quality(evaluation, metric)
        risk = None if name not in privacy else _largest_risk(privacy[name])
        if quality is not None and quality.value is not None and risk is not None:
            points[name] = quality, _Point(quality.value, quality.lo, quality.hi, name), risk
    if not points:
        raise ConfigError(f"there is nothing to draw: no cohort has both {metric} and an assessed attack.")
    figure = Picture(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for place, (result, across, up) in enumerate(points.values()):
        line = look(place)
        axes.axvspan(*_band(result), color=BAND, alpha=0.7, linewidth=0, zorder=0)
        bars = up.bars, across.bars
        axes.errorbar([across.value], [up.value], *bars, color=line.colour, marker=line.marker, ms=7, capsize=3)
        text = f"{across.label}\n{up.label}"
        axes.annotate(text, (across.value, up.value), (8, 6), textcoords="offset points", fontsize=8)
    first = next(iter(points.values()))[0]
    unit = f" ({first.unit})" if first.unit else ""
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"{first.title}{unit}; grey: 95 % of real samples")
    axes.set_ylabel("largest risk of an attack (0: none)")
    axes.margins(0.15)
    return figure


def _quality(evaluation: Evaluation, metric: str) -> MetricResult | None:
    found = (one for one in evaluation.results if one.metric == metric and not one.part and not one.stratum)
    return next((one for one in found if one.value is not None), None)


def _band(result: MetricResult) -> tuple[float, float]:
    nothing = float("nan")
    return (
        nothing if result.ceiling_lo is None else result.ceiling_lo,
        nothing if result.ceiling_hi is None else result.ceiling_hi,
    )


def _largest_risk(frame: pl.DataFrame) -> _Point | None:
    """Return the risk with the highest upper bound; its label is the attack."""
    assessed = frame.filter(pl.col("subset") == "all").drop_nulls(["risk", "risk_lo", "risk_hi"])
    if not assessed.height:
        return None
    row = assessed.sort("risk_hi", "attack", descending=[True, False]).row(0, named=True)
    return _Point(row["risk"], row["risk_lo"], row["risk_hi"], row["attack"])
