"""The static network: all static items of a patient, drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from longsynth.networks.batch import PatientBatch
from longsynth.networks.items import ItemSpec
from longsynth.networks.masked_head import CodeRange, MaskedHead
from longsynth.networks.tilted_head import Given, TiltedHead


class StaticNetwork(nn.Module):
    """Joint distribution of S static items: baseline attributes, event type, duration and first visit time.

    Parameters
    ----------
    items : sequence of ItemSpec
        The S items, at least one.
    n_units : int
        Hidden units an item.
    dropout : float
        Share of hidden units dropped in training.
    tilted : bool
        Whether the head starts at the margins and has bounded gradients, for training under differential privacy.
    given : Given or None
        With a tilted head: an item whose margin is known by the class of an item before it.
    """

    def __init__(
        self,
        items: Sequence[ItemSpec],
        n_units: int,
        dropout: float,
        *,
        tilted: bool = False,
        given: Given | None = None,
    ) -> None:
        super().__init__()
        self.head: Any = TiltedHead(items, 1, 1, given) if tilted else MaskedHead(items, 1, n_units, dropout)

    def log_prob(self, batch: PatientBatch) -> Tensor:
        """Log-probability (N,) of the static items of a batch."""
        return self.head.log_prob(self._context(len(batch)), batch.static_codes).sum(-1)

    def sample(self, n: int, generator: torch.Generator, limits: CodeRange | None = None) -> Tensor:
        """Draw codes (n, S)."""
        return self.head.sample(self._context(n), generator, limits)

    def _context(self, n: int) -> Tensor:
        return torch.ones(n, 1, device=self.head.out.device)
