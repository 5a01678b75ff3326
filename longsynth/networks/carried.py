"""Carried statistics: for each channel its last value, running mean, whether ever observed, and how long ago.

They are the part of the history that matters most; the backbone adds the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from longsynth.networks.items import ItemTable


def width(table: ItemTable) -> int:
    """Number of carried columns: last value and mean of each feature, ever observed and time since of each channel."""
    return 2 * table.n_columns + 2 * len(table.n_classes)


def owners(table: ItemTable) -> list[int]:
    """Return which channel each of the carried columns is about."""
    channels = list(range(len(table.n_classes)))
    return [*table.owners, *table.owners, *channels, *channels]


@dataclass(frozen=True)
class OwnColumns:
    """Where an item finds its own past among the columns of a context.

    Attributes
    ----------
    scores : Tensor of int64, shape (C, 2)
        Columns with the last score and the running mean score of a numeric item.
    levels : Tensor of int64, shape (C, 2, K)
        Columns that stand for each class, at the last visit and on average, of an item of levels.
    signs : Tensor, shape (C, K)
        What those columns are multiplied by: 0 beyond an item's classes, -1 and 1 for the one column of two classes.
    """

    scores: Tensor
    levels: Tensor
    signs: Tensor


def own_columns(table: ItemTable, start: int) -> OwnColumns:
    """Return where carried statistics that begin at column ``start`` hold each channel's own past."""
    n_classes = table.n_classes.tolist()
    first = [table.owners.index(item) for item in range(len(n_classes))]
    columns = torch.zeros(len(n_classes), max(n_classes), dtype=torch.int64)
    signs = torch.zeros(columns.shape)
    for item, n in enumerate(n_classes):
        columns[item] = first[item]
        if n == 2:
            signs[item, :2] = torch.tensor([-1.0, 1.0])
        elif table.owners.count(item) >= n:
            columns[item, :n] += torch.arange(n)
            signs[item, :n] = 1.0
    offsets = start + torch.tensor([0, table.n_columns])
    scores = torch.tensor(first)[:, None] + offsets
    return OwnColumns(scores, columns[:, None, :] + offsets[:, None], signs)


def carried_over(table: ItemTable, codes: Tensor, time: Tensor, typical_gap: float) -> Tensor:
    """Carried statistics (N, L, W) after each visit, of codes (N, L, C) at times (N, L)."""
    if codes.shape[-1] == 0:
        return codes.new_zeros((*codes.shape[:2], 0), dtype=torch.float32)
    features, observed = table.padded(codes), table.observed(codes)
    visits = torch.arange(codes.shape[1], device=codes.device).view(1, -1, 1)
    last = torch.where(observed, visits, -1).cummax(1).values
    ever = (last >= 0).float()
    last = last.clamp(min=0)
    last_features = features.gather(1, last.unsqueeze(-1).expand_as(features)) * ever.unsqueeze(-1)
    seen = observed.unsqueeze(-1).float()
    count = seen.cumsum(1).clamp(min=1)
    mean = (features * seen).cumsum(1) / count
    last_time = time.unsqueeze(-1).expand_as(last).gather(1, last)
    since = torch.log1p((time.unsqueeze(-1) - last_time).clamp(min=0) / typical_gap) * ever
    return torch.cat([table.flatten(last_features), table.flatten(mean), ever, since], -1)


@dataclass
class Carried:
    """The same statistics, kept up visit by visit for N patients while sampling."""

    last_codes: Tensor
    last_features: Tensor
    total: Tensor
    count: Tensor
    last_time: Tensor

    @classmethod
    def start(cls, table: ItemTable, n: int, device: torch.device) -> Carried:
        """Nothing observed yet."""
        shape = (n, len(table.n_classes))
        zeros = torch.zeros(*shape, table.width, device=device)
        codes = table.n_classes.expand(n, -1).clone()
        return cls(codes, zeros, zeros.clone(), torch.zeros(shape, device=device), torch.zeros(shape, device=device))

    def add(self, table: ItemTable, codes: Tensor, time: Tensor) -> None:
        """Take in one visit: codes (N, C) at times (N,)."""
        observed = table.observed(codes)
        features, seen = table.padded(codes), observed.unsqueeze(-1)
        self.last_codes = torch.where(observed, codes, self.last_codes)
        self.last_features = torch.where(seen, features, self.last_features)
        self.total = self.total + features * seen
        self.count = self.count + observed
        self.last_time = torch.where(observed, time.unsqueeze(-1).float(), self.last_time)

    def statistics(self, table: ItemTable, time: Tensor, typical_gap: float) -> Tensor:
        """Carried columns (N, W) at times (N,)."""
        if len(table.n_classes) == 0:
            return torch.zeros(len(time), 0, device=time.device)
        ever = (self.count > 0).float()
        mean = self.total / self.count.clamp(min=1).unsqueeze(-1)
        since = torch.log1p((time.unsqueeze(-1).float() - self.last_time) / typical_gap) * ever
        return torch.cat([table.flatten(self.last_features), table.flatten(mean), ever, since], -1)

    def keep(self, rows: Tensor) -> Carried:
        """The statistics of some patients."""
        return Carried(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))
