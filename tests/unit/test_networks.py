"""The networks against what they must be: normalised, causal, and the same in training and in sampling."""

import dataclasses

import numpy as np
import pytest
import torch
from awkward import plain_schema, plain_tables

from longsynth.cohort.cohort import Cohort
from longsynth.encoding import CohortEncoder
from longsynth.generators.model import Architecture, Model
from longsynth.generators.specs import outcome_shares, usual_steps
from longsynth.networks import carried, mixture
from longsynth.networks.draw import draw_index
from longsynth.networks.gap_head import GAP, STOP
from longsynth.networks.rollout import rollout
from longsynth.networks.sequence import SequenceSize
from longsynth.training.batches import make_batch

torch.set_num_threads(1)


def fitted(backbone="recurrent", free_gaps=False):
    """A model with random weights on a small cohort, and the cohort's batch."""
    cohort = Cohort(*plain_tables(), schema=plain_schema())
    encoder = CohortEncoder(n_bins=8).fit(cohort)
    encoded = encoder.transform(cohort)
    size = SequenceSize(hidden_size=16, n_units=8, dropout=0.0, free_gaps=free_gaps)
    endings = (10.0, 20.0), (-1.0, 0.5, 2.0)
    architecture = Architecture(
        1, 8, size, backbone, outcome_shares(encoded), usual_steps(encoded), *endings, max_visits=12
    )
    model = Model(encoder, architecture, seed=0)
    for network in model.networks().values():
        network.eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    batch = make_batch(encoded, encoder.time_scale, np.arange(cohort.n_patients))
    return model, encoded, batch


def test_interval_probabilities_of_a_mixture_sum_to_one():
    parameters = torch.randn(50, mixture.N_PARAMETERS, generator=torch.Generator().manual_seed(0))
    edges = torch.tensor([-1000.0, -1.5, -0.2, 0.0, 0.7, 2.0, 1000.0])
    total = sum(mixture.interval_log_prob(parameters, *edges[i : i + 2, None].expand(2, 50)).exp() for i in range(6))
    torch.testing.assert_close(total, torch.ones(50), rtol=0, atol=1e-4)


def test_truncated_scores_stay_inside_and_follow_the_interval_probabilities():
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(1, mixture.N_PARAMETERS, generator=generator).expand(40_000, -1)
    low, high = torch.full((40_000,), -0.5), torch.full((40_000,), 1.2)
    scores = mixture.sample_scores(parameters, low, high, generator)
    assert scores.min() >= -0.5
    assert scores.max() <= 1.2
    middle = torch.tensor([0.3])
    part = mixture.interval_log_prob(parameters[:1], low[:1], middle).exp()
    whole = mixture.interval_log_prob(parameters[:1], low[:1], high[:1]).exp()
    assert (scores < 0.3).float().mean().item() == pytest.approx((part / whole).item(), abs=0.01)


def test_drawn_columns_follow_their_weights_and_never_one_without_weight():
    weights = torch.tensor([[0.0, 2.0, 0.0, 1.0, 0.0]]).expand(30_000, -1)
    drawn = draw_index(weights, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {1, 3}
    assert (drawn == 1).float().mean().item() == pytest.approx(2 / 3, abs=0.01)


def test_a_masked_head_is_normalised_over_every_code():
    model, _, batch = fitted()
    head = model.static[0].head
    codes = batch.static_codes[:1]
    item = 0
    n_codes = head.items[item].n_classes + int(head.items[item].can_be_missing)
    rows = codes.repeat(n_codes, 1)
    rows[:, item] = torch.arange(n_codes)
    log_prob = head.log_prob(torch.ones(n_codes, 1), rows)[:, item]
    assert log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-4)


def test_an_item_depends_on_the_items_before_it_and_on_no_other():
    model, _, batch = fitted()
    head = model.sequence[0].channels
    context = torch.randn(1, head.context.in_features, generator=torch.Generator().manual_seed(2))
    codes = batch.codes[:1, 0]
    for changed in range(len(head.items)):
        other = codes.clone()
        other[:, changed] = (codes[:, changed] + 1) % head.items[changed].n_classes
        before, after = (head.parameters_of(context, rows) for rows in (codes, other))
        differs = (before - after).abs().amax((0, 2)) > 1e-7
        assert not differs[: changed + 1].any()
        assert differs[changed + 1 :].all()


@pytest.mark.parametrize("backbone", ["recurrent", "transformer"])
def test_the_past_does_not_depend_on_the_future(backbone):
    model, _, batch = fitted(backbone)
    network = model.sequence[0]
    patient = int(batch.visit.sum(1).argmax())
    one = batch.take(torch.tensor([patient]))
    changed = dataclasses.replace(one, codes=one.codes.clone())
    changed.codes[:, -1] = (one.codes[:, -1] + 1) % network.table.n_classes
    along = network.static_features(one.static_codes).unsqueeze(1).expand(-1, one.visit.shape[1], -1)
    hidden = []
    for some in (one, changed):
        gap = torch.diff(some.time, dim=1, prepend=some.time[:, :1])
        duration = some.duration.unsqueeze(1).expand_as(some.time)
        inputs = network.visit_inputs(some.codes, some.time, gap, duration, along)
        hidden.append(network.backbone(along[:, 0], inputs))
    torch.testing.assert_close(hidden[0][:, :-1], hidden[1][:, :-1])
    assert (hidden[0][:, -1] - hidden[1][:, -1]).abs().max() > 1e-4


@pytest.mark.parametrize("backbone", ["recurrent", "transformer"])
def test_sampling_steps_see_what_training_sees(backbone):
    """Feed a batch visit by visit: hidden states and carried statistics equal those of the parallel pass."""
    model, _, batch = fitted(backbone)
    network = model.sequence[0]
    rows = (batch.visit.sum(1) == batch.visit.shape[1]).nonzero().squeeze(1)
    full = batch.take(rows)
    static = network.static_features(full.static_codes)
    gap = torch.diff(full.time, dim=1, prepend=full.time[:, :1])
    duration = full.duration.unsqueeze(1).expand_as(full.time)
    along = static.unsqueeze(1).expand(-1, full.visit.shape[1], -1)
    inputs = network.visit_inputs(full.codes, full.time, gap, duration, along)
    hidden = network.backbone(static, inputs)
    statistics = carried.carried_over(network.table, full.codes, full.time, network.times.typical_gap)
    step_hidden, memory = network.backbone.start(static)
    torch.testing.assert_close(step_hidden, hidden[:, 0], rtol=1e-4, atol=1e-5)
    state = carried.Carried.start(network.table, len(rows), static.device)
    for visit in range(full.visit.shape[1]):
        step_hidden, memory = network.backbone.step(inputs[:, visit], memory)
        state.add(network.table, full.codes[:, visit], full.time[:, visit].double())
        torch.testing.assert_close(step_hidden, hidden[:, visit + 1], rtol=1e-4, atol=1e-5)
        carried_now = state.statistics(network.table, full.time[:, visit].double(), network.times.typical_gap)
        torch.testing.assert_close(carried_now, statistics[:, visit], rtol=1e-4, atol=1e-5)


def test_log_probabilities_do_not_depend_on_who_else_is_in_the_batch():
    model, encoded, batch = fitted()
    network = model.sequence[0]
    together = network.log_prob(batch).total
    for patient in range(len(batch)):
        alone = make_batch(encoded, model.encoder.time_scale, [patient])
        torch.testing.assert_close(network.log_prob(alone).total[0], together[patient], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("free_gaps", [False, True])
def test_no_gap_reaches_past_the_end_of_follow_up(free_gaps):
    model, _, _ = fitted(free_gaps=free_gaps)
    gaps = model.sequence[0].gaps
    context = torch.randn(4000, gaps.hidden[0].in_features, generator=torch.Generator().manual_seed(3))
    steps_left = torch.arange(4000).float() % 100
    outcome, _, _, steps = gaps.sample(context, steps_left, steps_left > 0, torch.Generator().manual_seed(4))
    assert (steps[outcome == GAP] <= steps_left[outcome == GAP]).all()
    assert (steps >= 1).all()
    smallest = gaps.knots[0, 0]
    assert (outcome[steps_left < smallest] == STOP).all()


@pytest.mark.parametrize("free_gaps", [False, True])
def test_the_gap_head_is_normalised_over_outcomes_and_allowed_gaps(free_gaps):
    model, _, _ = fitted(free_gaps=free_gaps)
    gaps = model.sequence[0].gaps
    context = torch.randn(1, gaps.hidden[0].in_features, generator=torch.Generator().manual_seed(5))
    for steps_left in (0.0, 10.0, 1e6, float("inf")):
        left, has_left = torch.tensor([steps_left]), torch.tensor([steps_left > 0])
        total = 0.0
        for outcome in range(3):
            n_gaps = gaps.n_classes if outcome == GAP else 1
            n_gaps = min(n_gaps, int(gaps.highest_class(left)) + 1) if outcome == GAP else 1
            for gap in range(n_gaps):
                chosen = torch.tensor([outcome]), torch.tensor([gap])
                total += gaps.log_prob(context, *chosen, left, has_left)[0].exp().item()
        assert total == pytest.approx(1.0, abs=1e-4)


def test_a_rollout_ends_and_keeps_its_laws():
    model, _, _ = fitted()
    start, duration = torch.zeros(300, dtype=torch.float64), torch.linspace(1, 400, 300, dtype=torch.float64)
    start[::10] = torch.nan
    codes = model.static[0].sample(300, torch.Generator().manual_seed(0))
    visits = rollout(model.sequence[0], codes, start, duration, [], 12, torch.Generator().manual_seed(1))
    counts = torch.bincount(visits.owner, minlength=300)
    assert (counts[::10] == 0).all()
    assert counts.max() <= 12
    same = visits.owner[1:] == visits.owner[:-1]
    assert (visits.steps[1:][same] > visits.steps[:-1][same]).all()
    assert (visits.steps <= duration[visits.owner] + 1).all()
