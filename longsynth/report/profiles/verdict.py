"""From values with intervals to pass, warn, fail or not assessed: the interval decides, not the point."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import polars as pl

from longsynth.evaluation.results import Evaluation, MetricResult, headline
from longsynth.report.profiles.profile import GROUPS, OF_ATTACKS, OF_METRICS, Check, Group, Profile

State = Literal["pass", "warn", "fail", "not assessed"]
WORST_FIRST: tuple[State, ...] = ("fail", "not assessed", "warn", "pass")
SMALLER_EPSILON = "Smaller epsilon means stronger privacy."
ALL_PATIENTS = "all"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One check of one synthetic cohort.

    Attributes
    ----------
    model : str
        Name of the synthetic cohort.
    group, check, title : str
        As in `Check`; ``check`` is its name.
    subject : str
        The metric or attack that was looked at.
    state : {"pass", "warn", "fail", "not assessed"}
        See `judge`.
    value, lo, hi : float or None
        With its 95 % interval.
    ceiling, ceiling_lo, ceiling_hi : float or None
        What two real samples score; for attacks the rate among patients held out (no band).
    limit : str
        In words.
    source : str
        Of the limit.
    required : bool
        Whether it counts for the state of its group.
    n : int or None
        Patients on each side.
    minimum_detectable : float or None
        For attacks, the smallest risk that would have been seen.
    reason : str or None
        Why it is not assessed, or what to know about it.
    """

    model: str
    group: Group
    check: str
    title: str
    subject: str
    state: State
    limit: str
    source: str
    required: bool
    value: float | None = None
    lo: float | None = None
    hi: float | None = None
    ceiling: float | None = None
    ceiling_lo: float | None = None
    ceiling_hi: float | None = None
    n: int | None = None
    minimum_detectable: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What a use case makes of one or several synthetic cohorts: three groups of checks, never one score.

    Attributes
    ----------
    profile : Profile
        What was asked.
    lines : tuple of Line
        Every check of every cohort.
    """

    profile: Profile
    lines: tuple[Line, ...]

    def states(self) -> dict[str, dict[Group, State]]:
        """Return by model and group the worst state of the required checks; not assessed if nothing was asked.

        A metric or attack that cannot be applied does not count where the check has others that can; one that lacked
        the power to find anything does.
        """
        models = dict.fromkeys(line.model for line in self.lines)
        return {model: {group: self._state(model, group) for group in GROUPS} for model in models}

    def _state(self, model: str, group: Group) -> State:
        checks: dict[str, list[Line]] = {}
        for line in self.lines:
            if (line.model, line.group) == (model, group) and line.required:
                checks.setdefault(line.check, []).append(line)
        found: set[State] = set()
        for lines in checks.values():
            tried = [line for line in lines if line.value is not None or line.minimum_detectable is not None]
            found |= {line.state for line in tried or lines}
        return next((state for state in WORST_FIRST if state in found), "not assessed")

    def frame(self) -> pl.DataFrame:
        """Return one row a line, columns as the attributes of `Line`."""
        columns = {name: _POLARS[kind] for name, kind in Line.__annotations__.items()}
        return pl.DataFrame([asdict(line) for line in self.lines], schema=columns)

    def document(self) -> dict[str, Any]:
        """Return the verdict as plain data, for JSON."""
        return {
            "profile": self.profile.model_dump(mode="json"),
            "states": self.states(),
            "lines": [asdict(line) for line in self.lines],
        }


_POLARS: dict[str, Any] = {"bool": pl.Boolean, "int | None": pl.Int64, "float | None": pl.Float64}
_POLARS |= dict.fromkeys(("str", "str | None", "Group", "State"), pl.String)


def judge(
    profile: Profile,
    evaluations: Mapping[str, Evaluation],
    privacy: Mapping[str, pl.DataFrame],
    budgets: Mapping[str, tuple[float, float]],
) -> Verdict:
    """Hold evaluations and privacy assessments against a profile.

    Parameters
    ----------
    profile : Profile
        What is asked.
    evaluations : mapping of str to Evaluation
        By name of the synthetic cohort.
    privacy : mapping of str to polars.DataFrame
        Frames of privacy assessments; cohorts without one are not assessed on privacy.
    budgets : mapping of str to (epsilon, delta)
        What the makers of the cohorts declare; cannot be seen from a cohort.

    Returns
    -------
    Verdict
        Each line **passes** if the whole 95 % interval keeps the limit, **fails** if the whole interval misses it, and
        is a **warning** if the interval holds the limit. It is **not assessed** where there is no interval, or where
        the attack could not have seen a risk as small as the limit. An attack fails only if its success also stays
        after adjustment for the number of attacks; else some of many attacks on a perfect sample would.

    References
    ----------
    Schuirmann (1987), A comparison of the two one-sided tests procedure and the power approach, doi:10.1007/BF01068419.
    """
    lines: list[Line] = []
    for model, evaluation in evaluations.items():
        for name, check in profile.checks.items():
            absent = [part for part in check.needs if part not in evaluation.provenance.holds]
            if absent:
                line = _line(model, name, check, name, "not assessed", "-", reason=f"does not apply: no {absent[0]}")
                lines.append(replace(line, required=False))
            elif check.limit is None and check.rule not in ("band", "copies"):
                reason = "the profile leaves the limit to you; give one"
                lines.append(_line(model, name, check, name, "not assessed", "-", reason=reason))
            elif check.rule in OF_METRICS:
                lines += _metric_lines(model, name, check, evaluation)
            elif check.rule in OF_ATTACKS:
                lines += _attack_lines(model, name, check, privacy.get(model))
            else:
                lines.append(_budget_line(model, name, check, budgets.get(model)))
    return Verdict(profile, tuple(lines))


def _line(model: str, name: str, check: Check, subject: str, state: State, limit: str, **facts: Any) -> Line:
    about = (check.group, name, check.title, subject)
    return Line(model, *about, state, limit, check.source, check.required, **facts)


# ----------------------------------------------------------------------------------------------------- metrics


def _metric_lines(model: str, name: str, check: Check, evaluation: Evaluation) -> Iterator[Line]:
    limit = {
        "excess": f"at most {check.limit} worse than the ceiling",
        "value": f"at most {check.limit} from its best value",
        "band": "inside the 95 % band of two real samples",
    }[check.rule]
    asked = headline(evaluation)
    for metric in check.metrics:
        results = [result for result in asked if result.metric == metric]
        if not results:
            yield _line(model, name, check, metric, "not assessed", limit, reason="the metric was not computed")
        for result in results:
            subject = f"{metric}: {result.part}" if result.part else metric
            yield _metric_line(model, name, check, subject, result, limit)


def _metric_line(model: str, name: str, check: Check, subject: str, result: MetricResult, limit: str) -> Line:
    if result.value is None:
        return _line(model, name, check, subject, "not assessed", limit, reason=result.reason)
    facts = {key: getattr(result, key) for key in _FACTS}
    if result.lo is None or result.hi is None:
        return _line(model, name, check, subject, "not assessed", limit, reason=result.note, **facts)
    return _line(model, name, check, subject, _metric_state(check, result), limit, reason=result.note, **facts)


_FACTS = ("value", "lo", "hi", "ceiling", "ceiling_lo", "ceiling_hi", "n")


def accepted(check: Check, result: MetricResult) -> tuple[float, float]:
    """Return the lowest and the highest value of a metric that a check accepts; infinite where it does not matter."""
    if check.rule == "band":
        lower, upper = result.ceiling_lo, result.ceiling_hi
    else:
        centre = result.best if check.rule == "value" else result.ceiling
        lower = None if centre is None else centre - (check.limit or 0.0)
        upper = None if centre is None else centre + (check.limit or 0.0)
    below = -math.inf if lower is None or result.worse == "higher" else lower
    above = math.inf if upper is None or result.worse == "lower" else upper
    return below, above


def _metric_state(check: Check, result: MetricResult) -> State:
    """Return the state by where the interval lies."""
    assert result.lo is not None and result.hi is not None  # for the type checker
    below, above = accepted(check, result)
    if result.lo > above or result.hi < below:
        return "fail"
    return "pass" if below <= result.lo and result.hi <= above else "warn"


# ----------------------------------------------------------------------------------------------------- attacks


def _attack_lines(model: str, name: str, check: Check, assessment: pl.DataFrame | None) -> Iterable[Line]:
    limit = {
        "risk": f"risk at most {check.limit}",
        "tpr": f"at most {check.limit} of the members found at 1 % false alarms",
        "copies": "no more copies of members than of patients held out",
    }[check.rule]
    if assessment is None:
        reason = "no privacy assessment was given"
        return [_line(model, name, check, ", ".join(check.criteria), "not assessed", limit, reason=reason)]
    is_score = pl.col("measure") == "score"
    of_rule = is_score if check.rule == "tpr" else ~is_score
    rows = assessment.filter(pl.col("criterion").is_in(list(check.criteria)), of_rule)
    if not check.worst_case:
        rows = rows.filter(pl.col("subset") == ALL_PATIENTS)
    if not rows.height:
        reason = "no such attack was run"
        return [_line(model, name, check, ", ".join(check.criteria), "not assessed", limit, reason=reason)]
    return [_attack_line(model, name, check, row, limit) for row in rows.iter_rows(named=True)]


def _attack_line(model: str, name: str, check: Check, row: Row, limit: str) -> Line:
    kind = "tpr" if check.rule == "tpr" else "risk"
    value, lo, hi = row[kind], row[f"{kind}_lo"], row[f"{kind}_hi"]
    subject = ", ".join(str(row[key]) for key in ("attack", "part", "knowledge", "subset") if row[key])
    smallest = row["minimum_detectable_risk"]
    facts = {"ceiling": row["control_rate"], "n": row["n_members"], "minimum_detectable": smallest}
    if row["state"] == "not assessed" or value is None or lo is None or hi is None:
        reason = row["reason"] or "the attack gave no interval"
        return _line(model, name, check, subject, "not assessed", limit, reason=reason, **facts)
    facts |= {"value": value, "lo": lo, "hi": hi}
    state = _attack_state(check, lo, hi)
    reason = row["reason"]
    if state == "fail" and row["flagged"] is False:
        state, reason = "warn", "above the limit, but not after adjustment for the number of attacks"
    elif state == "warn" and check.rule == "risk" and smallest is not None and smallest > (check.limit or 0.0):
        state, reason = "not assessed", f"a risk below {smallest:.2g} cannot be seen with so few patients"
    return _line(model, name, check, subject, state, limit, reason=reason, **facts)


def _attack_state(check: Check, lo: float, hi: float) -> State:
    if check.rule == "copies":
        return "fail" if lo > 0 else "pass"
    limit = check.limit or 0.0
    return "fail" if lo > limit else "pass" if hi <= limit else "warn"


def _budget_line(model: str, name: str, check: Check, budget: tuple[float, float] | None) -> Line:
    limit = f"epsilon at most {check.limit} per patient. {SMALLER_EPSILON}"
    if budget is None:
        reason = "no differential privacy is declared for this cohort"
        return _line(model, name, check, "declared epsilon", "not assessed", limit, reason=reason)
    epsilon, delta = budget
    state: State = "pass" if epsilon <= (check.limit or 0.0) else "fail"
    reason = f"epsilon = {epsilon:g}, delta = {delta:g} per patient, as declared. {SMALLER_EPSILON}"
    return _line(model, name, check, "declared epsilon", state, limit, value=epsilon, reason=reason)
