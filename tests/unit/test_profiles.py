"""Profiles and verdicts: the interval decides, four states, nothing averaged, every override said."""

from dataclasses import replace

import battery
import numpy as np
import polars as pl
import pytest

from longsynth.cohort.simulate import SimulationTruth
from longsynth.evaluation.evaluate import evaluate_all
from longsynth.evaluation.results import Evaluation, MetricResult, Provenance
from longsynth.exceptions import ConfigError
from longsynth.report.profiles import PROFILES, Profile, judge, load_profile

RESULT = MetricResult(
    "marginal", "cohort", "ks", "KS", "", "", 0.0, "higher", None, 0.20, 0.15, 0.25, 0.10, 0.05, 0.12, 0.02, 5.0, True,
    100, 79, 1,
)  # fmt: skip
MADE = Provenance(100, 200, 100, None, ("ks",), (), ("visits", "terminal event"), 0, "0.1.0")


def profile(**changes) -> Profile:
    check = {"group": "fidelity", "title": "t", "rule": "excess", "metrics": ["ks"], "limit": 0.1, "source": "s"}
    return load_profile(
        {"name": "p", "title": "P", "version": 1, "statement": "s", "checks": {"c": {**check, **changes}}}
    )


def line(result: MetricResult = RESULT, made: Provenance = MADE, **changes):
    (found,) = judge(profile(**changes), {"m": Evaluation((result,), made)}, {}, {}).lines
    return found


@pytest.mark.parametrize(
    ("limit", "worse", "state"),
    [
        (0.16, "higher", "pass"),  # 0.15 to 0.25, ceiling 0.10: between 0.05 and 0.15 worse
        (0.10, "higher", "warn"),
        (0.04, "higher", "fail"),
        (0.04, "lower", "pass"),
        (0.04, "both", "fail"),
        (0.16, "both", "pass"),
    ],
)
def test_the_whole_interval_decides(limit, worse, state):
    assert line(replace(RESULT, worse=worse), limit=limit).state == state


@pytest.mark.parametrize(("upper", "state"), [(0.3, "pass"), (0.2, "warn"), (0.12, "fail")])
def test_a_band_is_kept_touched_or_missed(upper, state):
    assert line(replace(RESULT, ceiling_hi=upper), rule="band", limit=None).state == state


@pytest.mark.parametrize(("limit", "state"), [(0.3, "pass"), (0.2, "warn"), (0.1, "fail")])
def test_a_value_is_held_against_the_best_one(limit, state):
    assert line(rule="value", limit=limit).state == state


def test_without_a_value_or_an_interval_or_the_metric_nothing_is_assessed():
    none = replace(RESULT, value=None, reason="no event")
    assert (line(none).state, line(none).reason) == ("not assessed", "no event")
    assert line(replace(RESULT, lo=None, hi=None, note="too few")).state == "not assessed"
    assert line(metrics=["other"]).reason == "the metric was not computed"


def test_parts_are_judged_where_there_is_no_whole():
    assert line(replace(RESULT, part="visits.x")).subject == "ks: visits.x"
    assert line(replace(RESULT, stratum="sex=f")).reason == "the metric was not computed"


def test_what_does_not_apply_does_not_count():
    found = line(made=replace(MADE, holds=()), needs=["visits"])
    assert (found.state, found.required, found.reason) == ("not assessed", False, "does not apply: no visits")


def test_a_limit_that_only_the_user_can_give_is_waited_for():
    assert line(limit=None).reason == "the profile leaves the limit to you; give one"


# ----------------------------------------------------------------------------------------------------- attacks


def attack(**changes):
    row = {
        "attack": "linkage", "part": "", "criterion": "linkage", "knowledge": "insider", "subset": "all",
        "measure": "rate", "state": "assessed", "reason": None, "n_members": 300, "n_control": 300,
        "control_rate": 0.02, "risk": 0.05, "risk_lo": 0.01, "risk_hi": 0.08, "minimum_detectable_risk": 0.06,
        "tpr": 0.015, "tpr_lo": 0.005, "tpr_hi": 0.04, "flagged": True,
    }  # fmt: skip
    schema = {name: pl.Float64 if isinstance(value, float) else None for name, value in row.items()}
    return pl.DataFrame([row | changes], schema_overrides={name: kind for name, kind in schema.items() if kind})


def attacked(frame, **changes):
    asked = {"group": "privacy", "rule": "risk", "metrics": [], "criteria": ["linkage"], "limit": 0.09} | changes
    verdict = judge(profile(**asked), {"m": Evaluation((), MADE)}, {} if frame is None else {"m": frame}, {})
    return verdict.lines[0] if len(verdict.lines) == 1 else verdict


@pytest.mark.parametrize(("limit", "state"), [(0.09, "pass"), (0.07, "warn"), (0.005, "fail")])
def test_the_bound_of_the_risk_decides(limit, state):
    assert attacked(attack(), limit=limit).state == state


def test_an_attack_that_could_not_have_seen_the_limit_is_not_assessed():
    found = attacked(attack(risk_lo=-0.1, risk_hi=0.15, minimum_detectable_risk=0.13))
    assert found.state == "not assessed" and "0.13 cannot be seen" in found.reason


def test_an_attack_without_power_that_finds_a_leak_fails_all_the_same():
    assert attacked(attack(risk_lo=0.5, risk_hi=0.9, minimum_detectable_risk=0.3)).state == "fail"


def test_one_success_among_many_attacks_is_a_warning():
    found = attacked(attack(risk_lo=0.1, risk_hi=0.5, flagged=False))
    assert found.state == "warn" and "adjustment" in found.reason


def test_attacks_without_power_count_and_attacks_that_do_not_apply_do_not():
    empty = attack(risk=None, risk_lo=None, risk_hi=None, state="not assessed", reason="too few")
    assert attacked(pl.concat([attack(), empty], how="vertical_relaxed")).states()["m"]["privacy"] == "not assessed"
    inapplicable = empty.with_columns(minimum_detectable_risk=pl.lit(None, pl.Float64))
    assert attacked(pl.concat([attack(), inapplicable], how="vertical_relaxed")).states()["m"]["privacy"] == "pass"


def test_no_assessment_no_attack_and_no_value_are_told_apart():
    assert attacked(None).reason == "no privacy assessment was given"
    assert attacked(attack(criterion="inference")).reason == "no such attack was run"
    empty = attack(risk=None, risk_lo=None, risk_hi=None, state="not assessed", reason="no holdout")
    assert (attacked(empty).state, attacked(empty).reason) == ("not assessed", "no holdout")


def test_the_most_exposed_count_only_where_the_profile_says_so():
    both = pl.concat([attack(), attack(subset="isolated", risk_lo=0.3, risk_hi=0.5)])
    assert attacked(both).state == "pass"
    assert attacked(both, worst_case=True).states()["m"]["privacy"] == "fail"


def test_membership_is_judged_by_members_found_at_few_false_alarms():
    scored = attack(criterion="membership", measure="score")
    found = attacked(scored, rule="tpr", criteria=["membership"], limit=0.05)
    assert (found.state, found.hi) == ("pass", 0.04)
    assert attacked(scored, rule="tpr", criteria=["membership"], limit=0.02).state == "warn"


def test_members_found_without_power_and_without_a_flag_decide_nothing():
    scored = attack(criterion="membership", measure="score", tpr_lo=0.04, tpr_hi=0.6)
    hidden = scored.with_columns(
        *(pl.lit(None, pl.Float64).alias(name) for name in ("risk", "risk_lo", "risk_hi")),
        state=pl.lit("not assessed"), reason=pl.lit("too few patients"), flagged=pl.lit(None, pl.Boolean),
    )  # fmt: skip
    tpr = {"rule": "tpr", "criteria": ["membership"], "limit": 0.02}
    assert attacked(scored, **tpr).state == "fail"
    assert (attacked(hidden, **tpr).state, attacked(hidden, **tpr).reason) == ("not assessed", "too few patients")


def test_copies_fail_when_they_are_more_than_chance():
    copies = {"rule": "copies", "criteria": ["duplicates"], "limit": None}
    assert attacked(attack(criterion="duplicates"), **copies).state == "fail"
    assert attacked(attack(criterion="duplicates", risk_lo=-0.01), **copies).state == "pass"


def test_a_declared_epsilon_is_shown_with_its_direction():
    asked = profile(group="privacy", rule="budget", metrics=[], limit=3.0)
    evaluations = {"m": Evaluation((), MADE)}
    (declared,) = judge(asked, evaluations, {}, {"m": (3.0, 1e-5)}).lines
    assert declared.state == "pass" and "Smaller epsilon means stronger privacy." in declared.reason
    (undeclared,) = judge(asked, evaluations, {}, {}).lines
    assert undeclared.state == "not assessed" and "Smaller epsilon means stronger privacy." in undeclared.limit
    assert judge(asked, evaluations, {}, {"m": (8.0, 1e-5)}).lines[0].state == "fail"


# ---------------------------------------------------------------------------------------------------- verdicts


def test_the_worst_required_line_of_a_group_counts_and_groups_are_never_mixed():
    checks = {
        name: profile(limit=limit, required=required).checks["c"].model_dump()
        for name, limit, required in (("a", 0.16, True), ("b", 0.10, True), ("c", 0.01, False))
    }
    asked = load_profile({"name": "p", "title": "P", "version": 1, "statement": "s", "checks": checks})
    verdict = judge(asked, {"m": Evaluation((RESULT,), MADE)}, {}, {})
    assert verdict.states() == {"m": {"fidelity": "warn", "utility": "not assessed", "privacy": "not assessed"}}
    assert verdict.frame()["state"].to_list() == ["pass", "warn", "fail"]
    assert verdict.document()["states"] == verdict.states()


def test_a_metric_without_value_does_not_hide_one_that_has_one():
    none = replace(RESULT, metric="tv", value=None, reason="no levels")
    verdict = judge(profile(metrics=["tv", "ks"], limit=0.16), {"m": Evaluation((RESULT, none), MADE)}, {}, {})
    assert [line.state for line in verdict.lines] == ["not assessed", "pass"]
    assert verdict.states()["m"]["fidelity"] == "pass"


# ---------------------------------------------------------------------------------------------------- profiles


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_ask_for_what_exists_and_say_who_says_so(name):
    found = load_profile(name)
    assert found.name == name and found.statement and not found.overrides
    for check in found.checks.values():
        assert check.source
    assert {check.group for check in found.checks.values()} >= {"fidelity", "privacy"}
    assert "anonym" not in str(found.model_dump()).lower()


def test_stricter_uses_have_limits_at_least_as_strict():
    order = ("exploratory_analysis", "trial_design", "external_control_arm")
    for check in (
        "marginals",
        "detection",
        "trajectories",
        "associations",
        "diversity",
        "survival_curves",
        "prognosis",
    ):
        asked = [load_profile(name).checks[check] for name in order]
        limits = [one.limit for one in asked]
        assert limits == sorted(limits, reverse=True) and all(one.required for one in asked)


@pytest.mark.parametrize("name", ["trial_design", "external_control_arm"])
def test_trials_ask_for_the_effect_of_treatment_curves_censoring_and_the_type_one_error(name):
    asked = {metric: check for check in load_profile(name).checks.values() for metric in check.metrics}
    for metric in ("treatment_log_hazard_ratio", "type_one_error"):
        assert asked[metric].required and asked[metric].needs == ("terminal event", "arm")
    assert asked["treatment_rmst"].limit is None  # in units of time, so that its margin is the protocol's
    for metric in ("km_distance", "censoring_distance", "calibration"):
        assert asked[metric].required and asked[metric].needs == ("terminal event",)
    assert not asked["treatment_decision"].required  # one pair of samples is an anecdote


def test_a_fresh_sample_does_not_fail_trial_design_and_swapped_arms_do():
    train, holdout, fresh = (battery.fresh(200, seed) for seed in (1, 2, 3))
    made = {"fresh": fresh, "swapped": battery.arms_swapped(fresh, np.random.default_rng(0))}
    metrics = ["treatment_log_hazard_ratio", "treatment_rmst", "treatment_decision", "type_one_error", "km_distance"]
    found = evaluate_all(made, train=train, holdout=holdout, metrics=metrics, arm="arm", strata=[], seed=0)
    lines = judge(load_profile("trial_design"), found, {}, {}).lines
    failed = {(line.model, line.subject.partition(":")[0]) for line in lines if line.state == "fail"}
    assert failed == {("swapped", name) for name in ("treatment_log_hazard_ratio", "treatment_decision")}


@pytest.mark.parametrize("name", PROFILES)
def test_only_broken_rules_are_held_against_a_band(name):
    """Band and interval shrink alike, so that a perfect sample of any size would not pass."""
    checks = load_profile(name).checks
    assert [check for check in checks if checks[check].rule == "band"] == ["rules"]


def test_margins_of_hazard_ratios_and_censoring_are_stricter_in_an_external_control_arm():
    design, control = (load_profile(name).checks for name in ("trial_design", "external_control_arm"))
    assert (design["hazard_ratios"].limit, control["hazard_ratios"].limit) == (0.2, 0.1)
    for checks in (design, control):
        assert checks["censoring"].limit == checks["survival_curves"].limit


EVENTFUL = SimulationTruth(hazard=0.2)
"""Two of three patients have the event: 3,350 of 5,000."""


DAMAGED = {
    "fresh": lambda cohort, _: cohort,
    "swapped": battery.arms_swapped,
    "permuted": battery.event_times_permuted,
}


def useful(n, seed, left_out=()):
    """What trial design, with a protocol's margin of 0.2 for the treatment, says of fresh and damaged samples of n."""
    own = load_profile({"base": "trial_design", "checks": {"treatment_effect": {"limit": 0.2}}})
    train, holdout, fresh = (battery.fresh(n, 3 * seed + place, EVENTFUL) for place in range(3))
    cohorts = {name: damage(fresh, np.random.default_rng(seed)) for name, damage in DAMAGED.items()}
    checks = {name: check for name, check in own.checks.items() if check.group == "utility" and check.required}
    metrics = [metric for check in checks.values() for metric in check.metrics if metric not in left_out]
    real = {"train": train, "holdout": holdout}
    return judge(own, evaluate_all(cohorts, **real, metrics=metrics, arm="arm", strata=[], seed=seed), {}, {})


def failed(verdict, model):
    return {line.check for line in verdict.lines if (line.model, line.state) == (model, "fail")}


def test_trial_design_passes_a_fresh_sample_and_fails_swapped_arms_and_permuted_times():
    """1,000 patients are enough for all but hazard ratios and the effect of the treatment, which they leave open."""
    verdict = useful(1000, 4, left_out=["type_one_error"])
    states = {line.check: line.state for line in verdict.lines if line.model == "fresh" and line.value is not None}
    for check in ("survival_curves", "censoring", "prognosis", "calibration"):
        assert states[check] == "pass"
    assert not failed(verdict, "fresh")
    assert {"hazard_ratios", "treatment_effect"} <= failed(verdict, "swapped")
    assert {"hazard_ratios", "prognosis"} <= failed(verdict, "permuted")


@pytest.mark.slow
def test_most_fresh_samples_of_5000_patients_are_useful_for_trial_design():
    """By the numbers of events 0.97 should for each hazard ratio and 0.94 for survival time; damaged ones never."""
    verdicts = [useful(5000, seed) for seed in range(3)]
    states = [verdict.states() for verdict in verdicts]
    assert sum(state["fresh"]["utility"] == "pass" for state in states) >= 2
    assert {state[model]["utility"] for state in states for model in ("swapped", "permuted")} == {"fail"}
    assert {line.n for verdict in verdicts for line in verdict.lines if line.check == "hazard_ratios"} == {5000}


def test_no_default_margin_is_given_for_the_effect_in_an_external_control_arm():
    checks = load_profile("external_control_arm").checks
    for name in ("treatment_effect", "treatment_time", "survival_time"):
        assert checks[name].limit is None and "user" in checks[name].source


def test_the_external_control_arm_says_first_what_it_is_not():
    assert (
        load_profile("external control arm").statement == "Planning and sensitivity use only; not evidence of efficacy."
    )


def test_overrides_are_said_and_their_source_is_the_user():
    own = {
        "base": "trial_design",
        "checks": {"marginals": {"limit": 0.2}, "copies": None, "more": profile().checks["c"].model_dump()},
    }
    found = load_profile(own)
    assert found.overrides == ("marginals.limit: 0.2 instead of 0.05", "copies: taken out", "more: added")
    assert found.checks["marginals"].source == "user" and "copies" not in found.checks


def test_profiles_are_read_from_files(tmp_path):
    (tmp_path / "own.yaml").write_text("base: public_release\ntitle: Ours\nchecks:\n  linkage: {limit: 0.05}\n")
    found = load_profile(tmp_path / "own.yaml")
    assert (found.title, found.checks["linkage"].limit) == ("Ours", 0.05)


def test_changes_of_a_changed_profile_are_all_said(tmp_path):
    (tmp_path / "ours.yaml").write_text("base: trial_design\nchecks:\n  marginals: {limit: 0.2}\n")
    found = load_profile({"base": str(tmp_path / "ours.yaml"), "checks": {"copies": None}})
    assert found.overrides == ("marginals.limit: 0.2 instead of 0.05", "copies: taken out")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("nonsense", "profiles are software_testing"),
        ({"base": "trial_design", "check": {}}, "unknown keys check"),
        ({"base": "trial_design", "checks": {"marginals": {"limt": 1}}}, "checks.marginals.limt"),
        ({"base": "trial_design", "checks": {"marginals": {"limit": -1}}}, "checks.marginals.limit"),
        ({"base": "trial_design", "checks": {"linkage": {"metrics": ["ks"]}}}, "the rule risk takes no metrics"),
        ({"base": "trial_design", "checks": {"linkage": {"criteria": []}}}, "the rule risk takes criteria"),
        ({"base": "trial_design", "checks": {"rules": {"limit": 1}}}, "the rule band takes no limit"),
        ({"title": "x"}, "checks: Field required"),
        ({"base": "trial_design", "checks": ["marginals"]}, "checks: a mapping from names of checks"),
        ({"base": "trial_design", "checks": {"marginals": 0.1}}, "checks.marginals: a mapping is needed"),
        ({"base": "trial_design", "checks": {"copiez": None}}, "checks.copiez: there is no such check"),
    ],
)
def test_wrong_profiles_are_refused(source, complaint):
    with pytest.raises(ConfigError, match=complaint):
        load_profile(source)


@pytest.mark.parametrize("text", ["- a\n", "a: [", "x"])
def test_files_that_are_no_profile_are_refused(text, tmp_path):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"own\.yaml"):
        load_profile(tmp_path / "own.yaml")
