"""Fresh real patients raise no more alarms than they may: 2.5 % of splits, within binomial limits."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from attack_worlds import is_flagged
from metric_worlds import world
from scipy.stats import binom

from longsynth import load_pbc, split
from longsynth.cohort.cohort import Cohort
from longsynth.privacy.attacks.closest import closest
from longsynth.privacy.attacks.inference import inference
from longsynth.privacy.attacks.linkage import linkage
from longsynth.privacy.attacks.singling_out import singling_out
from longsynth.privacy.base import Knowledge, prepare_release
from longsynth.privacy.rates import holm
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime

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


def stepped(n, seed):
    """One number and six coins: the nearest real patient is mostly a coin away, a fresh one may come close."""
    rng = np.random.default_rng(seed)
    ids, coins = [f"s{seed}-{i:04d}" for i in range(n)], [f"coin {i}" for i in range(6)]
    static = pl.DataFrame({"patient_id": ids} | {coin: rng.integers(0, 2, n) for coin in coins})
    visits = pl.DataFrame({"patient_id": ids, "day": 0, "marker": rng.normal(size=n)})
    schema = Schema(
        visit_time=VisitTime(column="day"),
        static={coin: StaticColumn(kind="binary", levels=(0, 1)) for coin in coins},
        channels={"marker": Channel(kind="continuous")},
    )
    return Cohort(static, visits, schema=schema)


def test_steps_between_levels_are_no_copies():
    n_flagged = 0
    for seed in range(60):
        cohorts = (stepped(150, 3 * seed + part) for part in range(3))
        found = closest(prepare_release(*cohorts), KNOWN, seed)[0]
        n_flagged += holm(found.members.success).min() <= NOMINAL
    assert n_flagged <= binom.isf(0.001, 60, NOMINAL)
