"""The memoryless backbone: no hidden state at all; the history is what the carried statistics say.

It has no parameters, so that every visit is a row of its own and a patient's gradient is a sum over rows.
"""

from __future__ import annotations

from torch import Tensor, nn

Memory = Tensor


class MemorylessBackbone(nn.Module):
    """Hidden states of width 0. Parameters as in :class:`~longsynth.networks.recurrent.RecurrentBackbone`, unused."""

    def __init__(self, *_: float) -> None:
        super().__init__()

    def forward(self, static: Tensor, inputs: Tensor) -> Tensor:
        """Hidden states (N, L + 1, 0) of static features (N, S) and visit inputs (N, L, D)."""
        return static.new_zeros(len(static), inputs.shape[1] + 1, 0)

    def start(self, static: Tensor) -> tuple[Tensor, Memory]:
        """Hidden state (N, 0) before the first visit, and the memory."""
        nothing = static.new_zeros(len(static), 0)
        return nothing, nothing

    def step(self, _: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Hidden state (N, 0) after one more visit (N, D), and the memory."""
        return memory, memory

    def keep(self, memory: Memory, rows: Tensor) -> Memory:
        """The memory of some rows."""
        return memory[rows]
