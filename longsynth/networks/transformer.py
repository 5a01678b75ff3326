"""The transformer backbone: causal attention over visits, from linear layers that per-patient gradients can follow."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

N_LAYERS = 2
N_HEADS = 4
Memory = list[tuple[Tensor, Tensor]]


class _Layer(nn.Module):
    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention, self.norm_feed = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.project = nn.Linear(size, size)
        self.feed = nn.Sequential(nn.Linear(size, 2 * size), nn.SiLU(), nn.Dropout(dropout), nn.Linear(2 * size, size))
        self.dropout = nn.Dropout(dropout)

    def heads(self, linear: nn.Module, x: Tensor) -> Tensor:
        """Split (N, L, H) into (N, heads, L, H / heads)."""
        return linear(x).view(x.shape[0], x.shape[1], N_HEADS, x.shape[-1] // N_HEADS).transpose(1, 2)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        normed = self.norm_attention(x)
        key, value = self.heads(self.key, normed), self.heads(self.value, normed)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        query = self.heads(self.query, normed)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x = x + self.dropout(self.project(mixed.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed(self.norm_feed(x))), (key, value)


class TransformerBackbone(nn.Module):
    """Hidden state H before the first visit and after every visit; the first token holds the static features.

    Parameters as in :class:`~longsynth.networks.recurrent.RecurrentBackbone`. There is no position embedding: a
    visit's input holds its time.
    """

    def __init__(self, input_size: int, static_size: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.initial = nn.Linear(static_size, hidden_size)
        self.embed = nn.Linear(input_size, hidden_size)
        self.layers = nn.ModuleList(_Layer(hidden_size, dropout) for _ in range(N_LAYERS))
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, static: Tensor, inputs: Tensor) -> Tensor:
        """Hidden states (N, L + 1, H) of static features (N, S) and visit inputs (N, L, D)."""
        x = torch.cat([self.initial(static).unsqueeze(1), self.embed(self.dropout(inputs))], 1)
        for layer in self.layers:
            x, _ = layer(x, None)
        return self.norm(x)

    def start(self, static: Tensor) -> tuple[Tensor, Memory]:
        """Hidden state (N, H) before the first visit, and the keys and values to carry on from."""
        x, memory = self.initial(static).unsqueeze(1), []
        for layer in self.layers:
            x, past = layer(x, None)
            memory.append(past)
        return self.norm(x)[:, 0], memory

    def step(self, inputs: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Hidden state (N, H) after one more visit (N, D), and the memory."""
        x, longer = self.embed(inputs).unsqueeze(1), []
        for layer, past in zip(self.layers, memory, strict=True):
            x, past = layer(x, past)
            longer.append(past)
        return self.norm(x)[:, 0], longer

    def keep(self, memory: Memory, rows: Tensor) -> Memory:
        """The memory of some rows."""
        return [(key[rows], value[rows]) for key, value in memory]
