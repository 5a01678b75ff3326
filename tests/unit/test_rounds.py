"""Batches and critic features joined, as the adversarial rounds do, say what they say apart."""

import numpy as np
import torch

import longsynth as ls
from longsynth.encoding import CohortEncoder
from longsynth.networks.critic import Critic, PatientFeatures
from longsynth.training.batches import make_batch


def features(n, length, seed):
    """N patients of 1 to ``length`` visits with 3 visit features and 2 static ones."""
    rng = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, length, (n,), generator=rng)
    weight = (torch.arange(length) < counts[:, None]).float()
    visits = torch.randn(n, length, 3, generator=rng) * weight.unsqueeze(-1)
    return PatientFeatures(torch.randn(n, 2, generator=rng), visits, weight)


def test_the_critic_scores_a_patient_alike_whoever_is_beside():
    critic, one, other = Critic(2, 3), features(5, 9, 0), features(7, 4, 1)
    together = critic(one.join(other))
    torch.testing.assert_close(together, torch.cat([critic(one), critic(other)]))
    some = torch.tensor([3, 0])
    torch.testing.assert_close(critic(one.take(some)), critic(one)[some])
    assert one.take(some).visits.shape[1] == int(one.weight[some].sum(1).max())


def test_joined_batches_are_those_of_all_their_patients():
    cohort = ls.simulate_cohort(30, seed=0)
    encoder = CohortEncoder().fit(cohort)
    encoded = encoder.transform(cohort)
    parts = [make_batch(encoded, encoder.time_scale, rows) for rows in (np.arange(4), np.arange(4, 30))]
    joined, whole = parts[0].join(parts[1]), make_batch(encoded, encoder.time_scale, np.arange(30))
    for name in whole.__dataclass_fields__:
        one, other = getattr(joined, name), getattr(whole, name)
        torch.testing.assert_close(one, other, equal_nan=True)
