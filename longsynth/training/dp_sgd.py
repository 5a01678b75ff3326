"""Training with a guarantee for each patient: Poisson samples of patients, clipped gradients, noise on their sum.

What a patient adds to a sum is one gradient, that of the whole record, no longer than ``max_grad_norm``. The sum is
divided by a constant, so nobody's part depends on who else was sampled. An empty sample is a step like any other.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.visit_times import TimeScale
from longsynth.exceptions import ConfigError
from longsynth.networks.batch import PatientBatch
from longsynth.networks.rows import JointNetwork, rows_of
from longsynth.training.batches import make_batch
from longsynth.training.crossfit import move_average
from longsynth.training.noise import SecretRandomness
from longsynth.training.private_plan import PrivatePlan

STEPS_AN_EPOCH = 10
STATIC_SHARE, STATIC_NORM = 0.5, 1 / 3
STATIC_RATE = 2.0
"""Of the static network: share of ``max_grad_norm``, where it is clipped before that, and learning rate, as factors."""
MICRO_BATCH_VISITS = 800


class PrivateModule(pl.LightningModule):
    """Base of the modules that see patients only through noisy sums of clipped gradients.

    Parameters
    ----------
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
        encoded: EncodedCohort,
        cut: np.ndarray,
        scale: TimeScale | None,
        plan: PrivatePlan,
        noise_multiplier: float,
        randomness: SecretRandomness,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.encoded, self.cut, self.scale = encoded, torch.from_numpy(cut), scale
        self.plan, self.noise_multiplier, self.randomness = plan, noise_multiplier, randomness

    def noisy_mean(self, trained: nn.Module, clipped_sum: Callable[[PatientBatch, np.ndarray], Tensor]) -> Tensor:
        """Sample patients, add up their clipped gradients and noise, divide by the expected batch; shape (P,).

        Every process takes its part of one sample; the first one draws the noise.

        Parameters
        ----------
        trained : Module
            Whose P parameters the gradients are of.
        clipped_sum : callable
            Sum (P,) of the clipped gradients of a batch of patients, given also their rows (N,) among all patients.
        """
        total = torch.zeros(sum(parameter.numel() for parameter in trained.parameters()), device=self.device)
        rows = self.shared(lambda: np.flatnonzero(self.randomness.uniform(len(self.cut)) < self.plan.sample_rate))
        for part in micro_batches(rows[self.global_rank :: self.trainer.world_size], self.encoded.n_visits):
            batch = make_batch(self.encoded, self.scale, part).to(self.device)
            total += clipped_sum(batch, part)
        total = self._added_up(total)
        sd = self.noise_multiplier * self.plan.max_grad_norm
        noise = self.shared(lambda: torch.from_numpy(sd * self.randomness.normal(len(total))).float())
        return (total + noise.to(self.device)) / self.plan.expected_batch

    def on_fit_start(self) -> None:
        """Raise if the processes do not train the same network on the same codes, as where they read other releases."""
        mine = zlib.crc32(self.encoded.static_codes.tobytes() + self.encoded.codes.tobytes())
        for value in self.state_dict().values():
            mine = zlib.crc32(value.cpu().numpy().tobytes(), mine)
        if self.trainer.strategy.broadcast(mine) != mine:
            raise ConfigError(
                "the processes of a private fit have not read the same noisy counts. Those of the first process are "
                "paid for and kept: fit in the same work_dir with resume=True, which all processes must be able to read"
            )

    def shared(self, draw: Callable[[], Any]) -> Any:
        """What the first process draws, in every process."""
        drawn = draw() if self.global_rank == 0 else None
        return self.trainer.strategy.broadcast(drawn)

    def _added_up(self, total: Tensor) -> Tensor:
        summed = self.trainer.strategy.reduce(total, reduce_op="sum")
        assert isinstance(summed, Tensor)
        return summed


class PrivateTraining(PrivateModule):
    """Lightning module of the private likelihood training of one network.

    Parameters
    ----------
    network : JointNetwork
        Changed in place; the average of its last weights is in ``average``: of the static network over the second half
        of the steps, of the sequence network an exponential one.
    *told
        As :class:`PrivateModule`.
    """

    def __init__(self, network: JointNetwork, *told: Any) -> None:
        super().__init__(*told)
        self.network, self.average = network, copy.deepcopy(network).requires_grad_(False)

    def train_dataloader(self) -> Any:
        """The numbers of an epoch's steps; each step samples its own patients."""
        return range(STEPS_AN_EPOCH)

    def configure_optimizers(self) -> Any:
        """Adam: what it makes of a noisy sum is free. The static network moves further in a step."""
        rate = self.plan.learning_rate(self.noise_multiplier)
        parts = ((self.network.static, STATIC_RATE * rate), (self.network.sequence, rate))
        return torch.optim.Adam([{"params": part.parameters(), "lr": one} for part, one in parts if part is not None])

    def training_step(self, *_: Any) -> None:
        """One noisy sum and one step."""
        optimizer: Any = self.optimizers()

        def of_batch(batch: PatientBatch, rows: np.ndarray) -> Tensor:
            cut = self.cut[rows].to(self.device)
            return clipped_sum(self.network, rows_of_patients(self.network, batch, cut), self.plan)

        set_gradient(self.network, self.noisy_mean(self.network, of_batch))
        optimizer.step()
        static, sequence = self.average.static, self.average.sequence
        if static is not None and self.network.static is not None:
            average_second_half(static, self.network.static, self.global_step, self.plan.n_steps)
        if sequence is not None and self.network.sequence is not None:
            move_average(sequence, self.network.sequence, self.plan.average_decay, self.global_step)


def average_second_half(average: nn.Module, module: nn.Module, step: int, n_steps: int) -> None:
    """Take a module's weights after ``step`` steps of ``n_steps`` into their mean over the second half of the steps."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), module.parameters(), strict=True):
            mean.lerp_(value, 1 / max(step - n_steps // 2, 1))


def gradient_of(loss: Tensor, module: nn.Module) -> Tensor:
    """Gradient (P,) of a loss without patients, the same on every process, so that none has to wait for another."""
    parts = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def set_gradient(module: nn.Module, gradient: Tensor) -> None:
    """Write a gradient (P,) into a module's parameters."""
    parameters = list(module.parameters())
    for parameter, part in zip(parameters, gradient.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter).clone()


def rows_of_patients(network: JointNetwork, batch: PatientBatch, cut: Tensor) -> dict[str, Tensor]:
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
    """Sum (P,) of the patients' gradients, each no longer than ``max_grad_norm``.

    The parts of the static and of the sequence network are clipped on their own, to limits that make up the whole: in
    one, a long record would leave little of its static row, so patients with short records would weigh more. Static
    gradients are short; what is clipped at ``STATIC_NORM`` of the limit is scaled up to its share, above the noise.
    """
    gradients, n_static, limit = patient_gradients(network, rows), network.n_static, plan.max_grad_norm
    share = STATIC_SHARE if network.sequence is not None else 1.0
    static = sum_of_clipped(gradients[:, :n_static], limit * STATIC_NORM) * (share / STATIC_NORM)
    rest = limit if network.static is None else limit * (1 - STATIC_SHARE**2) ** 0.5
    return torch.cat([static, sum_of_clipped(gradients[:, n_static:], rest)])


def sum_of_clipped(gradients: Tensor, max_grad_norm: float) -> Tensor:
    """Sum (P,) of gradients (N, P), each scaled down to ``max_grad_norm`` where it is longer.

    A gradient that is not finite counts as 0: it has no length to scale, and would spoil the whole sum.
    """
    length = gradients.norm(dim=1)
    is_usable = length.isfinite()
    share = torch.where(is_usable, (max_grad_norm / length.clamp(min=1e-12)).clamp(max=1.0), 0.0)
    return share @ torch.where(is_usable.unsqueeze(1), gradients, 0.0)


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
