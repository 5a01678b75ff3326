"""How often a fresh sample of the real population passes the checks of usefulness that profiles for trials make.

    python -m tests.benchmarks.profile_passes --out runs/profile_passes --into docs/benchmarks.md

Each seed draws train, holdout and a third sample of as many patients from one population (`simulate_cohort`, two of
three patients with the event), and judges the third as if it were synthetic. Rows go to ``<out>/rows.jsonl``; seeds
that are there already are not run again. The type I error is left out: it would take most of the time, and is that of
1,000 patients whatever the size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.process import alone
from tests.benchmarks.rows import put_between, read_rows

MARKS = ("<!-- passes of profiles -->", "<!-- end of the passes of profiles -->")
SIZES = (500, 1000, 5000)
BATCH = 2
LEFT_OUT = "type_one_error"
BAND = {"rule": "band", "limit": None}
PROFILES: dict[str, Any] = {
    "trial design": "trial_design",
    "trial design, with a margin for the treatment": {
        "base": "trial_design", "checks": {"treatment_effect": {"limit": 0.2}},
    },
    "trial design, held against bands": {
        "base": "trial_design", "checks": {"hazard_ratios": BAND, "censoring": BAND},
    },
    "external control arm, with margins": {
        "base": "external_control_arm",
        "checks": {"survival_time": {"limit": 0.05}, "treatment_effect": {"limit": 0.2}, "treatment_time": None},
    },
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/profile_passes"))
    parser.add_argument("--into", type=Path, help="a page whose table between its two marks is replaced")
    arguments = parser.parse_args()
    rows = arguments.out / "rows.jsonl"
    rows.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["n"], row["seed"]) for row in read_rows(rows)}
    for n in SIZES:
        seeds = [seed for seed in range(arguments.seeds) if (n, seed) not in done]
        for start in range(0, len(seeds), BATCH):
            found = alone(judged, n, seeds[start : start + BATCH])
            with rows.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)
            print(n, "patients:", start + len(found), "of", len(seeds), flush=True)
    table = report(read_rows(rows))
    print(table)
    if arguments.into is not None:
        put_between(arguments.into, MARKS, table)


def judged(n: int, seeds: list[int]) -> list[dict[str, Any]]:
    """For each seed, the state of each check and of the group in every profile."""
    from longsynth.evaluation.evaluate import evaluate_all
    from longsynth.report.profiles import judge, load_profile
    from longsynth.report.profiles.verdict import WORST_FIRST

    profiles = {name: load_profile(source) for name, source in PROFILES.items()}
    metrics = {name for one in profiles.values() for check in _useful(one).values() for name in check.metrics}
    rows = []
    for seed in seeds:
        train, holdout, fresh = (sample(n, 3 * seed + place) for place in range(3))
        real = {"train": train, "holdout": holdout}
        found = evaluate_all({"fresh": fresh}, **real, metrics=sorted(metrics), arm="arm", strata=[], seed=seed)
        states = {}
        for name, profile in profiles.items():
            lines = judge(profile, found, {}, {}).lines
            by_check = {
                check: min((line.state for line in lines if line.check == check), key=WORST_FIRST.index)
                for check in _useful(profile)
            }
            states[name] = by_check | {"all of these": min(by_check.values(), key=WORST_FIRST.index)}
        rows.append({"n": n, "seed": seed, "events": fresh.static["status"].mean(), "states": states})
    return rows


def _useful(profile: Any) -> dict[str, Any]:
    """Return the required checks of usefulness but the one that is left out."""
    checks = profile.checks.items()
    return {name: one for name, one in checks if one.group == "utility" and one.required and name != LEFT_OUT}


def sample(n: int, seed: int) -> Any:
    """Patients of the population, with ids that no other sample has."""
    import polars as pl

    from longsynth import Cohort, simulate_cohort
    from longsynth.cohort.simulate import SimulationTruth

    cohort = simulate_cohort(n, 20_000 + seed, SimulationTruth(hazard=0.2))
    name = (pl.lit(f"{seed}-") + pl.col("patient_id")).alias("patient_id")
    return Cohort(cohort.static.with_columns(name), cohort.visits.with_columns(name), schema=cohort.schema)


def report(rows: Iterable[dict[str, Any]]) -> str:
    """Return a markdown table: a line a profile and check, a column a size."""
    by_size: dict[int, list[dict[str, Any]]] = {n: [] for n in SIZES}
    for row in rows:
        by_size[row["n"]].append(row["states"])
    lines = [
        "| profile | check | " + " | ".join(f"{n:,} a side" for n in SIZES) + " |",
        "|---" * (2 + len(SIZES)) + "|",
    ]
    usual = {}
    for profile in PROFILES:
        for check in next(states[profile] for of_size in by_size.values() for states in of_size):
            cells = [_cell([states[profile][check] for states in by_size[n]]) for n in SIZES]
            if profile == "trial design":
                usual[check] = cells
            elif not profile.startswith("external") and usual[check] == cells:
                continue
            lines.append("| " + " | ".join([profile, check.replace("_", " "), *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(states: list[str]) -> str:
    failed = f", {states.count('fail')} fail" if "fail" in states else ""
    return f"{states.count('pass')} of {len(states)}{failed}"


if __name__ == "__main__":
    main()
