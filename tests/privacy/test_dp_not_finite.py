"""A gradient that is no number, of one patient or of all, leaves a noisy sum within its bound."""

import pytest
import torch
from private_worlds import (
    declared_schema,
    gradient_change,
    joint,
    made_cohort,
    model_of,
    plan_of,
    step_sum,
    training_of,
    within,
    without,
)

from longsynth.encoding.private_sizes import Sizes
from longsynth.training import dp_sgd


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e38])
def test_a_gradient_that_is_no_number_leaves_the_sum_within_its_bound(broken):
    train = made_cohort(declared_schema(), [2, 3, 1, 5], 1)
    plan = plan_of(max_grad_norm=1.0)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan)
    with torch.no_grad():
        next(iter(joint(model).parameters())).fill_(broken)
    assert within(gradient_change(train, 1, model, plan), 1.0)


def test_a_patient_whose_gradient_is_no_number_adds_nothing(monkeypatch):
    train = made_cohort(declared_schema(), [2, 3, 1, 5], 1)
    plan = plan_of(max_grad_norm=1.0, sample_rate=1.0)
    model = model_of(train, Sizes(20.0, 8, 256.0), plan)
    usual = dp_sgd.patient_gradients

    def one_breaks(network, rows):
        gradients = usual(network, rows)
        gradients[rows["visit"].sum(1) == 5] = float("nan")
        return gradients

    expected = step_sum(training_of(without(train, 3), model, plan))
    monkeypatch.setattr(dp_sgd, "patient_gradients", one_breaks)
    assert torch.allclose(step_sum(training_of(train, model, plan)), expected, atol=1e-5)
