"""The critic of a private fit sees patients through noisy sums alone, to which each adds one clipped gradient."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from private_worlds import (
    Processes,
    cohorts,
    declared_schema,
    entropy,
    joint,
    made_cohort,
    model_of,
    plan_of,
    within,
    without,
)

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.private_counts import truncate
from longsynth.encoding.private_sizes import Sizes
from longsynth.generators.model import Model
from longsynth.networks.critic import PatientFeatures
from longsynth.training import private_rounds
from longsynth.training.batches import make_batch
from longsynth.training.dp_sgd import sum_of_clipped
from longsynth.training.noise import SecretRandomness
from longsynth.training.private_rounds import PrivateRounds, critic_gradients


def rounds_of(cohort: Cohort, model: Model, *, secret: int = 0, **changes: float) -> PrivateRounds:
    """The private rounds of a model on a cohort in which everybody takes part, without noise."""
    encoded, cut = truncate(model.encoder.transform(cohort), model.architecture.max_visits)
    scale = model.encoder.time_scale

    def draw(n: int, seed: int) -> object:
        return make_batch(model.sample(n, seed), scale, np.arange(n))

    torch.manual_seed(0)
    plan, noise = plan_of(sample_rate=1.0, **changes), 0.0
    rounds = PrivateRounds(joint(model), draw, 0, encoded, cut, scale, plan, noise, SecretRandomness(entropy(secret)))
    rounds._trainer = Processes(1).trainer(0)
    rounds._trainer.current_epoch = 0
    return rounds


def critic_step(rounds: PrivateRounds, fake: PatientFeatures) -> torch.Tensor:
    """The gradient of one step of the critic."""
    rounds._critic_step(SimpleNamespace(step=lambda: None), fake, 0)
    return torch.cat([weights.grad.flatten() for weights in rounds.critic.parameters()])


def test_pairs_are_drawn_from_secret_randomness():
    """Planted in the past: pairs by a seed, which one patient more shifts for everybody after."""
    train = made_cohort(declared_schema(), [2, 3, 1, 5], 1)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan_of())
    fake = rounds_of(train, model)._features(rounds_of(train, model).draw(32, 0))
    one, same, other = (critic_step(rounds_of(train, model, secret=secret), fake) for secret in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_synthetic_patients_of_a_step_do_not_depend_on_how_many_real_ones_there_are(monkeypatch):
    """The loss on synthetic patients has no noise, so nothing of it may hang on the sample."""
    train = made_cohort(declared_schema(), [2, 3, 1, 5], 1)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan_of())
    monkeypatch.setattr(private_rounds, "sum_of_clipped", lambda gradients, _: torch.zeros(gradients.shape[1]))
    all_rounds = [rounds_of(cohort, model) for cohort in (train, without(train, 0))]
    fake = all_rounds[0]._features(all_rounds[0].draw(32, 0))
    first, second = (critic_step(rounds, fake) for rounds in all_rounds)
    assert torch.equal(first, second)


@settings(max_examples=10)
@given(cohorts(), st.sampled_from([0.05, 1.0]), st.sampled_from([1.0, 1e3]), st.data())
def test_one_patient_moves_the_sum_of_the_critic_by_no_more_than_the_clip(train, clip, spread, data):
    model = model_of(train, Sizes(20.0, 8, 256.0), plan_of())
    rounds = rounds_of(train, model)
    row = data.draw(st.integers(0, train.n_patients - 1))
    with torch.no_grad():
        for weights in rounds.critic.parameters():
            weights *= spread
    n = train.n_patients
    fake, mix = rounds._features(rounds.draw(n, 0)), torch.linspace(0, 1, n)
    sums = []
    for rows in (np.arange(n), np.delete(np.arange(n), row)):
        real = rounds._features(make_batch(rounds.encoded, rounds.scale, rows))
        gradients = critic_gradients(rounds.critic, real, fake.take(torch.from_numpy(rows)), mix[rows])
        sums.append(sum_of_clipped(gradients, clip))
    assert within(float((sums[0] - sums[1]).norm()), clip)


def test_gradients_of_the_critic_are_those_of_one_patient_at_a_time():
    train = made_cohort(declared_schema(), [2, 0, 9, 5], 1)
    model = model_of(train, Sizes(20.0, 16, 256.0), plan_of())
    rounds = rounds_of(train, model)
    fake, mix = rounds._features(rounds.draw(4, 0)), torch.tensor([0.1, 0.4, 0.7, 0.9])
    together = critic_gradients(
        rounds.critic, rounds._features(make_batch(rounds.encoded, rounds.scale, np.arange(4))), fake, mix
    )
    for row in range(4):
        real = rounds._features(make_batch(rounds.encoded, rounds.scale, [row]))
        alone = critic_gradients(rounds.critic, real, fake.take(torch.tensor([row])), mix[row : row + 1])
        assert torch.allclose(together[row], alone[0], rtol=1e-3, atol=1e-4)


def test_the_generator_never_sees_a_patient(monkeypatch):
    """Its steps need the critic and its own patients alone."""
    train = made_cohort(declared_schema(), [2, 3, 1, 5], 1)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan_of())
    seen: list[int] = []
    for cohort in (train, made_cohort(declared_schema(), [1, 1], 9)):
        rounds = rounds_of(cohort, model)
        drawn = rounds.draw(32, 0)
        rounds.manual_backward = lambda loss: loss.backward()
        with torch.random.fork_rng():
            optimizer = SimpleNamespace(zero_grad=rounds.network.zero_grad, step=lambda: None)
            rounds._generator_steps(optimizer, drawn, torch.ones(32))
        gradients = [p.grad.double().sum() for p in rounds.network.parameters() if p.grad is not None]
        seen.append(float(torch.stack(gradients).sum()))
    assert seen[0] == pytest.approx(seen[1])
