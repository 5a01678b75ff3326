"""Scales and gap classes of the visit times, as the networks see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TimeSettings:
    """Scales and gap classes of the visit times.

    ``step``, ``typical_gap`` and ``typical_duration`` are in the schema's time unit; ``tolerance`` is the distance
    below which two times are the same; ``edges`` and ``knots`` describe the gap classes as in :class:`GapHead`;
    ``outcome_shares`` are the train shares of a further visit, a last visit at the end of follow-up, and no visit;
    ``usual_steps`` are the usual steps from the first visit to visit 1, 2, ...; ``ending_times`` and
    ``ending_log_odds`` are as in :class:`~longsynth.networks.endings.Endings`.
    """

    step: float
    tolerance: float
    typical_gap: float
    typical_duration: float
    edges: np.ndarray
    knots: np.ndarray
    may_end: bool
    outcome_shares: tuple[float, float, float]
    usual_steps: np.ndarray
    ending_times: tuple[float, ...]
    ending_log_odds: tuple[float, ...]
