"""What the report says, as plain texts: nothing here knows what a page looks like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import polars as pl

import longsynth.privacy.attacks  # noqa: F401  (registers the attacks)
from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import METRICS, Block
from longsynth.evaluation.detection import explain_detection
from longsynth.evaluation.marginal import quantile_table
from longsynth.evaluation.results import Evaluation, MetricResult, headline, short, shown
from longsynth.exceptions import NotComputableError
from longsynth.privacy.base import ATTACKS
from longsynth.report.advice import what_would_change
from longsynth.report.profiles import Line, Verdict
from longsynth.report.profiles.verdict import WORST_FIRST

Texts = dict[str, Any]
BLOCKS: dict[str, str] = {
    "rules": "Rules of the schema",
    "marginal": "Columns on their own",
    "missingness": "What is missing",
    "association": "Columns together",
    "distance": "Coverage of the population",
    "detection": "Telling synthetic patients apart",
    "visit_process": "When visits happen",
    "temporal": "Change over time",
    "forecasting": "Predicting the next visit",
    "survival": "Survival",
    "trial": "Trial results",
}
GROUPS = {"fidelity": "Fidelity", "utility": "Utility for this use", "privacy": "Privacy"}
MOST_PARTS = 30
MOST_LINES = 4
MOST_REPAIRS = 12
NOT_TRIED = (
    "Whether another fit, or another seed of the fit, gives as good a cohort: each cohort is judged as it is.",
    "Whether the real patients are like those of another hospital, country or time.",
    "What an attacker with knowledge beyond that of the attacks listed could learn.",
)


def compared(evaluations: Mapping[str, Evaluation], cohorts: Mapping[str, Cohort]) -> Texts:
    """Return the sizes of the cohorts and how they were compared."""
    first = next(iter(evaluations.values())).provenance
    sizes = [(name, f"{one.n_patients:,}", f"{one.n_visits:,}") for name, one in cohorts.items()]
    facts = {
        "Ceiling": f"random splits of the real patients ({first.ceiling_from}) into two samples",
        "Treatment arm": first.arm or "none given: results by arm are not assessed",
        "Strata": ", ".join(first.strata) or "none",
        "Seed": str(first.seed),
        "Version": f"longsynth {first.version}",
    }
    notes = dict.fromkeys(note for evaluation in evaluations.values() for note in evaluation.notes)
    return {"sizes": sizes, "facts": facts, "notes": list(notes)}


def judged(verdict: Verdict, evaluations: Mapping[str, Evaluation]) -> Texts:
    """Return the verdict: states by cohort and group, and each line with what would change it."""
    sources = list(dict.fromkeys(check.source for check in verdict.profile.checks.values()))
    order = list(verdict.profile.checks)
    states = [
        (model, [found[group] for group in GROUPS])  # type: ignore[index]
        for model, found in verdict.states().items()
    ]
    groups: list[Texts] = []
    for group, title in GROUPS.items():
        found = sorted(
            (line for line in verdict.lines if line.group == group), key=lambda line: order.index(line.check)
        )
        lines = [_line(line, verdict, evaluations) | {"note": sources.index(line.source) + 1} for line in found]
        if lines:
            groups.append({"title": title, **_folded(lines)})
    heads = list(GROUPS.values())
    return {"profile": verdict.profile, "states": states, "heads": heads, "groups": groups, "sources": sources}


def _folded(lines: list[Texts]) -> Texts:
    """Return one line a check and cohort where there are many, with how many are in which state, and all below."""
    of_check: dict[tuple[str, str], list[Texts]] = {}
    for line in lines:
        of_check.setdefault((line["title"], line["model"]), []).append(line)
    top: list[Texts] = []
    folded: list[Texts] = []
    for several in of_check.values():
        if len(several) <= MOST_LINES:
            top += several
            continue
        counts = {state: sum(line["state"] == state for line in several) for state in WORST_FIRST}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        worst = next(line for state in WORST_FIRST for line in several if line["state"] == state)
        top.append(worst | {"subject": f"{len(several)} lines; worst: {worst['subject']}", "reason": said})
        folded += several
    return {"lines": top, "folded": folded}


def _line(line: Line, verdict: Verdict, evaluations: Mapping[str, Evaluation]) -> Texts:
    check = verdict.profile.checks[line.check]
    result = _result(evaluations[line.model], line.subject)
    unit = f" {result.unit}" if result is not None and result.unit else ""
    beside = "success on the control" if line.group == "privacy" else "two real samples"
    value = None
    if line.value is not None:
        value = f"{short(line.value)}{unit}" + _interval(line.lo, line.hi)
        if line.ceiling is not None:
            value += f"; {beside}: {short(line.ceiling)}" + _interval(line.ceiling_lo, line.ceiling_hi)
    return {
        "model": line.model,
        "title": line.title,
        "subject": line.subject if result is None else _named(result),
        "state": line.state,
        "value": value,
        "limit": line.limit,
        "is_required": line.required,
        "reason": line.reason and line.reason.rstrip("."),
        "change": what_would_change(line, check, result),
    }


def blocks(evaluations: Mapping[str, Evaluation]) -> Iterator[Texts]:
    """Yield each block that has results: its name, title, and rows for whole cohorts, parts and strata."""
    for block in get_args(Block):
        of_block = {
            name: [one for one in evaluation.results if one.block == block] for name, evaluation in evaluations.items()
        }
        if any(of_block.values()):
            top = {name: [one for one in headline(evaluations[name]) if one.block == block] for name in evaluations}
            chosen = {id(one) for results in top.values() for one in results}
            rest = {name: [one for one in found if id(one) not in chosen] for name, found in of_block.items()}
            parts = {name: [one for one in found if not one.stratum] for name, found in rest.items()}
            strata = {name: [one for one in found if one.stratum and not one.part] for name, found in rest.items()}
            yield {
                "name": block,
                "title": BLOCKS[block],
                "rows": _rows(top),
                "parts": _worst(parts),
                "n_parts": sum(map(len, parts.values())),
                "strata": _worst(strata),
                "n_strata": sum(map(len, strata.values())),
            }


def _worst(results: Mapping[str, list[MetricResult]]) -> list[Texts]:
    """Return the rows furthest from their ceilings."""
    flat = [(name, one) for name, found in results.items() for one in found if one.value is not None]
    flat.sort(key=lambda pair: -abs(pair[1].z or 0.0))
    return [_row(name, one) for name, one in flat[:MOST_PARTS]]


def _rows(results: Mapping[str, list[MetricResult]]) -> list[Texts]:
    """Return rows metric by metric, the cohorts below each other."""
    order = dict.fromkeys((one.metric, one.part) for found in results.values() for one in found)
    by_key = {(name, one.metric, one.part): one for name, found in results.items() for one in found}
    keys = ((name, *key) for key in order for name in results)
    return [_row(key[0], by_key[key]) for key in keys if key in by_key]


def _row(name: str, result: MetricResult) -> Texts:
    value, ceiling, reading = shown(result)
    state = "none" if result.value is None else "differs" if result.flagged else "alike"
    return {
        "model": name,
        "title": result.title,
        "metric": result.metric,
        "part": result.part,
        "stratum": result.stratum,
        "value": value,
        "ceiling": ceiling,
        "z": "-" if result.z is None else f"{result.z:+.1f}",
        "reading": reading,
        "state": state,
        "n": "-" if result.n is None else f"{result.n:,}",
    }


def repairs(synthetic: Cohort, real: Cohort, seed: int) -> Texts:
    """Return what gives synthetic patients away, most telling first, or the reason why it cannot be said."""
    try:
        found = explain_detection(synthetic, real, seed=seed)
    except NotComputableError as error:
        return {"reason": str(error), "rows": []}
    rows = [
        {
            "column": row["column"],
            "of_column": f"{row['column_importance']:.3f}",
            "feature": row["feature"],
            "importance": f"{row['importance']:.3f}",
            "synthetic": short(row["synthetic_median"]),
            "real": short(row["real_median"]),
        }
        for row in found.head(MOST_REPAIRS).iter_rows(named=True)
    ]
    return {"reason": None, "rows": rows}


def quantiles(cohorts: Mapping[str, Cohort]) -> Texts:
    """Return the quantile table as texts."""
    table = quantile_table(cohorts)
    names = [name for name in table.columns if name.startswith("p")]
    rows = []
    for row in table.iter_rows(named=True):
        column = row["column"] + (f" ({row['unit']})" if row["unit"] else "")
        rows.append((column, row["cohort"], f"{row['n']:,}", *(short(row[name]) for name in names)))
    return {"heads": [f"{name[1:]} %" for name in names], "rows": rows}


def attacked(frame: pl.DataFrame) -> dict[str, list[Texts]]:
    """Return the attacks on all patients, and on the worst cases; a risk always beside what the control gives."""
    rows = [_attack(row) for row in frame.iter_rows(named=True)]
    return {
        "all": [row for row in rows if row["subset"] == "all"],
        "worst": [row for row in rows if row["subset"] != "all"],
    }


def _attack(row: Texts) -> Texts:
    title = row.get("title") or row["attack"]
    is_assessed = row["risk"] is not None and row["control_rate"] is not None
    if not is_assessed:
        reading = f"not assessed: {row['reason'] or 'there is no control rate'}"
    elif row["flagged"]:
        reading = "members are more exposed than patients held out"
    else:
        reading = f"no excess risk detected above {short(row['risk_hi'])} at 97.5 % confidence, by this attacker"
    return {
        "title": f"{title}: {row['part']}" if row.get("part") else title,
        "criterion": row["criterion"].replace("_", " "),
        "knowledge": row["knowledge"],
        "known": row.get("known"),
        "subset": row["subset"],
        "n": f"{row['n_members']:,} and {row['n_control']:,}",
        "rates": f"{short(row['attack_rate'])} and {short(row['control_rate'])}",
        "baselines": f"{short(row['naive_rate'])} and {short(row['direct_rate'])}",
        "risk": short(row["risk"]) + _interval(row["risk_lo"], row["risk_hi"]) if is_assessed else "-",
        "detectable": short(row["minimum_detectable_risk"]),
        "reading": reading,
        "state": "none" if not is_assessed else "differs" if row["flagged"] else "alike",
    }


def not_tested(evaluations: Mapping[str, Evaluation], frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """Return what this report says nothing about."""
    computed = {name for evaluation in evaluations.values() for name in evaluation.provenance.metrics}
    left_out = [name for name in METRICS if name not in computed]
    said = [f"Metrics not computed: {', '.join(left_out)}."] if left_out else []
    for name in evaluations:
        whose = f" ({name})" if name else ""
        if name not in frames:
            said.append(f"Privacy{whose}: no attack was tried.")
            continue
        tried = set(frames[name]["attack"])
        attacks = [attack for attack in ATTACKS if attack not in tried]
        if attacks:
            said.append(f"Attacks not tried{whose}: {', '.join(attacks)}.")
    return [*said, *NOT_TRIED]


def _result(evaluation: Evaluation, subject: str) -> MetricResult | None:
    """Return the result for all patients that a line of a verdict is about; None for attacks."""
    metric, _, part = subject.partition(": ")
    found = (one for one in evaluation.results if (one.metric, one.part, one.stratum) == (metric, part, ""))
    return next(found, None)


def _named(result: MetricResult) -> str:
    return f"{result.title}: {result.part}" if result.part else result.title


def _interval(lo: float | None, hi: float | None) -> str:
    return "" if lo is None or hi is None else f" ({short(lo)} to {short(hi)})"
