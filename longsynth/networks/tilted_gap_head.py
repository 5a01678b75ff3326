"""What comes after a visit, as margins tilted by the context: the gap head of a private fit."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor, nn
from torch.nn import functional

from longsynth.networks.gap_head import GapHead
from longsynth.networks.tilted_head import MOST_CONTEXT, score_basis
from longsynth.networks.times import TimeSettings

_LEAST_SHARE = 1e-4


class TiltedGapHead(GapHead):
    """Distribution of the next gap and of END and STOP; it starts at the margins exactly.

    Parameters
    ----------
    times : TimeSettings
        Gap classes, and the shares where the head starts.
    context_size, n_units : int
        Width of the context and of the hidden layer.
    """

    gap_margins: Tensor
    gap_basis: Tensor
    outcome_margins: Tensor

    def __init__(self, times: TimeSettings, context_size: int, n_units: int) -> None:
        nn.Module.__init__(self)
        self.free = True
        self.describe(times.edges, times.knots, times.may_end)
        shares = np.maximum(np.diff(ndtr(times.edges)), 1e-8)
        basis = score_basis(times.edges)
        self.register_buffer("gap_margins", torch.from_numpy(np.log(shares)).float(), persistent=False)
        self.register_buffer("gap_basis", torch.from_numpy(basis).float(), persistent=False)
        margins = torch.log(torch.tensor(times.outcome_shares, dtype=torch.float32) + _LEAST_SHARE)
        self.register_buffer("outcome_margins", margins)
        n_outputs = 3 + basis.shape[1]
        self.linear = nn.Parameter(torch.zeros(context_size, n_outputs))
        self.inner = nn.Parameter(torch.randn(context_size, n_units) / math.sqrt(context_size))
        self.outer = nn.Parameter(torch.zeros(n_units, n_outputs))

    def parameters_of(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Outcome logits (R, 3) and logits (R, G) of the gap classes of contexts (R, D)."""
        context = context.clamp(-MOST_CONTEXT, MOST_CONTEXT)
        weights = context @ self.linear + functional.silu(context @ self.inner) @ self.outer
        return self.outcome_margins + weights[..., :3], self.gap_margins + weights[..., 3:] @ self.gap_basis.T

    def highest_class(self, steps_left: Tensor) -> Tensor:
        """Highest class (R,) whose smallest gap fits into ``steps_left`` (R,); -1 if none fits."""
        return (self.knots[:, 0] <= steps_left.double().unsqueeze(-1)).sum(-1) - 1
