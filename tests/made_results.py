"""Results of an evaluation made by hand: every kind of row that there is, without computing any."""

from __future__ import annotations

from typing import Any

from longsynth.evaluation.results import Evaluation, MetricResult, Provenance
from longsynth.privacy.results import AttackResult
from longsynth.privacy.results import PrivacyAssessment as Assessment
from longsynth.privacy.results import Provenance as AttackProvenance
from longsynth.report.comparison import Comparison, ProfileSource

NASTY = "<script>alert('x')</script>"


def made_result(metric: str = "ks", **changes: Any) -> MetricResult:
    """A value well inside its ceiling band, unless changed."""
    facts: dict[str, Any] = {
        "block": "marginal",
        "level": "visit",
        "metric": metric,
        "title": f"Title of {metric}",
        "part": "",
        "stratum": "",
        "best": 0.0,
        "worse": "higher",
        "value": 0.10,
        "lo": 0.07,
        "hi": 0.13,
        "ceiling": 0.09,
        "ceiling_lo": 0.05,
        "ceiling_hi": 0.14,
        "ceiling_sd": 0.02,
        "z": 0.5,
        "flagged": False,
        "n": 94,
        "n_splits": 79,
        "n_draws": 5,
    }
    return MetricResult(**(facts | changes))


NO_VALUE = dict.fromkeys(
    ("value", "lo", "hi", "ceiling", "ceiling_lo", "ceiling_hi", "ceiling_sd", "z", "flagged", "n")
)
FAR = {"value": 0.95, "lo": 0.9, "hi": 0.98, "ceiling": 0.5, "ceiling_lo": 0.42, "ceiling_hi": 0.58, "ceiling_sd": 0.04}


def made_evaluation(*, shift: float = 0.0) -> Evaluation:
    """One row of each kind: alike, differing, worse when lower, on both sides, without interval, without value."""
    detect = {"block": "detection", "level": "trajectory", "best": 0.5, "z": 11.2 + shift, "flagged": True, **FAR}
    rows = [
        made_result("ks"),
        made_result("ks", part=f"visits.{NASTY}", value=0.4 + shift, lo=0.3, hi=0.5, z=15.5, flagged=True),
        made_result("ks", stratum="trt=0", z=1.0),
        made_result("wasserstein", part="visits.albumin", unit="g/dL"),
        made_result("detect_patient", **detect),
        made_result("coverage", block="distance", worse="lower", best=1.0, value=0.05, lo=0.02, hi=0.08, z=-2.0),
        made_result(
            "rmst_difference", block="survival", worse="both", value=-0.2, lo=-0.3, hi=0.1, z=-14.5, unit="days"
        ),
        made_result("constant", block="survival", ceiling_sd=0.0, z=None, lo=None, hi=None, note="no spread"),
        made_result("incidence", block="survival", **NO_VALUE, reason="it needs two types of event"),
    ]
    return Evaluation(tuple(rows), made_provenance(), ("sub-sampled: 94 patients a side",))


def made_provenance() -> Provenance:
    """Of a comparison with a holdout."""
    metrics = ("ks", "wasserstein", "detect_patient", "coverage", "rmst_difference", "constant", "incidence")
    return Provenance(
        n_synthetic=218,
        n_train=218,
        n_holdout=94,
        arm="trt",
        metrics=metrics,
        strata=("trt",),
        holds=("visits", "terminal event", "arm"),
        seed=0,
        version="0.1.0",
    )


def made_assessment(risk: float = 0.02) -> Assessment:
    """An attack that finds nothing, one that finds a leak, one that could not be assessed."""
    found = {"n_members": 200, "n_control": 94, "minimum_detectable_risk": 0.08, "naive_rate": 0.01, "direct_rate": 0.2}
    knowledge = {
        "attack": "sequence_linkage",
        "criterion": "linkage",
        "part": "",
        "known": "three visits, exact values",
    }
    rates = {"attack_rate": 0.12, "control_rate": 0.1, "risk": risk, "risk_lo": risk - 0.05, "risk_hi": risk + 0.06}
    leak = {"risk": 0.5, "risk_lo": 0.4, "risk_hi": 0.6, "flagged": True}
    shared = {**knowledge, "title": "Two stretches of visits are linked", "knowledge": "lab_feed"}
    results = (
        AttackResult(**shared, subset="all", **found, **rates),
        AttackResult(**shared, subset="isolated", **found, **rates | leak),
        AttackResult(**shared, subset="rare", state="not assessed", reason="5 control patients are too few"),
    )
    made = AttackProvenance((218,), 218, 94, ("sequence_linkage",), {"lab_feed": "three visits"}, 1000, 0, "0.1.0")
    return Assessment(results, made, (), ("one draw was attacked",))


def made_comparison(use_case: ProfileSource | None = "trial_design") -> Comparison:
    """Two cohorts, of which the first has a privacy assessment."""
    evaluations = {"hybrid": made_evaluation(), NASTY: made_evaluation(shift=0.2)}
    return Comparison(evaluations, {"hybrid": made_assessment().frame()}, {"hybrid": (3.0, 1e-5)}, use_case)
