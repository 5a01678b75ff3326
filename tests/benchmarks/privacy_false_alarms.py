"""How often attacks raise an alarm where there is no leak: releases that are fresh real patients.

    python -m tests.benchmarks.privacy_false_alarms --cohort pbcseq,aids --out runs/false_alarms
    python -m tests.benchmarks.privacy_false_alarms --cohort pbcseq,aids --report --into docs/benchmarks.md

All patients of a real cohort are dealt at random into three equal parts: release, members and control. The default
attacks by all attackers are tried, and that is done for many splits. A result may be flagged, before adjustment, in
2.5 % of the splits; after Holm's adjustment any result at all may be flagged in 2.5 %. Splits run in processes of their
own, ten each, and are added to ``<out>/<cohort>.jsonl``; splits that are there already are not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from scipy.stats import binom

from longsynth.cohort.split import split
from tests.benchmarks.data import COHORTS, add_data_argument, load_whole
from tests.benchmarks.process import alone
from tests.benchmarks.rows import put_between, read_rows

MARKS = ("<!-- false alarms -->", "<!-- end of false alarms -->")
NOMINAL = 0.025
CHANCE = 0.001  # that a column of the table lies beyond its limit by luck
BATCH = 10
COLUMNS = ("attack", "part", "knowledge", "subset", "state", "p_value", "flagged")
TITLES = (
    "attack", "results a split", "not assessed", "flagged, unadjusted", "most often flagged result, unadjusted",
    "splits with a flag after Holm",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--cohort", default="pbcseq,aids", help=f"one or more of {', '.join(COHORTS)}, with commas")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/false_alarms"))
    parser.add_argument("--report", action="store_true", help="only write the table of the rows that are there")
    parser.add_argument("--into", type=Path, help="a page whose table between its two marks is replaced")
    arguments = parser.parse_args()
    tables = []
    for cohort in arguments.cohort.split(","):
        rows = arguments.out / f"{cohort}.jsonl"
        if not arguments.report:
            _run_missing(cohort, rows, arguments)
        tables.append(report(cohort, read_rows(rows)))
    page = "\n".join(tables)
    print(page)
    if arguments.into is not None:
        put_between(arguments.into, MARKS, page)


def _run_missing(cohort: str, rows: Path, arguments: argparse.Namespace) -> None:
    rows.parent.mkdir(parents=True, exist_ok=True)
    done = {row["seed"] for row in read_rows(rows)}
    seeds = [seed for seed in range(arguments.splits) if seed not in done]
    for start in range(0, len(seeds), BATCH):
        found = alone(attacked, cohort, arguments.data, seeds[start : start + BATCH], threads=arguments.threads)
        with rows.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)
        print(cohort, start + len(found), "of", len(seeds), flush=True)


def attacked(cohort: str, data: str, seeds: list[int]) -> list[dict[str, Any]]:
    """Attack one split for each seed, and return its results."""
    from longsynth.privacy.assess import assess_privacy

    patients = load_whole(cohort, data)
    rows = []
    for seed in seeds:
        fresh, rest = split(patients, holdout=2 / 3, seed=1000 + seed)
        members, control = split(rest, holdout=0.5, seed=seed)
        start = time.process_time()
        found = assess_privacy(fresh, members, control, seed=seed)
        results = found.frame().select(COLUMNS).to_dicts()
        rows.append({"seed": seed, "seconds": round(time.process_time() - start, 1), "results": results})
    return rows


def report(cohort: str, rows: list[dict[str, Any]]) -> str:
    """Return a markdown table: a line an attack, and one for all of them together."""
    n, results = len(rows), [(row["seed"], one) for row in rows for one in row["results"]]
    lines = [f"**{cohort}**: {n} splits, {sum(row['seconds'] for row in rows) / 60:.0f} CPU minutes.", ""]
    lines += ["| " + " | ".join(TITLES) + " |", "|---" * len(TITLES) + "|"]
    attacks = list(dict.fromkeys(one["attack"] for _, one in results))
    for name in [*attacks, "all"]:
        lines.append(_line(name, [found for found in results if name in ("all", found[1]["attack"])], n))
    return "\n".join(lines) + "\n"


def _line(name: str, results: list[tuple[int, dict[str, Any]]], n: int) -> str:
    """Return one attack's line; results are pairs of split and result."""
    alarms = Counter(
        (one["attack"], one["part"], one["knowledge"], one["subset"])
        for _, one in results
        if one["p_value"] is not None and one["p_value"] <= NOMINAL
    )
    tried = {(one["attack"], one["part"], one["knowledge"], one["subset"]) for _, one in results}
    most, count = alarms.most_common(1)[0] if alarms else (("", "", "", ""), 0)
    limits = [int(binom.isf(chance, n, NOMINAL)) for chance in (CHANCE / len(tried), CHANCE)]
    splits_flagged = len({seed for seed, one in results if one["flagged"]})
    left = sum(one["state"] == "not assessed" for _, one in results) / len(results)
    words = ", ".join(part for part in most[1:] if part)
    cells = [
        name, f"{len(results) / n:.0f}", f"{left:.0%}", f"{sum(alarms.values()) / len(results):.1%}",
        f"{count} (limit {limits[0]}){': ' + words if words else ''}", f"{splits_flagged} (limit {limits[1]})",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
