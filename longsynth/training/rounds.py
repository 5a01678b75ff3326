"""Adversarial rounds: a critic learns to tell synthetic patients from real ones, and the generator is paid to fool it.

The generator draws discrete codes, so no gradient passes through them. Instead it learns its own patients again, each
weighted by the exponential of the critic's score: for a logistic critic that is the density ratio of real to synthetic
patients, so the generator moves to where the critic sees more of the real ones. Weights are positive, which keeps it
stable over many steps a round, where a score-function gradient that also pushes patients away is not. With the
likelihood of real patients as anchor this refines a fitted generator; without it, it is a pure GAN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from longsynth.networks.batch import PatientBatch
from longsynth.networks.critic import Critic, PatientFeatures, gradient_penalty, patient_features
from longsynth.networks.sequence import SequenceNetwork
from longsynth.networks.static import StaticNetwork
from longsynth.seeding import child_seed, stream
from longsynth.training.crossfit import total_log_prob
from longsynth.training.plan import RoundPlan

_MAX_LOG_WEIGHT = 1.6
_PENALTY = 1.0


@dataclass(frozen=True)
class Member:
    """One generator in training: its networks, its train patients, and how to draw from it.

    ``rows`` are the train patients it learns from, ``critic_rows`` those that are short enough for the critic;
    ``draw(n, seed)`` returns up to n synthetic patients, as short; ``real(rows)`` the train patients of these rows.
    """

    static: StaticNetwork | None
    sequence: SequenceNetwork | None
    rows: np.ndarray
    critic_rows: np.ndarray
    draw: Callable[[int, int], PatientBatch]
    real: Callable[[np.ndarray], PatientBatch]


class RoundsModule(pl.LightningModule):
    """Lightning module of the rounds of K members; one training step is one round of one member.

    Parameters
    ----------
    members : list of Member
        Changed in place.
    plan : RoundPlan
        Numbers of steps, weights and rates.
    loss_scale : float
        Constant that a patient's log-likelihood is divided by.
    anchor : float
        Weight of the likelihood of real patients: 1 to refine, 0 for a pure GAN.
    adversarial : bool
        False: take the likelihood steps alone, as a control of equal length.
    train_static : bool
        Whether the static networks learn too.
    seed : int
        Seed of everything random.
    """

    def __init__(
        self,
        members: list[Member],
        plan: RoundPlan,
        loss_scale: float,
        *,
        anchor: float,
        adversarial: bool,
        train_static: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generators = members
        self.plan, self.loss_scale, self.seed = plan, loss_scale, seed
        self.anchor, self.adversarial, self.train_static = anchor, adversarial, train_static
        networks: list[nn.Module] = []
        critics: list[nn.Module] = []
        for member in members:
            parts = [member.sequence, member.static if train_static or member.sequence is None else None]
            networks.append(nn.ModuleList([part for part in parts if part is not None]))
            features = patient_features(member.static, member.sequence, member.real(member.rows[:2]))
            critics.append(Critic(features.static.shape[-1], features.visits.shape[-1]))
        self.networks, self.critics = nn.ModuleList(networks), nn.ModuleList(critics)

    def train_dataloader(self) -> DataLoader[int]:
        """The member numbers; one epoch is one round of every member."""
        return DataLoader(range(len(self.generators)), batch_size=None, shuffle=False)  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        """One optimiser a critic, one a generator."""
        plan = self.plan
        generators = [torch.optim.AdamW(n.parameters(), plan.learning_rate, weight_decay=0.0) for n in self.networks]
        critics = [
            torch.optim.AdamW(critic.parameters(), 1e-3, betas=(0.5, 0.9), weight_decay=0.01) for critic in self.critics
        ]
        return [*generators, *critics]

    def training_step(self, number: int, _: int) -> None:
        """One round of one member."""
        torch.manual_seed(child_seed(self.seed, "round", self.current_epoch, int(number)))
        rng = stream(self.seed, "rows", self.current_epoch, int(number))
        member = self.generators[number]
        optimizers: Any = self.optimizers()
        drawn, weights = None, torch.zeros(0)
        if self.adversarial:
            drawn = member.draw(self.plan.n_drawn, child_seed(self.seed, "draw", self.current_epoch, int(number)))
            critic, optimizer = self.critics[number], optimizers[len(self.generators) + number]
            fake = patient_features(member.static, member.sequence, drawn)
            for _step in range(self.plan.critic_steps):
                self._critic_step(member, critic, optimizer, fake, rng)
            with torch.no_grad():
                scores = critic(fake)
            weights = density_weights(scores)
        for _step in range(self.plan.generator_steps):
            self._generator_step(number, optimizers[number], drawn, weights, rng)

    def _critic_step(
        self, member: Member, critic: Any, optimizer: Any, fake: PatientFeatures, rng: np.random.Generator
    ) -> None:
        size = min(self.plan.batch_size, len(member.critic_rows), len(fake.weight))
        rows = rng.choice(member.critic_rows, size, replace=False)
        real = patient_features(member.static, member.sequence, member.real(rows))
        some = fake.take(torch.from_numpy(rng.choice(len(fake.weight), size, replace=False)))
        both = real.join(some)
        for_real, for_fake = critic(both).chunk(2)
        loss = functional.softplus(-for_real).mean() + functional.softplus(for_fake).mean()
        loss = loss + _PENALTY * gradient_penalty(critic, both, torch.rand(size))
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def _generator_step(
        self, number: int, optimizer: Any, drawn: PatientBatch | None, weights: Tensor, rng: np.random.Generator
    ) -> None:
        member, size = self.generators[number], self.plan.batch_size
        networks = self.networks[number].train()
        batches, shares = [], []
        if self.anchor:
            rows = rng.choice(member.rows, min(size, len(member.rows)), replace=False)
            batches.append(member.real(rows))
            shares.append(torch.full((len(rows),), self.anchor / len(rows)))
        if drawn is not None:
            chosen = torch.from_numpy(rng.choice(len(drawn), min(size, len(drawn)), replace=False))
            batches.append(drawn.take(chosen))
            shares.append(self.plan.weight * weights[chosen] / len(chosen))
        log_prob = log_prob_of(networks.children(), reduce(PatientBatch.join, batches))
        loss = -(torch.cat(shares) * log_prob).sum()
        optimizer.zero_grad()
        self.manual_backward(loss / self.loss_scale)
        torch.nn.utils.clip_grad_norm_(networks.parameters(), 50.0)
        optimizer.step()


def density_weights(scores: Tensor) -> Tensor:
    """Weights (N,) of synthetic patients by the critic's scores (N,): their exponential, limited, with mean 1."""
    weights = (scores - scores.mean()).clamp(-_MAX_LOG_WEIGHT, _MAX_LOG_WEIGHT).exp()
    return weights / weights.mean()


def log_prob_of(networks: Iterable[nn.Module], batch: PatientBatch) -> Tensor:
    """Log-probability (N,) of a batch under static and sequence networks; static alone for patients without visits."""
    total = torch.zeros(len(batch))
    for network in networks:
        if isinstance(network, SequenceNetwork):
            has_visits = batch.visit.any(1).nonzero().squeeze(1)
            if len(has_visits):
                part = total_log_prob(network, batch.take(has_visits))
                total = total.index_add(0, has_visits, part)
        else:
            total = total + total_log_prob(network, batch)
    return total
