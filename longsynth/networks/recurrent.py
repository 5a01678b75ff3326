"""The recurrent backbone: a gated recurrent unit over visits."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RecurrentBackbone(nn.Module):
    """Hidden state H before the first visit and after every visit.

    Parameters
    ----------
    input_size, static_size, hidden_size : int
        Width of a visit's input, of the static features, and of the hidden state.
    dropout : float
        Share of inputs and hidden units dropped in training.
    """

    def __init__(self, input_size: int, static_size: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.initial = nn.Linear(static_size, hidden_size)
        self.cell = nn.GRU(input_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, static: Tensor, inputs: Tensor) -> Tensor:
        """Hidden states (N, L + 1, H) of static features (N, S) and visit inputs (N, L, D)."""
        first = torch.tanh(self.initial(static))
        hidden, _ = self.cell(self.dropout(inputs), first.unsqueeze(0))
        return self.dropout(torch.cat([first.unsqueeze(1), hidden], 1))

    def start(self, static: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden state (N, H) before the first visit, and the memory to carry on from."""
        first = torch.tanh(self.initial(static))
        return first, first

    def step(self, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden state (N, H) after one more visit (N, D), and the memory."""
        hidden, _ = self.cell(inputs.unsqueeze(1), memory.unsqueeze(0))
        return hidden[:, 0], hidden[:, 0]

    def keep(self, memory: Tensor, rows: Tensor) -> Tensor:
        """The memory of some rows."""
        return memory[rows]
