"""What would change a line of a verdict, in words."""

from __future__ import annotations

import math

from longsynth.evaluation.base import METRICS
from longsynth.evaluation.evaluate import effort_of
from longsynth.evaluation.results import MetricResult
from longsynth.report.profiles import Check, Line, accepted

MOST_PATIENTS_NAMED = 1_000_000
DECLARED = "declared epsilon"


def what_would_change(line: Line, check: Check, result: MetricResult | None) -> str | None:
    """Return what would move a line out of its state, None if it passes.

    Parameters
    ----------
    line : Line
        Of a verdict.
    check : Check
        What it checked.
    result : MetricResult or None
        The result it is about; None for attacks and budgets.

    Notes
    -----
    The number of patients named for a warning is where the interval would end at the limit, were the value to stay as
    it is: intervals shrink with the square root of the number of patients. The judge compares no more than it says in
    `longsynth.evaluation.splits`, and the advice says so where that is too few.
    """
    if line.state == "pass":
        return None
    if line.state == "fail":
        return _after_failure(line)
    if line.state == "not assessed":
        return _after_nothing(line)
    if result is None:
        return _after_doubt(line, (-math.inf, check.limit or 0.0), None)
    if check.rule == "band":
        return "More patients narrow the interval and the band alike: a pass needs a value closer to the ceiling."
    most = effort_of(METRICS[result.metric]).n_patients if result.metric in METRICS else None
    return _after_doubt(line, accepted(check, result), most)


def _after_failure(line: Line) -> str:
    if line.group == "privacy":
        return "Another synthetic cohort: learnt from more patients, or with a smaller epsilon (stronger privacy)."
    return "Another synthetic cohort. The repair list says what gives this one away."


def _after_nothing(line: Line) -> str:
    if line.minimum_detectable is not None:
        seen = f"a risk below {line.minimum_detectable:.2g} is not seen with those at hand"
        return f"More patients held out, or more draws of the synthetic cohort: {seen}."
    if line.subject == DECLARED:
        return "A declared budget, if the cohort was made with one."
    if line.group == "privacy" and line.n:
        return "More patients held out, with what the attack needs."
    if line.group == "privacy":
        return "Attacks (longsynth assess-privacy), with patients held out from the fit as control."
    return "Computing the metric, on cohorts that have what it needs."


def _after_doubt(line: Line, limits: tuple[float, float], most: int | None) -> str:
    """Say how many patients would decide, from how far the value is from the limit that its interval holds."""
    if line.value is None or line.lo is None or line.hi is None or line.n is None:
        return "More patients."
    value, wanted = line.value, 0.0
    for limit in limits:
        if line.lo < limit < line.hi:
            towards_limit = value - line.lo if limit < value else line.hi - value
            wanted = max(wanted, line.n * (towards_limit / (value - limit)) ** 2 if value != limit else math.inf)
    if not 0 < wanted <= MOST_PATIENTS_NAMED:
        return "The value is at the limit: more patients alone are unlikely to decide it."
    state = "pass" if limits[0] <= value <= limits[1] else "fail"
    too_many = f"; the judge compares at most {most:,}" if most is not None and wanted > most else ""
    number = float(f"{wanted:.2g}")
    return f"About {number:,.0f} patients a side ({line.n:,} now) would make it a {state}, all else equal{too_many}."
