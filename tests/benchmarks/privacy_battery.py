"""What the attacks find in releases whose leak is known, and in the generators: a table of damage by attack.

    python -m tests.benchmarks.privacy_battery --cohort pbcseq --out runs/privacy
    python -m tests.benchmarks.privacy_battery --report --out runs/privacy --into docs/benchmarks.md

Train is what the benchmarks of fidelity train on, the holdout is the control. Releases have as many patients as train.
Of train and of the holdout together there is no third part of real patients, so that "half of train" stands for a
perfect sampler: one half of train is the release, the other half are the members. Each release is attacked in a process
of its own, and added to ``<out>/<cohort>.jsonl`` when it is done; rows that are there already are not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.split import split
from longsynth.schema.types import NUMERIC_KINDS
from tests.benchmarks.baseline_cart import fit_sample_cart
from tests.benchmarks.data import COHORTS, add_data_argument, load_benchmark
from tests.benchmarks.process import alone
from tests.benchmarks.rows import put_between

MARKS = ("<!-- privacy tables -->", "<!-- end of privacy tables -->")
RELEASES = (
    "half of train", "members", "members + 1 %", "members + 5 %", "members + 20 %", "half + 10 % copies",
    "half + 1 outlier", "cart", "likelihood", "hybrid",
)  # fmt: skip
ATTACKS = ("duplicates", "closest", "membership", "linkage", "singling_out", "inference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--cohort", default="pbcseq", choices=COHORTS)
    parser.add_argument("--releases", default=",".join(RELEASES), help="one or more, with commas")
    parser.add_argument("--knowledge", default="glance,relative,lab_feed,full", help="presets, with commas")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/privacy"))
    parser.add_argument("--report", action="store_true", help="only write the table of the rows that are there")
    parser.add_argument("--into", type=Path, help="a page whose table between its two marks is replaced")
    arguments = parser.parse_args()
    rows = arguments.out / f"{arguments.cohort}.jsonl"
    if not arguments.report:
        rows.parent.mkdir(parents=True, exist_ok=True)
        done = {row["release"] for row in _read(rows)}
        for name in arguments.releases.split(","):
            if name not in done:
                row = alone(
                    attacked, arguments.cohort, name, arguments.data, arguments.knowledge, threads=arguments.threads
                )
                with rows.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(name, row["seconds"])
    table = report(arguments.cohort, _read(rows))
    print(table)
    if arguments.into is not None:
        put_between(arguments.into, MARKS, table)


def attacked(cohort: str, name: str, data: str, knowledge: str) -> dict[str, Any]:
    """Make one release, attack it, and return the results."""
    from longsynth.privacy.assess import assess_privacy

    train, holdout = load_benchmark(cohort, data)
    synthetic, members = release(name, train)
    start = time.process_time()
    found = assess_privacy(synthetic, members, holdout, knowledge=knowledge.split(","))
    seconds = round(time.process_time() - start)
    columns = ("attack", "part", "knowledge", "subset", "measure", "state", "risk", "risk_lo", "risk_hi", "flagged")
    results = found.frame().select(*columns).to_dicts()
    sizes = {"n_members": members.n_patients, "n_control": holdout.n_patients, "n_synthetic": synthetic.n_patients}
    return {"release": name, "seconds": seconds, **sizes, "diagnostics": found.diagnostics, "results": results}


def release(name: str, train: Cohort) -> tuple[Cohort, Cohort]:
    """Return a synthetic cohort and the members it was made from."""
    if name.startswith("half"):
        members, fresh = split(train, holdout=0.5, seed=0)
        ids = _named(members)
        n_copied = {"half of train": 0, "half + 10 % copies": round(fresh.n_patients / 9), "half + 1 outlier": 1}[name]
        copied = ids[:n_copied] if n_copied != 1 else [_outlier(members)]
        return (_together(fresh, members.select(copied)) if n_copied else _relabelled(fresh)), members
    if name.startswith("members"):
        noise = 0.0 if name == "members" else float(name.removeprefix("members + ").removesuffix(" %")) / 100
        return _relabelled(_with_noise(train, noise)), train
    if name == "cart":
        return fit_sample_cart(train, train.n_patients, 0), train
    from longsynth.synthesizer import Synthesizer

    return Synthesizer(seed=0, objective=name).fit(train).sample(train.n_patients, seed=0), train


def report(cohort: str, rows: list[dict[str, Any]]) -> str:
    """Return a markdown table: a line a release, a column an attack; the largest risk of its parts, bold if flagged."""
    titles = ["release", *ATTACKS, "dcr_share", "flagged", "isolated flagged", "not assessed", "CPU s"]
    lines = [f"### {cohort}", "", "| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    for row in sorted(rows, key=lambda row: RELEASES.index(row["release"])):
        everyone = [one for one in row["results"] if one["subset"] == "all"]
        cells = [_largest([one for one in everyone if one["attack"] == attack]) for attack in ATTACKS]
        assessed = [one for one in everyone if one["state"] == "assessed"]
        isolated = [one for one in row["results"] if one["subset"] == "isolated" and one["state"] == "assessed"]
        counts = [f"{sum(bool(one['flagged']) for one in group)} of {len(group)}" for group in (assessed, isolated)]
        left = str(len(everyone) - len(assessed))
        diagnostic = f"{row['diagnostics'].get('dcr_share', float('nan')):.2f}"
        lines.append("| " + " | ".join([row["release"], *cells, diagnostic, *counts, left, str(row["seconds"])]) + " |")
    return "\n".join(lines) + "\n"


def _largest(results: list[dict[str, Any]]) -> str:
    assessed = [one for one in results if one["state"] == "assessed"]
    if not assessed:
        return "not assessed"
    flagged = [one for one in assessed if one["flagged"]]
    worst = max(flagged or assessed, key=lambda one: one["risk"])
    text = f"{worst['risk']:.2f} ({worst['risk_lo']:.2f} to {worst['risk_hi']:.2f})"
    return f"**{text}**" if flagged else text


def _with_noise(cohort: Cohort, noise: float) -> Cohort:
    """Return a cohort whose numeric channels are off by a share of their range, within their bounds."""
    if not noise:
        return cohort
    rng, visits = np.random.default_rng(0), cohort.visits
    for name, column in cohort.schema.channels.items():
        if column.kind in NUMERIC_KINDS and column.kind != "date":
            low, high = visits[name].quantile(0.05), visits[name].quantile(0.95)
            moved = visits[name] + pl.Series(rng.normal(0, noise * (high - low), visits.height))
            moved = moved.clip(visits[name].min(), visits[name].max())
            visits = visits.with_columns((moved.round() if column.kind == "count" else moved).alias(name))
    return Cohort(cohort.static, visits, schema=cohort.schema)


def _outlier(cohort: Cohort) -> Any:
    """Return the id of the patient furthest from all others."""
    from longsynth.privacy.records import records_of
    from longsynth.privacy.space import nearest, standardised

    records = records_of(cohort)
    points = standardised(records, records)
    row = int(np.argmax(nearest(points, points, 1, own=np.arange(len(points)))[:, 0]))
    return cohort.static[cohort.schema.patient_id][int(records.rows[row])]


def _together(first: Cohort, second: Cohort) -> Cohort:
    tables = (pl.concat([getattr(one, table) for one in (first, second)]) for table in ("static", "visits"))
    return _relabelled(Cohort(*tables, schema=first.schema))


def _relabelled(cohort: Cohort) -> Cohort:
    """Return a cohort with other ids, as a synthetic one."""
    name = cohort.schema.patient_id
    ids = pl.DataFrame({name: _named(cohort), "new": [f"s-{i:06d}" for i in range(cohort.n_patients)]})
    tables = (
        table.join(ids, on=name, maintain_order="left").drop(name).rename({"new": name})
        for table in (cohort.static, cohort.visits)
    )
    return Cohort(*tables, schema=cohort.schema, origin="synthetic")


def _named(cohort: Cohort) -> pl.Series:
    return cohort.static[cohort.schema.patient_id]


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
