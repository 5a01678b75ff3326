"""Singling out sees copies, also one copy of an outlier, and leaves fresh patients alone; descriptions are rare."""

import numpy as np
import polars as pl
import pytest
from attack_worlds import CONTROL, FRESH, MEMBERS, by_part, copies, is_flagged, rates, release, risk
from metric_worlds import with_visits, world

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import NotComputableError
from longsynth.privacy.attacks.singling_out import PARTS, _enough, _predicates, singling_out
from longsynth.privacy.base import Knowledge, prepare_release
from longsynth.privacy.predicates import all_fitting, fitting, patients_of
from longsynth.privacy.windows import all_stretches

KNOWN = Knowledge(k=2, static=("arm", "age"))


def tables(cohort):
    return cohort.static, cohort.visits


def found(synthetic, **changes):
    return by_part(singling_out(release(synthetic, **changes), KNOWN, 0))


def test_members_word_for_word_are_singled_out():
    parts = found(copies(1.0))
    assert rates(parts[PARTS[0]])[0] > 0.9
    assert rates(parts[PARTS[1]])[0] > 0.8  # descriptions come from those with two visits or more
    assert all(map(is_flagged, parts.values()))


def test_fresh_patients_are_not():
    assert not any(map(is_flagged, found(FRESH).values()))


def test_the_risk_grows_with_the_share_of_copies_and_falls_with_noise():
    shares = [found(copies(share)) for share in (0, 0.1, 0.5, 1)]
    noises = [found(copies(1.0, noise)) for noise in (0, 0.01, 0.05, 0.5)]
    for part in PARTS:
        risks = [risk(parts[part]) for parts in shares]
        assert risks[0] < risks[1] < risks[2] < risks[3]
        risks = [risk(parts[part]) for parts in noises]
        assert risks[0] >= risks[1] > risks[2] > risks[3]
    assert is_flagged(noises[2][PARTS[0]])


def test_both_sides_are_compared_at_one_size():
    """With a holdout of half the size a fresh release singles out as often in both."""
    members = world(400, 11)
    hits = [singling_out(release(world(200, 50 + i), members=members), KNOWN, i)[0] for i in range(6)]
    attack, control = (np.concatenate([getattr(one, side).success for one in hits]) for side in ("members", "control"))
    spread = np.sqrt((attack.var() + control.var()) / len(attack))
    assert abs(attack.mean() - control.mean()) < 3 * spread
    full = by_part(singling_out(release(members, members=members), KNOWN, 0))
    assert rates(full[PARTS[0]])[0] == pytest.approx(CONTROL.n_patients / 400, abs=0.1)
    assert rates(full[PARTS[1]])[0] > 0.8


def test_a_single_copy_is_described_alone():
    prepared = release(FRESH)
    row = int(np.flatnonzero(prepared.train.n_visits > 3)[0])
    copied = MEMBERS.select([MEMBERS.static["patient_id"][int(prepared.train.rows[row])]])
    made = [pl.concat(pair) for pair in zip(tables(FRESH), tables(copied), strict=True)]
    target = release(Cohort(*made, schema=FRESH.schema, origin="synthetic")).only(np.array([row]), np.array([0]))
    assert rates(by_part(singling_out(target, KNOWN, 0))[PARTS[1]]) == (1, 0)


def test_descriptions_fit_one_synthetic_patient_and_are_rare():
    synthetic = release(FRESH).coded_synthetic[0]
    stretches = all_stretches(synthetic, KNOWN.k)
    for size in (30, 1000):
        predicates = _predicates(synthetic, KNOWN, 40, size, np.random.default_rng(0))
        assert predicates
        for predicate in predicates:
            fit = fitting(synthetic, stretches, predicate.terms)
            assert patients_of(synthetic, fit).tolist() == [predicate.source]
            np.testing.assert_array_equal(fit, all_fitting(synthetic, KNOWN.k, predicate.terms))
    lengths = [
        np.mean([len(one.terms) for one in _predicates(synthetic, KNOWN, 40, size, np.random.default_rng(0))])
        for size in (30, 1000)
    ]
    assert lengths[0] < lengths[1]  # rarer ones need more conditions


def test_too_little_knowledge_gives_no_description():
    synthetic = release(FRESH).coded_synthetic[0]
    assert _enough(synthetic, 1, [], 10) == 0
    with pytest.raises(NotComputableError, match="rare enough"):
        singling_out(release(FRESH), Knowledge(k=1, channels=("sign",), time="none"), 0)


def test_a_member_copied_twice_is_still_singled_out():
    second = [table.with_columns(pl.format("again {}", "patient_id").alias("patient_id")) for table in tables(MEMBERS)]
    both = [pl.concat(pair) for pair in zip(tables(MEMBERS), second, strict=True)]
    parts = found(Cohort(*both, schema=MEMBERS.schema, origin="synthetic"))
    assert rates(parts[PARTS[1]])[0] > 0.8


def test_the_baseline_mixes_values_of_different_patients():
    parts = found(copies(1.0))
    assert parts[PARTS[0]].naive < 0.2
    assert parts[PARTS[1]].naive is None


def test_constant_values_single_out_nobody():
    flat = [
        with_visits(
            one, one.visits.with_columns(marker=0.0, echo=pl.lit(None, pl.Float64), count=1, sign=1, grade=pl.lit("a"))
        )
        for one in (FRESH, MEMBERS, CONTROL)
    ]
    with pytest.raises(NotComputableError):
        singling_out(prepare_release(*flat), Knowledge(k=2, time="none"), 0)
