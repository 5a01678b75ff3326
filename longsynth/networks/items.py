"""What a network knows about one variable, and the lookup from class codes to input features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ItemSpec:
    """One variable as a network sees it.

    Attributes
    ----------
    edges : ndarray of shape (n_classes + 1,) or None
        Score borders of the classes of a numeric item; None for an item of levels.
    features : ndarray, shape (n_classes + 1, F)
        Input features of each class; the last row belongs to a missing value.
    shares : ndarray, shape (n_classes + 1,)
        Train share of each class and of missing; sums to 1. A share of 0 is never drawn.
    """

    edges: np.ndarray | None
    features: np.ndarray
    shares: np.ndarray

    @property
    def n_classes(self) -> int:
        """Number of classes, missing not counted."""
        return len(self.shares) - 1

    @property
    def can_be_missing(self) -> bool:
        """Whether missing has mass."""
        return bool(self.shares[-1] > 0)


class ItemTable(nn.Module):
    """Features of class codes for C items.

    Padded features have shape (..., C, F) with F the widest item's; flat ones keep only the real columns, (..., D).
    """

    table: Tensor
    offsets: Tensor
    columns: Tensor
    n_classes: Tensor

    def __init__(self, items: Sequence[ItemSpec]) -> None:
        super().__init__()
        self.width = max((item.features.shape[1] for item in items), default=0)
        padded = [np.pad(item.features, ((0, 0), (0, self.width - item.features.shape[1]))) for item in items]
        starts = np.cumsum([0, *(len(rows) for rows in padded)])[:-1]
        columns = [i * self.width + j for i, item in enumerate(items) for j in range(item.features.shape[1])]
        table = np.concatenate(padded) if padded else np.zeros((0, 0))
        self.owners = [i for i, item in enumerate(items) for _ in range(item.features.shape[1])]
        self.register_buffer("table", torch.tensor(table, dtype=torch.float32), persistent=False)
        self.register_buffer("offsets", torch.tensor(starts, dtype=torch.int64), persistent=False)
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.int64), persistent=False)
        n_classes = torch.tensor([item.n_classes for item in items], dtype=torch.int64)
        self.register_buffer("n_classes", n_classes, persistent=False)

    @property
    def n_columns(self) -> int:
        """Number D of flat feature columns."""
        return len(self.owners)

    def padded(self, codes: Tensor) -> Tensor:
        """Features (..., C, F) of codes (..., C)."""
        return self.table[codes + self.offsets]

    def padded_item(self, item: int, codes: Tensor) -> Tensor:
        """Padded features (R, F) of codes (R,) of one item."""
        return self.table[codes + self.offsets[item]]

    def flatten(self, padded: Tensor) -> Tensor:
        """Real columns (..., D) of padded features (..., C, F)."""
        return padded.flatten(-2).index_select(-1, self.columns)

    def forward(self, codes: Tensor) -> Tensor:
        """Flat features (..., D) of codes (..., C)."""
        return self.flatten(self.padded(codes))

    def observed(self, codes: Tensor) -> Tensor:
        """Whether each code (..., C) is a value rather than missing."""
        return codes < self.n_classes
