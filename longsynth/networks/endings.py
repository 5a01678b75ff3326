"""How often a record ends, by time.

Many records end where nobody's follow-up ends: the study closes, or only the first days were copied. Last visits then
crowd at one time, which the smooth features of time cannot tell from an hour before.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Endings(nn.Module):
    """Log-odds that a visit is the last one, by its time, less those of all visits together.

    Parameters
    ----------
    times : sequence of float, length K
        Increasing times at which the odds change, in the schema's time unit.
    log_odds : sequence of float, length K + 1
        Before, between and after those times.
    """

    times: Tensor
    log_odds: Tensor

    def __init__(self, times: Sequence[float], log_odds: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("times", torch.tensor(times, dtype=torch.float32), persistent=False)
        self.register_buffer("log_odds", torch.tensor(log_odds, dtype=torch.float32), persistent=False)

    def forward(self, time: Tensor) -> Tensor:
        """Log-odds (..., 1) of visits at times (...)."""
        return self.log_odds[torch.searchsorted(self.times, time.float().contiguous(), right=True)].unsqueeze(-1)
