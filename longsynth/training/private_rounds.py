"""A GAN under a budget: only the critic sees patients, and it sees them through noisy sums of clipped gradients.

The generator starts at the noisy margins and learns its own patients again, weighted by the critic's score, as in
:mod:`longsynth.training.rounds`. What it does with a critic costs nothing, however many steps it takes. The gradient
penalty is taken between a real patient and a synthetic one, so it is part of that patient's clipped gradient; the
synthetic patients' own loss needs no noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from longsynth.networks.batch import PatientBatch
from longsynth.networks.critic import PatientFeatures, PooledCritic, patient_features
from longsynth.networks.rows import JointNetwork
from longsynth.seeding import child_seed, stream
from longsynth.training.dp_sgd import PrivateModule, gradient_of, set_gradient, sum_of_clipped
from longsynth.training.rounds import density_weights, log_prob_of

N_DRAWN = 512
CRITIC_STEPS = 15
GENERATOR_STEPS = 15
GENERATOR_BATCH = 128
_PENALTY = 1.0


class PrivateRounds(PrivateModule):
    """Lightning module of the private adversarial rounds; one training step is one round.

    Parameters
    ----------
    network : JointNetwork
        The generator; changed in place. It never sees a patient.
    draw : callable
        Returns so many synthetic patients of the generator for a seed.
    seed : int
        Of the generator's draws, which are no secret.
    *told
        As :class:`~longsynth.training.dp_sgd.PrivateModule`; every one of the ``n_steps`` is a step of the critic.
    """

    def __init__(self, network: JointNetwork, draw: Callable[[int, int], PatientBatch], seed: int, *told: Any) -> None:
        super().__init__(*told)
        self.network, self.draw, self.seed = network, draw, seed
        features = self._features(draw(2, seed))
        self.critic = PooledCritic(features.static.shape[-1], features.visits.shape[-1])

    def train_dataloader(self) -> Any:
        """One round an epoch."""
        return range(1)

    def configure_optimizers(self) -> Any:
        """One optimiser for the critic, one for the generator."""
        critic = torch.optim.Adam(self.critic.parameters(), 2e-3, betas=(0.5, 0.9))
        return [critic, torch.optim.Adam(self.network.parameters(), 5e-3)]

    def training_step(self, *_: Any) -> None:
        """Noisy steps of the critic, then free ones of the generator."""
        optimizers: Any = self.optimizers()
        for_critic, for_generator = optimizers
        drawn = self._own_patients(child_seed(self.seed, "draw", self.current_epoch))
        fake = self._features(drawn)
        for step in range(CRITIC_STEPS):
            self._critic_step(for_critic, fake, step)
        with torch.no_grad():
            scores = self.critic(fake)
        self._generator_steps(for_generator, drawn, density_weights(scores))

    def _own_patients(self, seed: int) -> PatientBatch:
        """Patients of the generator, on the module's device; drawn on the CPU, as by any fitted generator."""
        self.network.cpu()
        drawn = self.draw(N_DRAWN, seed)
        self.network.to(self.device)
        return drawn.to(self.device)

    def _critic_step(self, optimizer: Any, fake: PatientFeatures, step: int) -> None:
        """One noisy step of the critic.

        Who is paired with whom, and where between the two, is secret: by a seed, one patient more would shift the pairs
        of all that follow, and move the sum by more than its bound.
        """
        secret = self.shared(lambda: self.randomness.uniform(2 * len(self.cut)).reshape(2, -1))

        def of_batch(batch: PatientBatch, rows: np.ndarray) -> Tensor:
            place, mix = torch.from_numpy(secret[:, rows]).to(self.device)
            paired = fake.take((place * len(fake.weight)).long())
            gradients = critic_gradients(self.critic, self._features(batch), paired, mix.float())
            return sum_of_clipped(gradients, self.plan.max_grad_norm)

        of_real = self.noisy_mean(self.critic, of_batch)
        rng = stream(self.seed, "fake", self.current_epoch, step)
        some = fake.take(torch.from_numpy(rng.integers(len(fake.weight), size=GENERATOR_BATCH)))
        loss = functional.softplus(self.critic(some)).mean()
        set_gradient(self.critic, of_real + gradient_of(loss, self.critic))
        optimizer.step()

    def _generator_steps(self, optimizer: Any, drawn: PatientBatch, weights: Tensor) -> None:
        rng = stream(self.seed, "own", self.current_epoch)
        scale = max(2.0 * float(drawn.visit.sum(1).float().mean()), 1.0)
        for _step in range(GENERATOR_STEPS):
            chosen = torch.from_numpy(rng.integers(len(drawn), size=GENERATOR_BATCH))
            loss = -(weights[chosen] * log_prob_of(self.network.children(), drawn.take(chosen))).mean() / scale
            set_gradient(self.network, gradient_of(loss, self.network))
            optimizer.step()

    def _features(self, batch: PatientBatch) -> PatientFeatures:
        with torch.no_grad():
            return patient_features(self.network.static, self.network.sequence, batch)


def critic_gradients(critic: PooledCritic, real: PatientFeatures, fake: PatientFeatures, mix: Tensor) -> Tensor:
    """Gradients (N, P) of the critic's loss on each real patient, penalty with the paired synthetic one included.

    Parameters
    ----------
    critic : PooledCritic
        With P parameters.
    real, fake : PatientFeatures
        N patients each.
    mix : Tensor, shape (N,)
        Where between the two the penalty is taken, in [0, 1].
    """
    both = real.join(fake)
    pairs = [torch.stack(part.chunk(2), 1) for part in (both.static, both.visits, both.weight)]
    parameters = {name: value.detach() for name, value in critic.named_parameters()}

    def loss(values: dict[str, Tensor], static: Tensor, visits: Tensor, weight: Tensor, share: Tensor) -> Tensor:
        def score(static: Tensor, visits: Tensor, weight: Tensor) -> Tensor:
            patient = PatientFeatures(static.unsqueeze(0), visits.unsqueeze(0), weight.unsqueeze(0))
            return functional_call(critic, values, (patient,))[0]

        between = [share * part[0] + (1 - share) * part[1] for part in (static, visits, weight)]
        slopes: Any = grad(score, argnums=(0, 1))
        length = (sum(slope.square().sum() for slope in slopes(*between)) + 1e-12).sqrt()
        return functional.softplus(-score(static[0], visits[0], weight[0])) + _PENALTY * (length - 1).square()

    per_patient: Any = vmap(grad(loss), in_dims=(None, 0, 0, 0, 0))
    gradients = per_patient(parameters, *pairs, mix)
    return torch.cat([gradients[name].flatten(1) for name in parameters], 1)
