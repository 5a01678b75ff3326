"""The critic: tells whole patients of the real cohort from synthetic ones. It never leaves training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from longsynth.networks.batch import PatientBatch, pad_visits
from longsynth.networks.sequence import N_GAP_FEATURES, N_TIME_FEATURES, SequenceNetwork
from longsynth.networks.static import StaticNetwork


@dataclass(frozen=True)
class PatientFeatures:
    """What the critic sees of N patients: static (N, S), visits (N, L, D), weight (N, L): 1 a visit, 0 padding."""

    static: Tensor
    visits: Tensor
    weight: Tensor

    def take(self, rows: Tensor) -> PatientFeatures:
        """The features of some patients, padded no further than they need."""
        weight = self.weight[rows]
        longest = max(int(weight.sum(1).max()), 1) if len(weight) else 1
        return PatientFeatures(self.static[rows], self.visits[rows, :longest], weight[:, :longest])

    def join(self, other: PatientFeatures) -> PatientFeatures:
        """The features of these patients and those of others after them."""
        longest = max(self.weight.shape[1], other.weight.shape[1])
        visits = [pad_visits(part, longest) for part in (self.visits, other.visits)]
        weight = [pad_visits(part, longest) for part in (self.weight, other.weight)]
        return PatientFeatures(torch.cat([self.static, other.static]), torch.cat(visits), torch.cat(weight))


def patient_features(
    static_network: StaticNetwork | None, network: SequenceNetwork | None, batch: PatientBatch
) -> PatientFeatures:
    """Features of a batch, by the lookups of the generators: values, measured or not, gaps and times."""
    n, length = batch.visit.shape
    static = batch.duration.new_zeros(n, 0)
    if static_network is not None:
        static = static_network.head.table(batch.static_codes)
    if network is None or length == 0:
        width = 0 if network is None else network.table.n_columns + N_TIME_FEATURES + N_GAP_FEATURES
        return PatientFeatures(static, static.new_zeros(n, 1, width), static.new_zeros(n, 1))
    duration = batch.duration.unsqueeze(1).expand(-1, length)
    gap = torch.diff(batch.time, dim=1, prepend=batch.time[:, :1]).clamp(min=0)
    seen = [network.table(batch.codes), network.time_features(batch.time, duration), network.gap_features(gap)]
    weight = batch.visit.float()
    return PatientFeatures(static, torch.cat(seen, -1) * weight.unsqueeze(-1), weight)


class Critic(nn.Module):
    """Score of a whole patient: the larger, the more real.

    A recurrent layer reads the visits and their changes; its mean over visits joins the mean and spread of the visits
    themselves, the static features and the number of visits.

    Parameters
    ----------
    static_size, visit_size : int
        Widths S and D of :class:`PatientFeatures`.
    n_units : int
        Width of the layers.
    """

    def __init__(self, static_size: int, visit_size: int, n_units: int = 48) -> None:
        super().__init__()
        self.embed = nn.Linear(2 * visit_size + static_size, n_units)
        self.cell = nn.GRU(n_units, n_units, batch_first=True)
        self.score = nn.Sequential(
            nn.Linear(n_units + 2 * visit_size + static_size + 1, n_units),
            nn.LeakyReLU(0.2),
            nn.Linear(n_units, n_units),
            nn.LeakyReLU(0.2),
            nn.Linear(n_units, 1),
        )

    def forward(self, patients: PatientFeatures) -> Tensor:
        """Scores (N,)."""
        visits, weight = patients.visits, patients.weight.unsqueeze(-1)
        changes = torch.diff(visits, dim=1, prepend=visits[:, :1]) * weight
        along = patients.static.unsqueeze(1).expand(-1, visits.shape[1], -1)
        embedded = functional.leaky_relu(self.embed(torch.cat([visits, changes, along], -1)), 0.2)
        hidden, _ = self.cell(embedded)
        count = weight.sum(1).clamp(min=1)
        mean = (visits * weight).sum(1) / count
        spread = (((visits - mean.unsqueeze(1)) ** 2 * weight).sum(1) / count + 1e-4).sqrt()
        pooled = (hidden * weight).sum(1) / count
        together = torch.cat([pooled, mean, spread, patients.static, torch.log1p(weight.sum(1))], -1)
        return self.score(together).squeeze(-1)


class PooledCritic(nn.Module):
    """Score of a whole patient without recurrence, so that each patient can have a gradient of its own.

    A layer reads each visit with its change from the one before; the mean over visits joins the mean and spread of the
    visits, the static features and the number of visits. Parameters as in :class:`Critic`.
    """

    def __init__(self, static_size: int, visit_size: int, n_units: int = 32) -> None:
        super().__init__()
        self.visit = nn.Linear(2 * visit_size + static_size, n_units)
        self.score = nn.Sequential(
            nn.Linear(n_units + 2 * visit_size + static_size + 1, n_units), nn.LeakyReLU(0.2), nn.Linear(n_units, 1)
        )

    def forward(self, patients: PatientFeatures) -> Tensor:
        """Scores (N,)."""
        visits, weight = patients.visits, patients.weight.unsqueeze(-1)
        changes = torch.diff(visits, dim=1, prepend=visits[:, :1]) * weight
        along = patients.static.unsqueeze(1).expand(-1, visits.shape[1], -1)
        read = functional.leaky_relu(self.visit(torch.cat([visits, changes, along], -1)), 0.2)
        count = weight.sum(1).clamp(min=1)
        mean = (visits * weight).sum(1) / count
        spread = (((visits - mean.unsqueeze(1)) ** 2 * weight).sum(1) / count + 1e-4).sqrt()
        pooled = (read * weight).sum(1) / count
        together = torch.cat([pooled, mean, spread, patients.static, torch.log1p(weight.sum(1))], -1)
        return self.score(together).squeeze(-1)


def gradient_penalty(critic: Critic, both: PatientFeatures, mix: Tensor) -> Tensor:
    """Mean squared distance from 1 of the critic's gradient norm, between N real patients and N fake ones after them.

    Gulrajani et al. 2017 (arXiv:1704.00028); ``mix`` (N,) in [0, 1] places the points between the pairs.
    """

    def between(values: Tensor) -> Tensor:
        real, fake = values.chunk(2)
        share = mix.view(-1, *[1] * (values.dim() - 1))
        return real * share + fake * (1 - share)

    static, visits = (between(values).requires_grad_() for values in (both.static, both.visits))
    scores = critic(PatientFeatures(static, visits, between(both.weight))).sum()
    by_static, by_visits = torch.autograd.grad(scores, [static, visits], create_graph=True, allow_unused=True)
    squared = torch.zeros_like(mix)
    for gradient in (by_static, by_visits):
        if gradient is not None:
            squared = squared + gradient.flatten(1).square().sum(1)
    return ((squared + 1e-12).sqrt() - 1).square().mean()
