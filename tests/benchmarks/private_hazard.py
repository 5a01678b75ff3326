"""Whether hazard ratios of private synthetic patients agree with the truth, by three kinds of interval.

python -m tests.benchmarks.private_hazard --patients 20000 --epsilons 8 --seeds 4 --out runs/private

``single``: the 95 % interval of one synthetic cohort of as many patients as train has, as if they were real. It forgets
that the train patients are a sample: even a perfect generator would miss by the error of train and of the draw, so
that it covers 83 % of the time. ``combined``: the estimates of 10 synthetic cohorts of one fit by the rule of Raab,
Nowok and Dibben (2016), which counts both. It knows nothing of the noise of the fit. ``refitted``: by 10 refits to
patients drawn from the fit (`refitted_interval`), which counts that too. The truth is that of 400,000 simulated
patients. Rows go to ``<out>/hazard.jsonl``; those that are there are not run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.rows import measured_rows, put_between

MARKS = ("<!-- private hazard table -->", "<!-- end of private hazard table -->")
N_DRAWS, N_REFITS, N_TRUTH, Z = 10, 10, 400_000, 1.96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", default="20000")
    parser.add_argument("--epsilons", default="8")
    parser.add_argument("--seeds", type=int, default=4)
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
    """The ratios of one private fit and of its refits."""
    from longsynth import PrivacyBudget, Synthesizer
    from longsynth.evaluation.estimates import refitted_interval
    from tests.benchmarks.private_cohorts import simulated

    train, _ = simulated(n, seed)
    started = time.perf_counter()
    synthesizer = Synthesizer(seed, privacy=PrivacyBudget(epsilon, 1 / (20 * n))).fit(train)
    ratios = hazard_ratios(partial(synthesizer.sample, n), train, seed)
    n_noisy = round(synthesizer.training_record["private"]["n_patients_noisy"])
    refits = [_means(partial(again.sample, n), seed) for again in synthesizer.refits(n_noisy, N_REFITS, seed)]
    for name, one in ratios.items():
        refitted = np.array([refit[name] for refit in refits])
        one["low"], one["high"] = refitted_interval(one["combined"], refitted)
        one["refitted_inside"] = float(one["low"] <= one["truth"] <= one["high"])
        one["refits"] = refitted.tolist()
    return {"ratios": ratios, "seconds": time.perf_counter() - started}


def hazard_ratios(sample: Callable[..., Any], train: Any, seed: int) -> dict[str, dict[str, Any]]:
    """Log hazard ratio of each static attribute: truth, train, one draw and ten, and whether the truth is inside.

    ``sample(seed=...)`` draws as many patients as train has.
    """
    from longsynth.evaluation.estimates import combine_synthetic
    from longsynth.evaluation.hazard_ratios import baseline_hazard_ratios

    n, draws = train.n_patients, _drawn(sample, seed)
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


def _drawn(sample: Callable[..., Any], seed: int) -> list[dict[str, Any]]:
    from longsynth.evaluation.hazard_ratios import baseline_hazard_ratios

    return [baseline_hazard_ratios(sample(seed=N_DRAWS * seed + draw)) for draw in range(N_DRAWS)]


def _means(sample: Callable[..., Any], seed: int) -> dict[str, float]:
    """Mean log hazard ratio over ten draws."""
    draws = _drawn(sample, seed)
    return {name: float(np.mean([draw[name].log_ratio for draw in draws])) for name in draws[0]}


@cache
def _truth() -> Any:
    from longsynth import simulate_cohort
    from longsynth.evaluation.hazard_ratios import baseline_hazard_ratios

    return baseline_hazard_ratios(simulate_cohort(N_TRUTH, 99_999))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: one row a fit, the arm's ratio, and shares inside over the attributes."""
    titles = ["n", "epsilon", "seed", "true arm", "train", "one draw", "ten draws", "standard error", "refits: 95 %"]
    titles += ["single draws inside", "combined inside", "refitted inside"]
    titles += [f"all: {title}" for title in titles[-3:]] + ["seconds"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in sorted(rows, key=lambda row: (row["n"], row["epsilon"], row["seed"])):
        arm, ratios = row["ratios"]["static.arm"], list(row["ratios"].values())
        cells = [str(row[name]) for name in ("n", "epsilon", "seed")]
        cells += [f"{arm[name]:.3f}" for name in ("truth", "train", "single", "combined", "standard_error")]
        cells += [f"{arm['low']:.3f} to {arm['high']:.3f}", f"{arm['single_inside']:.0%}"]
        cells += ["yes" if arm[f"{name}_inside"] else "no" for name in ("combined", "refitted")]
        cells.append(f"{np.mean([one['single_inside'] for one in ratios]):.0%}")
        for name in ("combined", "refitted"):
            cells.append(f"{sum(one[f'{name}_inside'] for one in ratios):.0f} of {len(ratios)}")
        lines.append("| " + " | ".join([*cells, f"{row['seconds']:.0f}"]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
