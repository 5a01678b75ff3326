"""From the encoder's codecs to what networks know about items."""

from __future__ import annotations

import numpy as np
import torch

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.items import Item
from longsynth.encoding.levels import LevelCodec
from longsynth.encoding.limits import code_limits
from longsynth.encoding.visit_times import TimeScale
from longsynth.networks.items import ItemSpec
from longsynth.networks.rollout import Limit
from longsynth.networks.times import TimeSettings

MOST_NUMBERED = 64
FEWEST_WITH_VISIT = 20
FEWEST_ENDINGS = 20
MOST_ENDING_TIMES = 128
Endings = tuple[tuple[float, ...], tuple[float, ...]]


def item_spec(item: Item) -> ItemSpec:
    """Return the features, borders and shares of one item."""
    codec = item.codec
    if isinstance(codec, LevelCodec):
        shares = codec.class_shares
        features = np.eye(codec.n_classes) if codec.n_classes != 2 else np.array([[-1.0], [1.0]])
        edges = None
    else:
        shares = np.diff(codec.cumulative)
        features = np.stack([codec.centres, (codec.centres**2 - 1) / 2], 1)
        edges = codec.edges
    missing = codec.missing_share
    if missing > 0:
        features = np.column_stack([features, np.full(len(features), 0.5)])
    features = np.vstack([features, np.zeros(features.shape[1])])
    if missing > 0:
        features[-1, -1] = -0.5
    return ItemSpec(edges, features, np.append(shares * (1 - missing), missing))


def outcome_shares(encoded: EncodedCohort) -> tuple[float, float, float]:
    """Return the shares of visits followed by another one, by one at the end of follow-up, and by none."""
    counts = encoded.n_visits[encoded.n_visits > 0]
    ends = int(encoded.ends_at_visit.sum())
    outcomes = np.array([(counts - 1).sum() - ends, ends, len(counts) - ends], float)
    gap, end, stop = outcomes / max(outcomes.sum(), 1.0)
    return float(gap), float(end), float(stop)


def usual_steps(encoded: EncodedCohort) -> tuple[float, ...]:
    """Return the median steps from the first visit to visit 1, 2, ..., as far as enough patients have it."""
    counts = encoded.n_visits
    usual = [0.0]
    while (
        len(usual) < MOST_NUMBERED and (reached := encoded.offsets[:-1][counts > len(usual)]).size >= FEWEST_WITH_VISIT
    ):
        usual.append(max(usual[-1], float(np.median(encoded.steps[reached + len(usual)]))))
    return tuple(usual)


def ending_odds(encoded: EncodedCohort, scale: TimeScale | None) -> Endings:
    """Return times, and before, between and after them the log-odds that a visit is the last one, less those overall.

    Equally many records end between two of the times. Records that end with a visit at the end of follow-up do not
    count: it is known that they end there. Without enough records no time is told apart.
    """
    counts = encoded.n_visits
    owner = np.repeat(np.arange(encoded.n_patients), counts)
    last = np.zeros(len(owner), bool)
    last[encoded.offsets[1:][counts > 0] - 1] = True
    asked = ~(last & encoded.ends_at_visit[owner])
    stops = last & asked
    n_bins = min(MOST_ENDING_TIMES, int(stops.sum()) // FEWEST_ENDINGS)
    if scale is None or n_bins < 2 or stops.sum() == asked.sum():
        return (), (0.0,)
    time = (encoded.start[owner] + encoded.steps * scale.step).astype(np.float32)
    times = np.unique(np.quantile(time[stops], np.arange(1, n_bins) / n_bins).astype(np.float32))
    place = np.searchsorted(times, time, side="right")
    ended, seen = (np.bincount(place[rows], minlength=len(times) + 1) for rows in (stops, asked))
    usual = ended.sum() / seen.sum()
    share = (ended + usual) / (seen + 1)
    log_odds = np.log(share / (1 - share)) - np.log(usual / (1 - usual))
    return tuple(times.tolist()), tuple(log_odds.tolist())


def time_settings(
    encoder: CohortEncoder, shares: tuple[float, float, float], usual: tuple[float, ...], endings: Endings
) -> TimeSettings:
    """Return scales and gap classes of the visit times of a cohort with visits."""
    scale = encoder.time_scale
    assert scale is not None
    return TimeSettings(
        step=scale.step,
        tolerance=scale.tolerance,
        typical_gap=scale.typical_gap,
        typical_duration=scale.typical_duration,
        edges=np.array([-1000.0, 1000.0]) if encoder.gap is None else encoder.gap.edges,
        knots=np.ones((1, 2)) if encoder.gap is None else np.maximum(encoder.gap.knots, 1.0),
        may_end=scale.ends_at_visits,
        outcome_shares=shares,
        usual_steps=np.array(usual),
        ending_times=endings[0],
        ending_log_odds=endings[1],
    )


def limits_of(encoder: CohortEncoder, items: list[Item]) -> list[Limit]:
    """Return the schema's constraints as limits on the codes of ``items``."""
    found = code_limits(encoder.schema, items)
    return [
        Limit(limit.target, limit.source, limit.from_last, limit.is_minimum, torch.from_numpy(limit.table).long())
        for limit in found
    ]
