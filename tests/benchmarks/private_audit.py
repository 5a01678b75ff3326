"""What audits prove of private fits, as they are and with all noise switched off.

python -m tests.benchmarks.private_audit --out runs/private --into docs/benchmarks.md

Simulated cohorts under a claim of epsilon 1 and delta 1e-5, 200 canaries. With noise 0 the claim is false, and an
audit should prove more than it; with noise as it should be, at most 1 run in 20 may. Rows go to ``<out>/audit.jsonl``;
those that are there are not run again. Smaller epsilon is stronger privacy.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.rows import measured_rows, put_between

MARKS = ("<!-- audit table -->", "<!-- end of audit table -->")
CLAIM, DELTA, N_CANARIES = 1.0, 1e-5, 200
RUNS = {(200, 0.0): 3, (1000, 0.0): 1, (5000, 0.0): 1, (200, 1.0): 12}
"""Number of seeds by real patients and share of the noise."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/private"))
    parser.add_argument("--into", type=Path, help="a page whose table between its two marks is replaced")
    arguments = parser.parse_args()
    keys = [{"n": n, "noise": noise, "seed": seed} for (n, noise), n_seeds in RUNS.items() for seed in range(n_seeds)]
    rows = measured_rows(arguments.out / "audit.jsonl", keys, measure)
    print(table(rows))
    if arguments.into is not None:
        put_between(arguments.into, MARKS, table(rows) + "\n")


def measure(n: int, noise: float, seed: int) -> dict[str, float]:
    """The bound of each attacker in one audit."""
    from longsynth import PrivacyBudget, simulate_cohort
    from longsynth.generators.audit import audit
    from longsynth.training.noise import SecretRandomness

    class Scaled(SecretRandomness):
        def normal(self, n: int) -> np.ndarray:
            return noise * super().normal(n)

    budget = PrivacyBudget(CLAIM, DELTA)
    found = audit(simulate_cohort(n, 500 + seed), budget, n_canaries=N_CANARIES, seed=seed, randomness=Scaled())
    return {bound.attacker: bound.epsilon_at_least for bound in found.bounds}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: what each attacker proved in each run, and how many runs refute the claim."""
    attackers = ("likelihood", "sums", "output")
    lines = ["| real patients | noise | audits | " + " | ".join(f"`{name}`" for name in attackers) + " | refuted |"]
    lines.append("|" + "---|" * (4 + len(attackers)))
    for n, noise in sorted({(row["n"], row["noise"]) for row in rows}, key=lambda key: (key[1], key[0])):
        mine = [row for row in rows if (row["n"], row["noise"]) == (n, noise)]
        cells = [", ".join(f"{row[name]:.2f}" for row in mine) for name in attackers]
        refuted = sum(max(row[name] for name in attackers) > CLAIM for row in mine)
        kind = "none" if noise == 0 else "as claimed"
        lines.append(f"| {n:,} | {kind} | {len(mine)} | " + " | ".join(cells) + f" | {refuted} of {len(mine)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
