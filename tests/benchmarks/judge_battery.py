"""The judge's known answers as a table: which metrics see which planted damage.

    python -m tests.benchmarks.judge_battery --patients 300 --into docs/benchmarks.md

One population (`simulate_cohort`), train, holdout and a fresh sample of equal size, each damage planted into the fresh
sample. A cell is the number of a metric's rows that are flagged, of those that have a value.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import polars as pl

from longsynth.evaluation.base import METRICS
from longsynth.evaluation.evaluate import evaluate_all
from tests.battery import DAMAGES, fresh
from tests.benchmarks.rows import put_between

MARKS = ("<!-- battery of the judge -->", "<!-- end of the battery of the judge -->")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, help="a page whose table between its two marks is replaced by the new one")
    arguments = parser.parse_args()
    table = run(arguments.patients, arguments.seed)
    print(table)
    if arguments.into is not None:
        put_between(arguments.into, MARKS, table)


def run(n: int, seed: int) -> str:
    """Judge the fresh sample and every damaged one, and return the table as markdown."""
    start = time.perf_counter()
    train, holdout, other = (fresh(n, 3 * seed + place) for place in (1, 2, 3))
    cohorts = {name: damage.apply(other, np.random.default_rng(seed)) for name, damage in DAMAGES.items()}
    found = evaluate_all({"fresh": other, **cohorts}, train=train, holdout=holdout, arm="arm", strata=[], seed=seed)
    frames = {name: evaluation.frame() for name, evaluation in found.items()}
    lines = ["| metric | " + " | ".join(frames) + " |", "|---" * (len(frames) + 1) + "|"]
    for metric in METRICS:
        cells = [_cell(frame.filter(metric=metric).drop_nulls("flagged")["flagged"]) for frame in frames.values()]
        lines.append("| " + " | ".join([f"`{metric}`", *cells]) + " |")
    seconds = time.perf_counter() - start
    return "\n".join([f"{n} patients in each sample, seed {seed}, {seconds:.0f} s.", "", *lines, ""])


def _cell(flagged: pl.Series) -> str:
    return "-" if not len(flagged) else f"{flagged.sum()} of {len(flagged)}" if flagged.any() else "·"


if __name__ == "__main__":
    main()
