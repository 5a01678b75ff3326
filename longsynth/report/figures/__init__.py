"""Pictures of cohorts and of results: the only room that draws."""

from longsynth.report.figures.correlations import draw_correlations, draw_lag_correlations
from longsynth.report.figures.forest import draw_forest
from longsynth.report.figures.plane import draw_quality_privacy
from longsynth.report.figures.style import COLOURS, image, save_figure
from longsynth.report.figures.survival import draw_survival
from longsynth.report.figures.trade_off import draw_trade_off
from longsynth.report.figures.trajectories import draw_cohorts, draw_trajectories
from longsynth.report.figures.visits import draw_visits

__all__ = [
    "COLOURS",
    "draw_cohorts",
    "draw_correlations",
    "draw_forest",
    "draw_lag_correlations",
    "draw_quality_privacy",
    "draw_survival",
    "draw_trade_off",
    "draw_trajectories",
    "draw_visits",
    "image",
    "save_figure",
]
