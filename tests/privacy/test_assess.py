"""What an assessment says when there is nothing to conclude, and how its results are kept."""

import json
from dataclasses import replace

import polars as pl
import pytest
from attack_worlds import CONTROL, FRESH, MEMBERS
from awkward import awkward_cohorts
from metric_worlds import SCHEMA, relabelled, with_visits, world

import longsynth as ls
from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import CohortError, ConfigError
from longsynth.privacy import base
from longsynth.privacy.judge import adjusted
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.results import COLUMNS, AttackResult, PrivacyAssessment
from longsynth.schema.types import Schema

QUICK = {"attacks": ("duplicates",), "knowledge": "lab_feed"}


def test_without_holdout_nothing_is_assessed():
    found = ls.assess_privacy(relabelled(MEMBERS), MEMBERS)
    assert {one.state for one in found.results} == {"not assessed"}
    assert {one.attack for one in found.results} >= {"linkage", "singling_out", "inference", "membership", "duplicates"}
    assert all("no holdout" in one.reason for one in found.results)
    assert found.frame()["risk"].null_count() == found.frame()["attack_rate"].null_count() == len(found.results)


def test_a_holdout_of_train_patients_is_refused_by_id_and_by_data():
    with pytest.raises(CohortError, match="id of a train patient"):
        ls.assess_privacy(FRESH, MEMBERS, MEMBERS, **QUICK)
    with pytest.raises(CohortError, match="under another id"):
        ls.assess_privacy(FRESH, MEMBERS, relabelled(MEMBERS), **QUICK)


def test_synthetic_ids_of_real_patients_are_noted_and_not_used():
    theirs = ls.assess_privacy(MEMBERS, MEMBERS, CONTROL, **QUICK)
    others = ls.assess_privacy(relabelled(MEMBERS), MEMBERS, CONTROL, **QUICK)
    assert theirs.results == others.results
    assert any("with the id of a real patient" in note for note in theirs.notes)
    assert not any("with the id of a real patient" in note for note in others.notes)


def test_twenty_patients_are_too_few():
    few = [cohort.select(cohort.static["patient_id"][:10]) for cohort in (FRESH, MEMBERS, CONTROL)]
    found = ls.assess_privacy(*few, knowledge="lab_feed")
    judged = [one for one in found.results if one.measure != "closeness"]
    assert {one.state for one in judged} == {"not assessed"}
    assert any("too few patients" in one.reason for one in judged)


def test_results_hidden_for_lack_of_power_count_in_the_adjustment():
    """Each could have been flagged: a small p-value among so many is not the same as alone."""
    about = AttackResult("a", "linkage", "", "", "", "", "all", risk=0.5, minimum_detectable_risk=0.6, p_value=0.001)
    alone = adjusted([about])
    among = adjusted([about, *(replace(about, p_value=0.5) for _ in range(99))])
    assert alone[0].flagged
    assert {(one.state, one.flagged) for one in among} == {("not assessed", None)}
    assert adjusted(among) == among
    assert all("too few patients" in one.reason for one in among)


def test_an_attack_with_many_results_does_not_drown_the_others():
    about = AttackResult("a", "linkage", "", "", "", "", "all", risk=0.1, minimum_detectable_risk=0.1, p_value=0.01)
    many = [replace(about, attack="b", p_value=0.5) for _ in range(99)]
    first = adjusted([about, *many])[0]
    assert first.flagged
    assert first.p_adjusted == pytest.approx(2 * 0.01)


def test_twenty_fresh_patients_raise_no_alarm():
    for seed in range(5):
        few = [world(20, 100 + 3 * seed + part) for part in range(3)]
        assert not any(one.flagged for one in ls.assess_privacy(*few, seed=seed).results)


def test_a_copy_of_few_patients_is_still_shown():
    members, control = (cohort.select(cohort.static["patient_id"][:30]) for cohort in (MEMBERS, CONTROL))
    found = ls.assess_privacy(relabelled(members), members, control, **QUICK)
    assert any(one.flagged for one in found.results)


def test_one_channel():
    channels = {"marker": SCHEMA.channels["marker"]}
    schema = Schema(**{**SCHEMA.model_dump(), "channels": channels, "static": {}, "terminal_event": None})
    cohorts = [Cohort(one.static, one.visits, schema=schema) for one in (relabelled(MEMBERS), MEMBERS, CONTROL)]
    found = ls.assess_privacy(*cohorts, knowledge="lab_feed")
    assert any(one.flagged for one in found.results if one.attack == "duplicates")
    groups = [one for one in found.results if one.part.startswith("two groups of channels") and one.subset == "all"]
    assert all("fewer than two channels" in one.reason for one in groups)


def test_channels_never_observed():
    names = list(SCHEMA.channels)
    empty = {name: pl.lit(None, MEMBERS.visits.schema[name]) for name in names}
    cohorts = [with_visits(one, one.visits.with_columns(**empty)) for one in (relabelled(FRESH), MEMBERS, CONTROL)]
    found = ls.assess_privacy(*cohorts, attacks=("duplicates", "linkage", "membership"), knowledge="lab_feed")
    windows = [one for one in found.results if one.attack == "linkage" or one.part == "3 visits"]
    assert {one.state for one in windows} == {"not assessed"}
    assert all(one.reason for one in windows)


@pytest.mark.parametrize("name", sorted(awkward_cohorts()))
def test_awkward_cohorts_end_in_results_or_reasons(name):
    cohort = awkward_cohorts()[name]
    if cohort.n_patients < 3:
        return
    ids = cohort.static[cohort.schema.patient_id].to_list()
    parts = [cohort.select(ids[part::3]) for part in range(3)]
    found = ls.assess_privacy(*parts, attacks=("closest", "duplicates", "membership"))
    assert all((one.risk is None) == (one.reason is not None) for one in found.results)
    assert not any(one.state == "assessed" for one in found.results)


def test_arguments_are_checked():
    with pytest.raises(ConfigError, match="no attack called 'nothing'"):
        ls.assess_privacy(FRESH, MEMBERS, CONTROL, attacks=["nothing"])
    with pytest.raises(ConfigError, match="no attacker called 'nobody'"):
        ls.assess_privacy(FRESH, MEMBERS, CONTROL, knowledge="nobody")
    with pytest.raises(ConfigError, match="same name"):
        ls.assess_privacy(FRESH, MEMBERS, CONTROL, knowledge=[Knowledge(k=1), Knowledge(k=2)])
    with pytest.raises(ConfigError, match="no synthetic cohort"):
        ls.assess_privacy([], MEMBERS, CONTROL)
    with pytest.raises(ConfigError, match="channel that the schema lacks"):
        ls.assess_privacy(FRESH, MEMBERS, CONTROL, knowledge=Knowledge(channels=("elsewhere",)))


def test_results_are_kept_whole():
    found = ls.assess_privacy(relabelled(MEMBERS), MEMBERS, CONTROL, attacks=("closest", "duplicates"), seed=3)
    frame = found.frame()
    assert frame.columns == list(COLUMNS)
    assert frame["seed"].unique().to_list() == [3]
    assert frame.height == len(found.results)
    assert PrivacyAssessment.from_json(found.to_json()) == found
    assert json.loads(found.to_json())["format"] == 1
    with pytest.raises(ConfigError, match="no assessment"):
        PrivacyAssessment.from_json("{}")
    html = found._repr_html_()
    assert "a leak is shown" in html
    assert "full knows: 3 consecutive visits" in html
    assert "anonym" not in (html + found.to_json()).lower()


def test_a_result_has_a_risk_or_a_reason():
    about = {"attack": "a", "criterion": "linkage", "title": "", "part": "", "knowledge": "", "known": "", "subset": ""}
    with pytest.raises(ConfigError, match="reason"):
        AttackResult(**about)
    with pytest.raises(ConfigError, match="reason"):
        AttackResult(**about, risk=0.0, state="not assessed", reason="no holdout")


def test_rare_levels_are_a_group_of_their_own():
    def with_rare(cohort: Cohort) -> Cohort:
        rare = pl.int_range(pl.len()) % 25 == 0
        site = pl.when(rare).then(pl.lit("west")).otherwise(pl.lit("north"))
        return Cohort(cohort.static.with_columns(site=site), cohort.visits, schema=SCHEMA)

    cohorts = [with_rare(one) for one in (relabelled(MEMBERS), MEMBERS, world(150, seed=9))]
    found = ls.assess_privacy(*cohorts, **QUICK)
    rare = [one for one in found.results if one.subset == "rare"]
    assert rare
    assert {one.n_members for one in rare} <= {6, 5, 4, 3, 2, 1}


def test_fewer_targets_where_there_are_many_visits_and_the_result_says_so(monkeypatch):
    assert base.targets_for([FRESH]) == base.DEFAULT_TARGETS
    monkeypatch.setattr(base, "MOST_COMPARED", 20 * FRESH.n_visits)
    monkeypatch.setattr(base, "FEWEST_TARGETS", 10)
    assert base.targets_for([FRESH, MEMBERS]) <= 20
    found = ls.assess_privacy(FRESH, MEMBERS, CONTROL, attacks=["linkage"], knowledge="lab_feed")
    assert found.provenance.n_targets == 20
    assert any("at most 20 patients a side" in note for note in found.notes)
    assert {one.n_members for one in found.results if one.subset == "all" and one.n_members} == {20}
