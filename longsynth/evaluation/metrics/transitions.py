"""Metrics of how channels with levels move from level to level."""

from __future__ import annotations

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.association import FEWEST_PAIRS
from longsynth.evaluation.base import Setting, metric
from longsynth.evaluation.columns import with_whole
from longsynth.evaluation.visit_arrays import Array, VisitArrays, paired_arrays
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import LEVEL_KINDS

GAP_BINS = 3


@metric(
    block="temporal", level="transition", title="Transitions between levels, by gap", by_stratum=True, is_share=True
)
def transition(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean distance between the rows of the transition matrices.

    ``mean_c sum_{g,k} w_gk sum_l |P_S(l | k, g) - P_R(l | k, g)| / 2`` over channels c with levels, the level k before,
    the level l at the next observation and three classes g of the time between the two (tertiles of the reference),
    with w_gk the share of (k, g) among the reference's transitions.

    Sees: visit order shuffled, visits dealt across patients, times stretched. Not: values of numeric channels.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and each binary, ordinal and categorical channel (``visits.<channel>``); in [0, 1], lower is better.
        A level that the sample never leaves at such a gap counts as 1.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or the reference fewer than 20 transitions of each.

    Notes
    -----
    Total variation is above 0 by chance, the more so the rarer a row: the weights keep rare rows from ruling the mean,
    and the ceiling says what chance gives. The end of follow-up is no level here.

    References
    ----------
    Kalbfleisch and Lawless (1985), The analysis of panel data under a Markov assumption,
    doi:10.1080/01621459.1985.10478195.
    """
    channels = {name: column for name, column in reference.schema.channels.items() if column.kind in LEVEL_KINDS}
    if not channels:
        raise NotComputableError("it needs a channel with levels, and the schema has none")
    made, real = paired_arrays(sample, reference, list(channels))
    parts = {}
    for name in real.names:
        n_levels = len(channels[name].levels or ())
        pairs = _pairs(real, name)
        if len(pairs) < FEWEST_PAIRS:
            continue
        edges = np.unique(np.quantile(pairs[:, 0], np.arange(1, GAP_BINS) / GAP_BINS))
        counts = [_counts(of, edges, n_levels) for of in (_pairs(made, name), pairs)]
        parts[f"visits.{name}"] = _distance(counts[0], counts[1])
    return with_whole(parts, f"channel with {FEWEST_PAIRS} transitions")


def _pairs(arrays: VisitArrays, name: str) -> Array:
    """Return gap, level before and level after of each transition from one observed value to the next, shape (n, 3)."""
    patient, time, value = arrays.column(name)
    same = patient[1:] == patient[:-1]
    return np.column_stack([np.diff(time), value[:-1], value[1:]])[same]


def _counts(pairs: Array, edges: Array, n_levels: int) -> Array:
    """Return the numbers of transitions, one row a class of gap and level before, one column a level after."""
    gap_class = np.searchsorted(edges, pairs[:, 0], side="left")
    before, after = pairs[:, 1].astype(np.int64), pairs[:, 2].astype(np.int64)
    n_rows = (len(edges) + 1) * n_levels
    place = (gap_class * n_levels + before) * n_levels + after
    return np.bincount(place, minlength=n_rows * n_levels).reshape(n_rows, n_levels).astype(np.float64)


def _distance(made: Array, real: Array) -> float:
    """Return the total variation between rows, averaged with the real rows' sizes."""
    sizes = made.sum(axis=1), real.sum(axis=1)
    shares = [table / np.maximum(size, 1)[:, None] for table, size in zip((made, real), sizes, strict=True)]
    variation = np.where(sizes[0] > 0, np.abs(shares[0] - shares[1]).sum(axis=1) / 2, 1.0)
    return float(np.average(variation, weights=sizes[1]))
