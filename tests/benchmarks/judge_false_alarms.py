"""How often the judge flags a synthetic cohort that is a fresh sample of the real population.

    python -m tests.benchmarks.judge_false_alarms --metrics cheap --out runs/judge
    python -m tests.benchmarks.judge_false_alarms --metrics costly --out runs/judge
    python -m tests.benchmarks.judge_false_alarms --metrics outside_range --out runs/judge
    python -m tests.benchmarks.judge_false_alarms --report --out runs/judge --into docs/benchmarks.md

Each seed draws train, holdout and a third sample of as many patients from one population (`simulate_cohort`, four
channels of different kinds), and judges the third as if it were synthetic. If the judge is right, a value of a metric
that can be worse in one direction is flagged in 2.5 % of the seeds, one of the others in 5 %. Limits are binomial: with
as many values as there are, one lies beyond them by luck in one run of twenty. Rows go to ``<out>/<metrics>.jsonl``;
seeds that are there already are not run again. A metric that was run by its name replaces what was found of it among
all others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scipy.stats import binom

from tests.benchmarks.process import alone
from tests.benchmarks.rows import put_between, read_rows

MARKS = ("<!-- false alarms of the judge -->", "<!-- end of the false alarms of the judge -->")
KINDS = ("cheap", "costly")
CHANNELS = ("crp", "flares", "ascites", "care")
BATCH = 10
CHANCE = 0.05
N_HALVES = 3
"""Half-samples give a value's interval, which has no part in its flag: three are enough here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", default=KINDS[0], help="costly, cheap for all others, or the name of one")
    parser.add_argument("--patients", type=int, default=100, help="in each of the three samples")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/judge"))
    parser.add_argument("--report", action="store_true", help="only write the table of the rows that are there")
    parser.add_argument("--into", type=Path, help="a page whose table between its two marks is replaced")
    arguments = parser.parse_args()
    if not arguments.report:
        run(arguments)
    named = {path.stem for path in arguments.out.glob("*.jsonl")} - set(KINDS)
    table = report(read_rows(arguments.out / f"{metrics}.jsonl") for metrics in (*KINDS, *sorted(named)))
    print(table)
    if arguments.into is not None:
        put_between(arguments.into, MARKS, table)


def run(arguments: argparse.Namespace) -> None:
    """Judge the samples of all seeds that are not there yet, in processes of their own."""
    rows = arguments.out / f"{arguments.metrics}.jsonl"
    rows.parent.mkdir(parents=True, exist_ok=True)
    done = {row["seed"] for row in read_rows(rows)}
    seeds = [seed for seed in range(arguments.splits) if seed not in done]
    for start in range(0, len(seeds), BATCH):
        found = alone(judged, arguments.metrics, arguments.patients, seeds[start : start + BATCH])
        with rows.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)
        print(arguments.metrics, start + len(found), "of", len(seeds), flush=True)


def judged(metrics: str, n: int, seeds: list[int]) -> list[dict[str, Any]]:
    """For each seed, what the judge says of each value of a fresh sample."""
    from longsynth.evaluation import evaluate as judge
    from longsynth.evaluation import metrics as _registered  # noqa: F401  (importing it registers the metrics)
    from longsynth.evaluation.base import METRICS

    kind = {name: KINDS[METRICS[name].is_costly] for name in METRICS}
    names = [name for name in METRICS if kind[name] == metrics] if metrics in KINDS else [metrics]
    for effort in ("CHEAP", "COSTLY"):
        setattr(judge, effort, replace(getattr(judge, effort), n_halves=N_HALVES))
    rows = []
    for seed in seeds:
        train, holdout, fresh = (_sample(n, 3 * seed + place) for place in range(3))
        found = judge.evaluate(fresh, train=train, holdout=holdout, metrics=names, arm="arm", strata=[], seed=seed)
        values = found.frame().select("metric", "part", "worse", "flagged", "reason").to_dicts()
        rows.append({"seed": seed, "values": values})
    return rows


def _sample(n: int, seed: int) -> Any:
    """Patients of the population, four channels each, with ids that no other sample has."""
    import polars as pl

    from longsynth import Cohort, simulate_cohort

    cohort = simulate_cohort(n, 10_000 + seed)
    schema = cohort.schema.model_copy(update={"channels": {name: cohort.schema.channels[name] for name in CHANNELS}})
    named = pl.format(f"sample-{seed}-{{}}", pl.col(schema.patient_id)).alias(schema.patient_id)
    static, visits = (table.with_columns(named) for table in (cohort.static, cohort.visits))
    return Cohort(static, visits.drop(set(cohort.schema.channels) - set(CHANNELS)), schema=schema)


def report(files: Iterable[list[dict[str, Any]]]) -> str:
    """Return a markdown table: a line a metric, from the last of the files that have it."""
    by_metric: dict[str, list[dict[str, Any]]] = {}
    for rows in files:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            for value in row["values"]:
                found.setdefault(value["metric"], []).append(value)
        by_metric |= found
    n_parts = sum(len({value["part"] for value in values}) for values in by_metric.values())
    lines = [
        "| metric | values a split | not assessed | flagged | nominal | most often flagged value |",
        "|---" * 6 + "|",
    ]
    for metric, values in by_metric.items():
        lines.append(_line(metric, values, n_parts))
    return "\n".join(lines) + "\n"


def _line(metric: str, values: list[dict[str, Any]], n_parts: int) -> str:
    assessed = [value for value in values if value["flagged"] is not None]
    nominal = 0.05 if values[0]["worse"] == "both" else 0.025
    left = f"{1 - len(assessed) / len(values):.0%}"
    by_part: dict[str, list[bool]] = {}
    for value in assessed:
        by_part.setdefault(value["part"], []).append(value["flagged"])
    if not by_part:
        return f"| `{metric}` | 0 | {left} | - | {nominal:.1%} | - |"
    part = max(by_part, key=lambda name: sum(by_part[name]))
    count, n = sum(by_part[part]), len(by_part[part])
    limit = int(binom.isf(CHANCE / n_parts, n, nominal))
    most = f"{count} of {n} (limit {limit}){': ' + part if part else ''}"
    share = sum(value["flagged"] for value in assessed) / len(assessed)
    return f"| `{metric}` | {len(by_part)} | {left} | {share:.1%} | {nominal:.1%} | {most} |"


if __name__ == "__main__":
    main()
