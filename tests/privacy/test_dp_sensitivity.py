"""One patient more or less moves each sum, before its noise, by no more than the bound that the noise is scaled to."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from private_worlds import (
    cohorts,
    declared_schema,
    gradient_change,
    joint,
    made_cohort,
    model_of,
    plan_of,
    scatter,
    step_sum,
    training_of,
    within,
    without,
    without_channels,
)
from torch.nn.utils import parameters_to_vector

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.private import cell_encoder
from longsynth.encoding.private_counts import cell_sensitivity, cell_sums, truncate
from longsynth.encoding.private_sizes import SIZE_SENSITIVITY, Sizes, read_sizes, size_sums
from longsynth.schema.types import Schema, TerminalEvent
from longsynth.training import dp_sgd
from longsynth.training.batches import make_batch
from longsynth.training.dp_sgd import micro_batches, patient_gradients, rows_of_patients

SIZES = st.builds(
    Sizes,
    st.sampled_from([1.0, 20.0, 5000.0]),
    st.sampled_from([1, 2, 4, 64]),
    st.sampled_from([1.0, 64.0, 4096.0]),
    st.sampled_from([1, 2, 32]),
)
SPREADS = st.sampled_from([0.0, 0.3, 3.0, 1e4])


# ------------------------------------------------------------------------------------------------------ noisy counts


@given(cohorts(wild=True), st.data())
def test_one_patient_moves_the_sizes_by_no_more_than_their_sensitivity(train, data):
    row = data.draw(st.integers(0, train.n_patients - 1))
    change = np.linalg.norm(size_sums(train) - size_sums(without(train, row)))
    assert change == pytest.approx(SIZE_SENSITIVITY)


@given(cohorts(wild=True), SIZES, st.data())
def test_one_patient_moves_the_cells_by_no_more_than_their_sensitivity(train, sizes, data):
    row = data.draw(st.integers(0, train.n_patients - 1))
    rest, cells = without(train, row), cell_encoder(train.schema, sizes)
    assert cells.to_json() == cell_encoder(rest.schema, sizes).to_json()
    change = cell_sums(cells, cells.transform(train), sizes)
    change -= cell_sums(cells, cells.transform(rest), sizes)
    assert within(float(np.linalg.norm(change)), cell_sensitivity(cells))


def test_the_bound_on_the_cells_is_reached_when_every_visit_is_used():
    """A bound that is never reached would mean that the sums are smaller than the ledger says."""
    train = made_cohort(declared_schema(channels={}, constraints=()), [4, 4], 0, missing=0.0)
    sizes = Sizes(2.0, 4, 64.0)
    cells = cell_encoder(train.schema, sizes)
    change = cell_sums(cells, cells.transform(train), sizes) - cell_sums(
        cells, cells.transform(without(train, 0)), sizes
    )
    assert np.linalg.norm(change) > 0.85 * cell_sensitivity(cells)


def test_sums_do_not_depend_on_the_order_of_the_patients():
    train = made_cohort(declared_schema(), [3, 0, 9, 1], 0)
    shuffled = Cohort(train.static.reverse(), train.visits.reverse(), schema=train.schema)
    sizes = Sizes(4.0, 4, 64.0)
    cells = cell_encoder(train.schema, sizes)
    assert np.array_equal(size_sums(train), size_sums(shuffled))
    assert np.allclose(*(cell_sums(cells, cells.transform(one), sizes) for one in (train, shuffled)), rtol=1e-12)


@pytest.mark.parametrize("duration", [0.0, 1e30, 1e300])
def test_a_follow_up_of_any_length_is_counted_once(duration):
    train = made_cohort(declared_schema(), [1, 2], 0)
    longer = train.static.with_columns(followup=pl.Series([duration, 1e9]))
    visits = train.visits.filter(pl.col("patient_id") != "p000")
    assert size_sums(Cohort(longer, visits, schema=train.schema)).sum() == 6


@pytest.mark.parametrize(
    ("unit", "decimals", "end"),
    [("days", 0, 20_000), ("minutes", 0, 40_000_000), ("hours", 4, 500_000.0), ("days", 6, 3650.0), ("years", 0, 90)],
)
def test_a_life_long_follow_up_is_in_range_at_any_precision(unit, decimals, end):
    event = TerminalEvent(duration="end", event="status", decimals=decimals)
    schema = Schema(time_unit=unit, terminal_event=event)
    static = pl.DataFrame({"patient_id": range(50), "end": [end] * 50, "status": [0] * 50})
    sizes = read_sizes(size_sums(Cohort(static, schema=schema)), 0.0, schema, None)
    assert end <= sizes.longest < 2 * end


# --------------------------------------------------------------------------------------------------------- gradients


@settings(max_examples=20)
@given(cohorts(), st.sampled_from([1, 2, 4, 64]), SPREADS, st.sampled_from([0.05, 1.0, 20.0]), st.data())
def test_one_patient_moves_the_clipped_sum_by_no_more_than_the_clip(train, max_visits, spread, clip, data):
    plan = plan_of(max_grad_norm=clip)
    model = model_of(train, Sizes(20.0, max_visits, 256.0), plan)
    scatter(model, spread)
    row = data.draw(st.integers(0, train.n_patients - 1))
    assert within(gradient_change(train, row, model, plan), clip)


@pytest.mark.parametrize(
    "changes",
    [{}, {"static": {}, "terminal_event": None}, {"visit_time": None, "channels": {}, "constraints": ()}],
    ids=["both", "visits", "static"],
)
def test_long_gradients_take_up_the_whole_clip(changes):
    """Noise is scaled to the clip, so that what does not reach it is lost."""
    train = made_cohort(declared_schema(), [3, 4, 5], 0, missing=0.0)
    schema = declared_schema(**changes)
    train = Cohort(train.static, train.visits if schema.visit_time else None, schema=schema)
    plan = plan_of(max_grad_norm=0.05)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan)
    scatter(model, 0.3)
    assert 0.99 < gradient_change(train, 0, model, plan) / 0.05 < 1.0001


@settings(max_examples=10)
@given(cohorts(), SPREADS)
def test_the_sum_does_not_depend_on_how_patients_are_put_together(train, spread):
    plan = plan_of(max_grad_norm=1.0, sample_rate=1.0)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan)
    scatter(model, spread)
    together = step_sum(training_of(train, model, plan))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dp_sgd, "MICRO_BATCH_VISITS", 1)
        one_by_one = step_sum(training_of(train, model, plan))
    assert torch.isfinite(together).all()
    assert torch.allclose(together, one_by_one, atol=1e-4)


def test_a_sample_of_nobody_is_a_step_of_noise_alone():
    train = made_cohort(declared_schema(), [2, 3], 1)
    plan = plan_of(max_grad_norm=2.0, sample_rate=0.0)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan)
    assert not step_sum(training_of(train, model, plan)).any()
    assert float(step_sum(training_of(train, model, plan, noise=3.0)).std()) == pytest.approx(6.0, rel=0.1)


def test_micro_batches_hold_each_patient_once_and_little_at_a_time(monkeypatch):
    monkeypatch.setattr(dp_sgd, "MICRO_BATCH_VISITS", 20)
    n_visits = np.random.default_rng(0).integers(0, 30, 50)
    rows = np.flatnonzero(np.random.default_rng(1).random(50) < 0.6)
    parts = micro_batches(rows, n_visits)
    assert sorted(np.concatenate(parts)) == list(rows)
    assert all(len(part) == 1 or len(part) * n_visits[part].max() <= 20 for part in parts)
    assert micro_batches(rows[:0], n_visits) == []


def test_a_patient_is_encoded_the_same_whoever_else_is_there():
    train = made_cohort(declared_schema(), [3, 0, 30, 1], 0)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan_of())
    rest = np.array([0, 1, 3])
    alone, _ = truncate(model.encoder.transform(without(train, 2)), 8)
    beside = truncate(model.encoder.transform(train), 8)[0].take(rest)
    for name in alone.__dataclass_fields__:
        assert np.array_equal(getattr(alone, name), getattr(beside, name), equal_nan=True), name


# ------------------------------------------------------------------------------------------------------------ oracles


@settings(max_examples=15)
@given(cohorts(), SPREADS.filter(lambda spread: spread < 10))
def test_the_log_probability_by_rows_is_that_of_the_networks(train, spread):
    model = model_of(train, Sizes(20.0, 64, 256.0), plan_of())
    scatter(model, spread)
    encoded = model.encoder.transform(train)
    seen = np.flatnonzero(encoded.n_visits > 0)
    batch = make_batch(encoded, model.encoder.time_scale, seen)
    network = joint(model)
    rows = rows_of_patients(network, batch, torch.zeros(len(seen), dtype=torch.bool))
    by_rows = torch.stack([network({name: part[i] for name, part in rows.items()}) for i in range(len(seen))])
    expected = network.static.log_prob(batch) + network.sequence.log_prob(batch).total
    assert torch.allclose(by_rows, expected, rtol=1e-4, atol=1e-3)


@settings(max_examples=10)
@given(cohorts(), SPREADS.filter(lambda spread: spread < 10))
def test_gradients_of_patients_are_those_of_batches_of_one(train, spread):
    """Plain autograd through the networks' own log-probability, one patient at a time, is the oracle."""
    model = model_of(train, Sizes(20.0, 64, 256.0), plan_of())
    scatter(model, spread)
    network, encoded = joint(model), model.encoder.transform(train)
    seen = np.flatnonzero(encoded.n_visits > 0)
    batch = make_batch(encoded, model.encoder.time_scale, seen)
    found = patient_gradients(network, rows_of_patients(network, batch, torch.zeros(len(seen), dtype=torch.bool)))
    for place, row in enumerate(seen):
        alone = make_batch(encoded, model.encoder.time_scale, [row])
        network.zero_grad()
        loss = -(network.static.log_prob(alone) + network.sequence.log_prob(alone).total).sum()
        loss.backward()
        zero = torch.zeros_like
        parts = [zero(weights) if weights.grad is None else weights.grad for weights in network.parameters()]
        expected = parameters_to_vector(parts)
        assert torch.allclose(found[place], expected, rtol=1e-3, atol=1e-3 * float(1 + expected.abs().max()))


def test_a_record_that_is_cut_short_is_not_asked_for_its_end():
    train = made_cohort(without_channels(declared_schema()), [6, 6], 3)
    model = model_of(train, Sizes(20.0, 4, 256.0), plan_of())
    encoded, cut = truncate(model.encoder.transform(train), 4)
    assert cut.all() and not encoded.ends_at_visit.any()
    batch = make_batch(encoded, model.encoder.time_scale, np.arange(2))
    rows = rows_of_patients(joint(model), batch, torch.from_numpy(cut))
    assert rows["asked"].sum(1).tolist() == [3, 3]


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_gradients_agree_with_those_of_opacus():
    """The same head, written with layers that Opacus knows: a linear layer before a softmax."""
    from opacus import GradSampleModule

    torch.manual_seed(0)
    layer, inputs, labels = torch.nn.Linear(5, 3, bias=False), torch.randn(7, 5), torch.randint(0, 3, (7,))

    class Scores(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = layer.weight

        def forward(self, rows):
            chosen = (rows["y"].unsqueeze(-1) == torch.arange(3)).float()
            return ((rows["x"] @ self.weight.T).log_softmax(-1) * chosen).sum()

    found = patient_gradients(Scores(), {"x": inputs, "y": labels})
    sampled = GradSampleModule(torch.nn.Linear(5, 3, bias=False), loss_reduction="sum")
    sampled.load_state_dict({"_module.weight": layer.weight.detach()})
    torch.nn.functional.cross_entropy(sampled(inputs), labels, reduction="sum").backward()
    assert torch.allclose(found, sampled._module.weight.grad_sample.flatten(1), atol=1e-6)


# ------------------------------------------------------------------------------------------------------------- faults


def _batch_mean(network, rows, plan):
    """Planted: a loss that is the mean over the visits of a batch, so that others' records scale one's gradient."""
    share = len(rows["visit"]) / rows["visit"].sum().clamp(min=1)
    gradients = share * patient_gradients(network, rows)
    return (plan.max_grad_norm / gradients.norm(dim=1).clamp(min=1e-12)).clamp(max=1.0) @ gradients


def _clipped_by_visit(network, rows, plan):
    """Planted: each visit's gradient is clipped, not each patient's."""
    total = torch.zeros(1)
    for visit in range(rows["visit"].shape[1]):
        here = torch.arange(rows["visit"].shape[1]) == visit
        one = rows | {"visit": rows["visit"] & here, "asked": rows["asked"] & here}
        gradients = patient_gradients(network, one)
        total = total + (plan.max_grad_norm / gradients.norm(dim=1).clamp(min=1e-12)).clamp(max=1.0) @ gradients
    return total


def _not_clipped(network, rows, plan):
    """Planted: gradients are added up as they are."""
    return patient_gradients(network, rows).sum(0)


@pytest.mark.parametrize("fault", [_batch_mean, _clipped_by_visit, _not_clipped])
def test_a_planted_fault_in_the_gradients_is_noticed(fault, monkeypatch):
    train, clip = made_cohort(declared_schema(), [30, *[1] * 11], 5, missing=0.0), 10.0
    plan = plan_of(max_grad_norm=clip)
    model = model_of(train, Sizes(20.0, 64, 256.0), plan)
    scatter(model, 1.0)
    assert within(gradient_change(train, 0, model, plan), clip)
    monkeypatch.setattr(dp_sgd, "clipped_sum", fault)
    assert not within(gradient_change(train, 0, model, plan), clip)


def test_a_bound_on_visits_that_is_read_off_the_data_is_noticed():
    """Planted: with the longest record in place of a declared bound, one patient rescales everybody's counts."""
    train = made_cohort(declared_schema(), [30, *[2] * 20], 5)
    cells = cell_encoder(train.schema, Sizes(20.0, 64, 256.0))

    def sums(cohort: Cohort) -> np.ndarray:
        encoded = cells.transform(cohort)
        return cell_sums(cells, encoded, Sizes(20.0, int(encoded.n_visits.max()), 256.0))

    change = float(np.linalg.norm(sums(train) - sums(without(train, 0))))
    assert not within(change, cell_sensitivity(cells))


def test_a_level_set_that_is_read_off_the_data_is_noticed(monkeypatch):
    """Planted: levels as they occur make the shape of the sums tell who is there."""
    train = made_cohort(declared_schema(), [3] * 6, 5, missing=0.0)
    alone = pl.when(pl.col("patient_id") == "p000").then(pl.lit("severe")).otherwise(pl.lit("mild"))
    visits = train.visits.with_columns(grade=alone)
    train, sizes = Cohort(train.static, visits, schema=train.schema), Sizes(20.0, 4, 256.0)

    def observed(cohort: Cohort) -> Cohort:
        levels = tuple(sorted(cohort.visits["grade"].unique().to_list()))
        grade = cohort.schema.channels["grade"].model_copy(update={"levels": levels})
        schema = cohort.schema.model_copy(update={"channels": cohort.schema.channels | {"grade": grade}})
        return Cohort(cohort.static, cohort.visits, schema=schema)

    def cells_of(cohort: Cohort) -> object:
        return cell_encoder(cohort.schema, sizes).to_json()

    assert cells_of(train) == cells_of(without(train, 0))
    assert cells_of(observed(train)) != cells_of(observed(without(train, 0)))
