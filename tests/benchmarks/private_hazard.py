"""Whether hazard ratios of private synthetic patients agree with the truth, by two kinds of interval.

python -m tests.benchmarks.private_hazard --patients 20000 --epsilons 8 --seeds 3 --out runs/private

``single``: the 95 % interval of one synthetic cohort of as many patients as train has, as if they were real. It forgets
that the train patients are a sample: even a perfect generator would miss by the error of train and of the draw, so
that it covers 83 % of the time. ``combined``: the estimates of 10 synthetic cohorts of one fit by the rule of Raab,
Nowok and Dibben (2016), which counts both. It knows nothing of the noise of the fit. The truth is that of 400,000
simulated patients. Rows go to ``<out>/hazard.jsonl``; those that are there are not run again.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.rows import measured_rows, put_between

MARKS = ("<!-- private hazard table -->", "<!-- end of private hazard table -->")
N_DRAWS, N_TRUTH, Z = 10, 400_000, 1.96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", default="20000")
    parser.add_argument("--epsilons", default="8")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/private"))
    parser.add_argument("--into", type=Path, help="a page whose table between its two marks is replaced")
    arguments = parser.parse_args()
    keys = [
        {"n": int(n), "epsilon": float(epsilon), "seed": seed}
        for n in arguments.patients.split(",")
        for epsilon in arguments.epsilons.split(",")
        for seed in range(arguments.seeds)
    ]
    rows = measured_rows(arguments.out / "hazard.jsonl", keys, measure)
    print(table(rows))
    if arguments.into is not None:
        put_between(arguments.into, MARKS, table(rows) + "\n")


def measure(n: int, epsilon: float, seed: int) -> dict[str, Any]:
    """The ratios of one private fit."""
    from longsynth.budget import PrivacyBudget, PrivacyLedger
    from longsynth.generators.private_fit import fit_private
    from longsynth.generators.settings import private_settings
    from longsynth.training.noise import SecretRandomness
    from tests.benchmarks.private_cohorts import simulated

    train, _ = simulated(n, seed)
    with tempfile.TemporaryDirectory() as folder:
        ledger = PrivacyLedger(PrivacyBudget(epsilon, 1 / (20 * n)))
        model, _ = fit_private(train, ledger, private_settings(n, Path(folder), seed), SecretRandomness())
    return {"ratios": hazard_ratios(model, train, seed)}


def hazard_ratios(model: Any, train: Any, seed: int) -> dict[str, dict[str, float]]:
    """Log hazard ratio of each static attribute: truth, train, one draw and ten, and whether the truth is inside."""
    from longsynth.evaluation.arms import combine_synthetic
    from longsynth.evaluation.hazard_ratios import baseline_hazard_ratios

    n = train.n_patients
    ids = [f"synthetic-{row}" for row in range(n)]
    draws = [
        baseline_hazard_ratios(model.encoder.inverse_transform(model.sample(n, N_DRAWS * seed + draw), ids))
        for draw in range(N_DRAWS)
    ]
    truth, of_train = _truth(), baseline_hazard_ratios(train)
    found = {}
    for name, true in truth.items():
        estimates = np.array([draw[name].log_ratio for draw in draws])
        errors = np.array([draw[name].standard_error for draw in draws])
        combined, error = combine_synthetic(estimates, errors**2, n, n)
        found[name] = {
            "truth": true.log_ratio,
            "train": of_train[name].log_ratio,
            "single": float(estimates[0]),
            "combined": combined,
            "standard_error": error,
            "single_inside": float(np.mean(np.abs(estimates - true.log_ratio) <= Z * errors)),
            "combined_inside": float(abs(combined - true.log_ratio) <= Z * error),
        }
    return found


@cache
def _truth() -> Any:
    from longsynth import simulate_cohort
    from longsynth.evaluation.hazard_ratios import baseline_hazard_ratios

    return baseline_hazard_ratios(simulate_cohort(N_TRUTH, 99_999))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: one row a fit, the arm's ratio, and shares inside over the attributes."""
    titles = ["n", "epsilon", "seed", "true arm", "train", "one draw", "ten draws", "standard error"]
    titles += ["single draws inside", "combined inside", "all: single draws inside", "all: combined inside"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in sorted(rows, key=lambda row: (row["n"], row["epsilon"], row["seed"])):
        arm, ratios = row["ratios"]["static.arm"], list(row["ratios"].values())
        cells = [str(row[name]) for name in ("n", "epsilon", "seed")]
        cells += [f"{arm[name]:.3f}" for name in ("truth", "train", "single", "combined", "standard_error")]
        cells += [f"{arm['single_inside']:.0%}", "yes" if arm["combined_inside"] else "no"]
        cells.append(f"{np.mean([one['single_inside'] for one in ratios]):.0%}")
        cells.append(f"{sum(one['combined_inside'] for one in ratios):.0f} of {len(ratios)}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
