"""Raking: move a privately trained model back to the noisy margins that it started from.

Clipping weighs patients: those with long gradients less. So the trained model's margins are a little off, although the
noisy ones are at hand. Each round draws patients of the model and moves its log-margins by what is missing. It uses
nothing but the model and the noisy margins, so it costs no budget.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.private import PrivateMargins
from longsynth.generators.model import Model
from longsynth.networks.gap_head import END, GAP, STOP
from longsynth.seeding import child_seed

N_ROUNDS = 5
N_DRAWN, N_VISITS_DRAWN = 5000, 100_000
_MOST_MOVE = 1.0
_SMOOTH = 20.0


def rake(model: Model, margins: PrivateMargins, seed: int) -> None:
    """Move the static items' and the ends of record's margins of a one-member model, in place.

    Parameters
    ----------
    model : Model
        Trained under a budget.
    margins : PrivateMargins
        Where it started.
    seed : int
        Of the model's own draws.
    """
    for number in range(N_ROUNDS):
        drawing_seed = child_seed(seed, "rake", number)
        if model.static:
            _rake_static(model, model.sample_static(N_DRAWN, drawing_seed), margins)
        if model.sequence:
            _rake_outcomes(model, model.sample(_n_records(margins), drawing_seed), margins)


def _n_records(margins: PrivateMargins) -> int:
    """How many records are drawn: fewer where they are long."""
    _, ends, stops = margins.outcome_shares
    return int(np.clip(N_VISITS_DRAWN * (ends + stops), N_DRAWN / 10, N_DRAWN))


def _rake_static(model: Model, drawn: np.ndarray, margins: PrivateMargins) -> None:
    head = model.static[0].head
    for number, item in enumerate(head.items):
        codes = drawn[:, number]
        if head.given is not None and head.given.target == number:
            source = drawn[:, head.given.source]
            for one, shares in enumerate(margins.duration_given_event):
                move = _move(np.array(shares), codes[source == one])
                head.given_shift[one, : len(shares)] += move
            continue
        shares = item.shares[:-1] / item.shares[:-1].sum()
        head.margins[number, : len(shares)] += _move(shares, codes[codes < item.n_classes])
        if item.can_be_missing:
            missing = np.array([1 - item.shares[-1], item.shares[-1]])
            moves = _move(missing, (codes == item.n_classes).astype(int))
            head.missing_margin[number] += moves[1] - moves[0]


def _rake_outcomes(model: Model, drawn: EncodedCohort, margins: PrivateMargins) -> None:
    counts = drawn.n_visits
    ends = int(drawn.ends_at_visit.sum())
    found = np.zeros(3)
    found[GAP] = np.maximum(counts - 1, 0).sum() - ends
    found[END], found[STOP] = ends, (counts > 0).sum() - ends
    outcomes = np.repeat(np.arange(3), found.astype(int))
    moves = _move(np.array(margins.outcome_shares), outcomes)
    model.sequence[0].gaps.outcome_margins += moves - moves[GAP]


def _move(shares: np.ndarray, codes: np.ndarray) -> Tensor:
    """What to add to log-margins (K,) so that drawn ``codes`` come closer to ``shares`` (K,)."""
    drawn = np.bincount(codes.astype(np.int64), minlength=len(shares)) + _SMOOTH * shares
    move = np.log(np.maximum(shares, 1e-9)) - np.log(np.maximum(drawn, 1e-9) / drawn.sum())
    return torch.from_numpy(np.clip(move, -_MOST_MOVE, _MOST_MOVE)).float()
