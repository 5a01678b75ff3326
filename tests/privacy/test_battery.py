"""Releases whose leak is known: copies are found by the attacks that claim to see them, a fresh draw by none."""

from collections import Counter

import polars as pl
import pytest
from attack_worlds import CONTROL, FRESH, MEMBERS, N, copies
from metric_worlds import SCHEMA, relabelled, with_visits, world
from scipy.stats import binom

from longsynth.cohort.cohort import Cohort
from longsynth.privacy.assess import assess_privacy
from longsynth.privacy.results import AttackResult, PrivacyAssessment

WHOLE = ("closest", "duplicates", "membership")


def assess(synthetic, *, attacks=WHOLE, members=MEMBERS, control=CONTROL, seed=0) -> PrivacyAssessment:
    return assess_privacy(synthetic, members, control, attacks=attacks, knowledge="lab_feed", seed=seed)


def flagged(assessment: PrivacyAssessment, subset: str = "all") -> set[tuple[str, str]]:
    return {(one.attack, one.part) for one in assessment.results if one.flagged and one.subset == subset}


def the(assessment: PrivacyAssessment, attack: str, part: str = "", subset: str = "all") -> AttackResult:
    (found,) = [one for one in assessment.results if (one.attack, one.part, one.subset) == (attack, part, subset)]
    return found


@pytest.fixture(scope="module")
def verbatim() -> PrivacyAssessment:
    return assess(copies(), attacks=(*WHOLE, "linkage"))


@pytest.fixture(scope="module")
def ladder() -> dict[float, PrivacyAssessment]:
    """By the share of members mixed into fresh patients word for word."""
    return {share: assess(copies(share)) for share in (0.0, 0.1, 0.5)}


@pytest.fixture(scope="module")
def noisy() -> dict[float, PrivacyAssessment]:
    """By the noise on copies of all members, as a share of the range."""
    return {noise: assess(copies(noise=noise), attacks=("closest", "membership")) for noise in (0.01, 0.05, 0.4)}


def test_members_word_for_word_are_found_by_every_attack(verbatim):
    found = flagged(verbatim)
    assert {attack for attack, _ in found} == {*WHOLE, "linkage"}
    for attack, part in (("duplicates", "3 visits"), ("duplicates", "whole record"), ("closest", "")):
        assert the(verbatim, attack, part).risk == 1
    for part in ("distance", "distance against a reference", "sequence likelihood"):
        assert the(verbatim, "membership", part).tpr == the(verbatim, "membership", part).auc == 1
    assert verbatim.diagnostics["dcr_share"] == 1
    assert {attack for attack, _ in flagged(verbatim, "isolated")} >= set(WHOLE)


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_noise_does_not_hide_copies_from_those_who_look_at_distances(noisy, noise):
    found = flagged(noisy[noise])
    assert ("closest", "") in found
    assert {("membership", part) for part in ("distance", "distance against a reference")} <= found


def test_one_copy_in_ten_is_found(ladder):
    found = flagged(ladder[0.1])
    assert {("duplicates", "whole record"), ("closest", ""), ("membership", "distance against a reference")} <= found
    assert the(ladder[0.1], "duplicates", "whole record").risk == pytest.approx(0.1)
    assert the(ladder[0.1], "membership", "distance").auc < 0.65  # an average does not see what the top does
    assert ladder[0.1].diagnostics["dcr_share"] < 0.65


def test_a_larger_dose_is_a_larger_risk(ladder, verbatim, noisy):
    doses = [*(ladder[share] for share in (0.0, 0.1, 0.5)), verbatim]
    for attack, part in (("duplicates", "whole record"), ("membership", "distance"), ("closest", "")):
        risks = [the(one, attack, part).risk for one in doses]
        assert risks == sorted(risks)
        assert risks[-1] > risks[1] > risks[0]
    areas = [the(one, "membership", "distance").auc for one in (verbatim, *(noisy[noise] for noise in (0.05, 0.4)))]
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] < 0.9


def test_a_fresh_draw_is_flagged_by_none(ladder):
    assert not any(one.flagged for one in ladder[0.0].results)


def test_one_outlier_copied_is_seen_among_the_worst_cases():
    """One member far from all others stands in the release, a little off; averages over members cannot tell."""
    outlier = MEMBERS.static["patient_id"][0]
    far = (
        pl.when(pl.col("patient_id") == outlier).then(pl.col("marker", "echo") + 9).otherwise(pl.col("marker", "echo"))
    )
    members = with_visits(MEMBERS, MEMBERS.visits.with_columns(far))
    copied = members.select([outlier])
    moved = with_visits(copied, copied.visits.with_columns(pl.col("marker", "echo") + 0.05))
    tables = (pl.concat([getattr(one, table) for one in (FRESH, moved)]) for table in ("static", "visits"))
    found = assess(
        Cohort(*tables, schema=SCHEMA, origin="synthetic"), attacks=("closest", "membership"), members=members
    )
    assert flagged(found, "isolated") == {("closest", "")}
    assert the(found, "closest", subset="isolated").risk == 1 / the(found, "closest", subset="isolated").n_members
    assert the(found, "membership", "distance").flagged is False


def test_several_draws_are_one_assessment_with_a_wider_interval():
    draws = [copies(share, seed=seed) for seed, share in enumerate((0.1, 0.3, 0.5))]
    together = the(assess(draws, attacks=("duplicates",)), "duplicates", "whole record")
    alone = the(assess(draws[1], attacks=("duplicates",)), "duplicates", "whole record")
    assert together.n_draws == 3
    assert together.risk == pytest.approx(alone.risk, abs=0.01)
    assert together.risk_hi - together.risk_lo > 2 * (alone.risk_hi - alone.risk_lo)


def test_the_seed_decides_and_neither_ids_nor_rows_nor_the_number_of_workers(monkeypatch):
    synthetic, told = copies(0.5), {"attacks": (*WHOLE, "linkage", "singling_out"), "knowledge": "relative", "seed": 1}
    first = assess_privacy(synthetic, MEMBERS, CONTROL, **told)
    monkeypatch.setattr("longsynth.privacy.assess.N_WORKERS", 1)
    assert assess_privacy(synthetic, MEMBERS, CONTROL, **told) == first
    others = [relabelled(one, seed=seed) for seed, one in enumerate((synthetic, MEMBERS))]
    renamed = (
        CONTROL.static.with_columns(pl.col("patient_id") + "x"),
        CONTROL.visits.with_columns(pl.col("patient_id") + "x"),
    )
    found = assess_privacy(*others, Cohort(*renamed, schema=SCHEMA), **told)
    assert _without_notes(found) == _without_notes(first)
    assert found.frame().equals(first.frame())


def _without_notes(assessment: PrivacyAssessment) -> tuple[object, ...]:
    return assessment.results, assessment.provenance, assessment.diagnostics


@pytest.mark.slow
def test_false_alarms_on_fresh_draws_are_as_rare_as_stated():
    """200 releases that are fresh draws: an unadjusted alarm in 2.5 % per attack, any adjusted one in 2.5 %."""
    n_releases, any_flag, alarms = 200, 0, Counter[tuple[str, str, str]]()
    for seed in range(n_releases):
        synthetic, members, control = (world(N, 1000 + 3 * seed + part) for part in range(3))
        found = assess(synthetic, attacks=(*WHOLE, "linkage"), members=members, control=control)
        any_flag += any(one.flagged for one in found.results)
        known = [one for one in found.results if one.p_value is not None]
        alarms.update((one.attack, one.part, one.subset) for one in known if one.p_value <= 0.025)
    assert any_flag <= binom.ppf(0.999, n_releases, 0.025)
    assert max(alarms.values()) <= binom.ppf(0.9999, n_releases, 0.025), alarms
