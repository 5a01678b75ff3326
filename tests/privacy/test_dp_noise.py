"""The noise of a step is one, whoever is sampled and however many processes there are; and there is enough of it."""

import numpy as np
import pytest
import torch
from private_worlds import (
    Processes,
    declared_schema,
    forget_fits,
    joint,
    made_cohort,
    model_of,
    plan_of,
    quick_private,
    scatter,
    step_sum,
    training_of,
)
from torch.nn.utils import parameters_to_vector

import longsynth as ls
from longsynth.encoding.private_counts import truncate
from longsynth.encoding.private_sizes import Sizes
from longsynth.generators import private_fit
from longsynth.generators.model import Model
from longsynth.training.batches import make_batch
from longsynth.training.dp_sgd import PrivateModule, PrivateTraining, rows_of_patients

TRAIN = made_cohort(declared_schema(), [2, 3, 1, 5, 0, 9, 4], 1)


def model_and_plan(rate: float):
    plan = plan_of(max_grad_norm=2.0, sample_rate=rate)
    model = model_of(TRAIN, Sizes(20.0, 16, 256.0), plan)
    scatter(model, 0.3)
    return model, plan


# ----------------------------------------------------------------------------------------------------------- processes


def parts_and_whole(n: int, *, aware: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over processes of what each adds up, and what one process adds up of the same sample."""
    model, plan = model_and_plan(0.6)
    beside = Processes(n)
    for rank in range(n):
        training = training_of(TRAIN, model, plan, beside=beside, rank=rank)
        if not aware:
            training._trainer.world_size, training._trainer.global_rank = 1, 0
        step_sum(training)
    return torch.stack(beside.parts).sum(0), step_sum(training_of(TRAIN, model, plan))


@pytest.mark.parametrize("n", [2, 3, 11])
def test_processes_take_disjoint_parts_of_one_sample(n):
    together, alone = parts_and_whole(n)
    assert torch.allclose(together, alone, atol=1e-4)


def test_one_sampler_on_both_processes_is_noticed():
    """Planted: processes that do not know of each other draw the same patients, who then count twice."""
    together, alone = parts_and_whole(2, aware=False)
    assert not torch.allclose(together, alone, atol=1e-4)
    assert torch.allclose(together, 2 * alone, atol=1e-4)


def test_the_noise_of_processes_is_drawn_once():
    model, plan = model_and_plan(0.6)
    beside, noises = Processes(2), []
    for rank in range(2):
        total = step_sum(training_of(TRAIN, model, plan, noise=1.5, beside=beside, rank=rank))
        noises.append(total - beside.parts[rank])
    assert torch.allclose(noises[0], noises[1], atol=1e-4)
    assert float(noises[0].std()) == pytest.approx(1.5 * plan.max_grad_norm, rel=0.1)


# --------------------------------------------------------------------------------------------------------------- scale


def noise_sd(rate: float) -> float:
    """Standard deviation of the noise in the sum of a step with noise multiplier 1.5."""
    model, plan = model_and_plan(rate)
    noisy, exact = (step_sum(training_of(TRAIN, model, plan, noise=noise)) for noise in (1.5, 0.0))
    return float((noisy - exact).std())


def test_the_noise_does_not_depend_on_who_is_sampled():
    assert noise_sd(0.0) == pytest.approx(3.0, rel=0.1)
    assert noise_sd(1.0) == pytest.approx(3.0, rel=0.1)


def test_noise_that_is_scaled_by_the_sample_is_noticed(monkeypatch):
    """Planted: noise in proportion to the patients sampled, so that an empty sample has none."""
    usual = PrivateModule.noisy_mean

    def faulty(self, *told):
        as_planned = self.noise_multiplier
        self.noise_multiplier *= self.plan.sample_rate * len(self.cut) / self.plan.expected_batch
        mean = usual(self, *told)
        self.noise_multiplier = as_planned
        return mean

    monkeypatch.setattr(PrivateModule, "noisy_mean", faulty)
    assert noise_sd(0.0) == 0.0
    assert noise_sd(1.0) != pytest.approx(3.0, rel=0.1)


# ------------------------------------------------------------------------------------------------------------- utility


def gain(noise: float, patch: pytest.MonkeyPatch) -> float:
    """Mean log-likelihood a patient that training with this noise adds to the margins."""
    quick_private(patch, n_steps=30, noise=0.05)
    forget_fits()
    usual = private_fit._charge_training
    patch.setattr(private_fit, "_charge_training", lambda *told: 0.0 * usual(*told) + noise)
    train = ls.simulate_cohort(200, seed=0)
    fitted = ls.Synthesizer(0, privacy=ls.PrivacyBudget(8, 1e-4), accelerator="cpu").fit(train)._model
    start = Model(fitted.encoder, fitted.architecture, 0)
    return log_likelihood(fitted, train) - log_likelihood(start, train)


def log_likelihood(model: Model, train: ls.Cohort) -> float:
    encoded, cut = truncate(model.encoder.transform(train), model.architecture.max_visits)
    network = joint(model)
    batch = make_batch(encoded, model.encoder.time_scale, np.arange(train.n_patients))
    rows = rows_of_patients(network, batch, torch.from_numpy(cut))
    with torch.no_grad():
        return float(torch.vmap(network)(rows).mean())


def test_noise_a_thousand_times_the_clip_destroys_what_is_learnt():
    """Were the noisy weights not the ones that are kept, nothing would be lost."""
    with pytest.MonkeyPatch.context() as patch:
        without_noise = gain(0.0, patch)
    with pytest.MonkeyPatch.context() as patch:
        assert gain(1e3, patch) < 0.1 * without_noise  # 12 nats against 0.1 either way
    assert without_noise > 5


def test_the_static_network_is_the_mean_of_the_second_half_of_its_steps(monkeypatch):
    quick_private(monkeypatch)
    seen, usual = [], PrivateTraining.training_step

    def watched(self, *told):
        usual(self, *told)
        seen.append(parameters_to_vector(self.network.static.parameters()).detach().clone())

    monkeypatch.setattr(PrivateTraining, "training_step", watched)
    synthesizer = ls.Synthesizer(privacy=ls.PrivacyBudget(epsilon=8, delta=1e-3), accelerator="cpu").fit(TRAIN)
    found = parameters_to_vector(synthesizer._model.static[0].parameters())
    assert len(seen) == 10
    assert torch.allclose(found, torch.stack(seen[5:]).mean(0), atol=1e-6)
    assert not torch.allclose(seen[0], seen[-1], atol=1e-3)
