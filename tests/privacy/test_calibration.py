"""Fresh real patients raise no more alarms than they may: 2.5 % of splits, within binomial limits."""

from collections import Counter

import pytest
from attack_worlds import is_flagged
from metric_worlds import world
from scipy.stats import binom

from longsynth import load_pbc, split
from longsynth.privacy.attacks.inference import inference
from longsynth.privacy.attacks.linkage import linkage
from longsynth.privacy.attacks.singling_out import singling_out
from longsynth.privacy.base import Knowledge, prepare_release

NOMINAL = 0.025
KNOWN = Knowledge(k=2, static=None)


def alarms(attack, cohort, n_splits):
    """How often each part of an attack is flagged when the release is a third of the real patients."""
    counts = Counter()
    for seed in range(n_splits):
        fresh, rest = split(cohort, holdout=2 / 3, seed=1000 + seed)
        members, control = split(rest, holdout=0.45, seed=seed)
        for outcome in attack(prepare_release(fresh, members, control, n_targets=150), KNOWN, seed):
            counts[outcome.part] += outcome.reason is None and is_flagged(outcome)
    return counts


def check(counts, n_splits):
    """Each part within its binomial limit, at a chance of 1 in 1,000 over all of them."""
    limit = binom.isf(0.001 / len(counts), n_splits, NOMINAL)
    assert max(counts.values()) <= limit, counts


@pytest.mark.parametrize("attack", [linkage, singling_out])
def test_few_splits_raise_no_alarm(attack):
    check(alarms(attack, world(240, 31), 12), 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("attack", [linkage, singling_out, inference])
@pytest.mark.parametrize("cohort", [world(450, 31), load_pbc()], ids=["world", "pbc"])
def test_alarms_are_as_rare_as_stated(attack, cohort):
    check(alarms(attack, cohort, 200), 200)
