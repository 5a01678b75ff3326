"""Training with a guarantee for each patient: Poisson samples of patients, clipped gradients, noise on their sum.

What a patient adds to a sum is one gradient, that of the whole record, no longer than ``max_grad_norm``. The sum is
divided by a constant, so nobody's part depends on who else was sampled. An empty sample is a step like any other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.visit_times import TimeScale
from longsynth.networks.rows import JointNetwork, rows_of
from longsynth.training.batches import make_batch
from longsynth.training.noise import SecretRandomness
from longsynth.training.private_plan import PrivatePlan

STEPS_AN_EPOCH = 10
MICRO_BATCH_VISITS = 1500


class PrivateTraining(pl.LightningModule):
    """Lightning module of the private training of one network.

    Parameters
    ----------
    network : JointNetwork
        Changed in place; the average of its last weights is in ``average``.
    encoded : EncodedCohort
        All train patients, records truncated to the contribution bound.
    cut : ndarray of bool, shape (N,)
        Whose record was truncated.
    scale : TimeScale or None
        How visit steps become times.
    plan : PrivatePlan
        Sample rate, number of steps, clipping and the like.
    noise_multiplier : float
        Standard deviation of the noise over ``max_grad_norm``; 0 in tests alone.
    randomness : SecretRandomness
        Who is sampled, and the noise.
    """

    def __init__(
        self,
        network: JointNetwork,
        encoded: EncodedCohort,
        cut: np.ndarray,
        scale: TimeScale | None,
        plan: PrivatePlan,
        noise_multiplier: float,
        randomness: SecretRandomness,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.average = network, copy.deepcopy(network).requires_grad_(False)
        self.encoded, self.cut, self.scale = encoded, torch.from_numpy(cut), scale
        self.plan, self.noise_multiplier, self.randomness = plan, noise_multiplier, randomness

    def train_dataloader(self) -> Any:
        """The numbers of an epoch's steps; each step samples its own patients."""
        return range(STEPS_AN_EPOCH)

    def configure_optimizers(self) -> Any:
        """Adam: what it makes of a noisy sum is free."""
        return torch.optim.Adam(self.network.parameters(), self.plan.learning_rate(self.noise_multiplier))

    def training_step(self, *_: Any) -> None:
        """One noisy sum and one step. Every process draws its part of one sample; the first one draws the noise."""
        optimizer: Any = self.optimizers()
        rows = self._shared(lambda: np.flatnonzero(self.randomness.uniform(len(self.cut)) < self.plan.sample_rate))
        total = self._clipped_sum(rows[self.global_rank :: self.trainer.world_size])
        total = self._added_up(total)
        sd = self.noise_multiplier * self.plan.max_grad_norm
        noise = self._shared(lambda: torch.from_numpy(sd * self.randomness.normal(len(total))).float())
        direction = (total + noise) / self.plan.expected_batch
        parameters = list(self.network.parameters())
        for parameter, part in zip(parameters, direction.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).clone()
        optimizer.step()
        self._move_average()

    def _clipped_sum(self, rows: np.ndarray) -> Tensor:
        total = torch.zeros(sum(parameter.numel() for parameter in self.network.parameters()))
        for part in micro_batches(rows, self.encoded.n_visits):
            batch = make_batch(self.encoded, self.scale, part)
            total += clipped_sum(self.network, rows_of_patients(self.network, batch, self.cut[part]), self.plan)
        return total

    def _move_average(self) -> None:
        step = self.global_step
        decay = min(self.plan.average_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)

    def _shared(self, draw: Callable[[], Any]) -> Any:
        """What the first process draws, in every process."""
        drawn = draw() if self.global_rank == 0 else None
        return self.trainer.strategy.broadcast(drawn)

    def _added_up(self, total: Tensor) -> Tensor:
        summed = self.trainer.strategy.reduce(total, reduce_op="sum")
        assert isinstance(summed, Tensor)
        return summed


def rows_of_patients(network: JointNetwork, batch: Any, cut: Tensor) -> dict[str, Tensor]:
    """Return what a batch of patients asks of the network, (N, ...) each."""
    return rows_of(network.sequence, batch, cut).as_dict()


def patient_gradients(network: JointNetwork, rows: dict[str, Tensor]) -> Tensor:
    """Gradients (N, P) of each patient's negative log-likelihood, all parameters in one row."""
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def loss(values: dict[str, Tensor], patient: dict[str, Tensor]) -> Tensor:
        return -functional_call(network, values, (patient,))

    gradients = vmap(grad(loss), in_dims=(None, 0))(parameters, rows)
    return torch.cat([gradients[name].flatten(1) for name in parameters], 1)


def clipped_sum(network: JointNetwork, rows: dict[str, Tensor], plan: PrivatePlan) -> Tensor:
    """Sum (P,) of the patients' gradients, each scaled down to ``max_grad_norm`` where it is longer."""
    gradients = patient_gradients(network, rows)
    length = gradients.norm(dim=1).clamp(min=1e-12)
    return (plan.max_grad_norm / length).clamp(max=1.0) @ gradients


def micro_batches(rows: np.ndarray, n_visits: np.ndarray) -> list[np.ndarray]:
    """Split patients ``rows`` into parts of similar length that fit into memory; the sum does not depend on it."""
    ordered = rows[np.argsort(n_visits[rows], kind="stable")]
    parts, start = [], 0
    for stop in range(1, len(ordered) + 1):
        longest = max(int(n_visits[ordered[min(stop, len(ordered) - 1)]]), 1)
        if stop == len(ordered) or (stop + 1 - start) * longest > MICRO_BATCH_VISITS:
            parts.append(ordered[start:stop])
            start = stop
    return parts
