"""What every registered attack does: one result for one seed, whatever the ids; a reason where nothing can be said."""

from functools import cache

import numpy as np
import pytest
from attack_worlds import CONTROL, FRESH, MEMBERS, copies, release
from awkward import awkward_cohorts
from metric_worlds import relabelled

import longsynth.privacy.attacks  # noqa: F401  registers them
from longsynth.exceptions import ConfigError, NotComputableError
from longsynth.privacy.base import ATTACKS, PRESETS, SIDES, Knowledge, prepare_release, preset

AWKWARD = awkward_cohorts()
each_attack = pytest.mark.parametrize("name", [name for name in ATTACKS if not ATTACKS[name].is_slow])
KNOWLEDGE = Knowledge(k=2, static=("arm", "age"), time="jittered", jitter=3, value_noise=0.02)
FEW = 40


@cache
def outcomes(name: str, shuffled: bool = False, seed: int = 0):
    cohorts = [copies(0.5), MEMBERS, CONTROL]
    if shuffled:
        cohorts = [relabelled(cohort, seed=5) for cohort in cohorts]
    return ATTACKS[name].function(release([cohorts[0], FRESH], *cohorts[1:], n_targets=FEW), KNOWLEDGE, seed)


def equal(one, other):
    assert [part.part for part in one] == [part.part for part in other]
    for first, second in zip(one, other, strict=True):
        assert (first.naive, first.direct, first.reason) == (second.naive, second.direct, second.reason)
        for side in SIDES:
            for field in ("success", "target", "draw"):
                np.testing.assert_array_equal(
                    getattr(getattr(first, side), field), getattr(getattr(second, side), field)
                )


@each_attack
def test_the_seed_decides(name):
    again = ATTACKS[name].function(release([copies(0.5), FRESH], n_targets=FEW), KNOWLEDGE, 0)
    equal(outcomes(name), again)


@each_attack
def test_ids_and_the_order_of_patients_do_not_matter(name):
    equal(outcomes(name), outcomes(name, shuffled=True))


@each_attack
def test_an_outcome_is_whole(name):
    found = outcomes(name)
    assert len({outcome.part for outcome in found}) == len(found)
    for outcome in found:
        if outcome.reason is not None:
            assert not len(outcome.members)
            continue
        for trials, real in ((outcome.members, MEMBERS), (outcome.control, CONTROL)):
            assert len(trials.success) == len(trials.target) == len(trials.draw) > 0
            assert np.isfinite(trials.success).all()
            assert set(trials.draw) <= {0, 1}
            assert trials.target.min() >= 0
            assert trials.target.max() < max(real.n_patients, 2 * MEMBERS.n_patients)
            if outcome.measure == "rate":
                assert np.isin(trials.success, (0, 1)).all()
        for rate in (outcome.naive, outcome.direct):
            assert rate is None or 0 <= rate <= 1


@each_attack
@pytest.mark.parametrize("cohort", list(AWKWARD))
def test_awkward_cohorts_give_outcomes_or_a_reason(name, cohort):
    prepared = prepare_release(AWKWARD[cohort], AWKWARD[cohort], AWKWARD[cohort])
    for attacker in PRESETS[:1] + PRESETS[-1:]:
        try:
            found = ATTACKS[name].function(prepared, preset(attacker, AWKWARD[cohort].schema), 0)
        except NotComputableError as error:
            assert str(error)
            continue
        assert any(outcome.reason is None for outcome in found)
        assert all(outcome.reason or (len(outcome.members) and len(outcome.control)) for outcome in found)


@pytest.mark.parametrize("name", ["linkage", "singling_out", "inference"])
def test_unknown_columns_are_refused(name):
    for wrong in (Knowledge(channels=("weight",)), Knowledge(static=("weight",))):
        with pytest.raises(ConfigError, match="weight"):
            ATTACKS[name].function(release(FRESH), wrong, 0)


@each_attack
def test_other_patients_than_the_targets_are_not_attacked(name):
    targets = np.array([3, 5, 8, 30, 31, 40])
    prepared = release(copies(1.0)).only(targets, targets + 1)
    try:
        found = ATTACKS[name].function(prepared, Knowledge(k=1, static=None), 0)
    except NotComputableError:
        return
    for outcome in found:
        if outcome.part != "descriptions of one patient":  # whose trials are descriptions, not patients
            assert set(outcome.members.target) <= set(targets)
            assert set(outcome.control.target) <= set(targets + 1)


def test_every_attack_has_a_criterion_and_a_title():
    for name in ATTACKS:
        assert ATTACKS[name].title
        assert ATTACKS[name].criterion in {"singling_out", "linkage", "inference", "membership", "duplicates"}
