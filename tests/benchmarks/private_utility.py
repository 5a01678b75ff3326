"""What a private fit keeps of what there is to learn, by number of patients and epsilon.

python -m tests.benchmarks.private_utility --patients 300,1000,3000,20000 --epsilons 1,3,8 --seeds 3 --out runs/private
python -m tests.benchmarks.private_utility --cohort physionet2012 --epsilons 1,3,8 --seeds 3 --out runs/private

Gains are in held-out log-likelihood a patient, in nats, of the records as they are written, over the margins without
noise ("exact margins"). Arms: the private fit; ``noisy margins``: what its two releases give before any training;
``no DP``: the network without clipping and noise on exact margins; ``clip only``: the same with clipping. The share
kept is the private gain over that without DP. ``tables``: what noisy two-way tables for the budget of the training add
to the noisy margins. Kaplan-Meier area: of as many synthetic patients as train has against the holdout. Arm effect
kept: log hazard ratio of the arm in ten synthetic cohorts over that in train. Hazard ratios: whether the true ones lie
in the intervals of ten synthetic cohorts together, as in ``private_hazard``. Rows go to ``<out>/utility.jsonl``; those
that are there are not run again. Smaller epsilon is stronger privacy.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.data import add_data_argument
from tests.benchmarks.private_cohorts import ICU_PATIENTS
from tests.benchmarks.process import alone
from tests.benchmarks.rows import put_between, read_rows

MARKS = ("<!-- private table -->", "<!-- end of private table -->")
DELTA_SHARE = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--cohort", default="simulated", choices=("simulated", "physionet2012"))
    parser.add_argument("--patients", default="300,1000,3000,20000")
    parser.add_argument("--epsilons", default="1,3,8")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/private"))
    parser.add_argument("--into", type=Path, help="a page whose table between its two marks is replaced")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "utility.jsonl"
    rows = read_rows(path)
    sizes = [int(n) for n in arguments.patients.split(",")] if arguments.cohort == "simulated" else [ICU_PATIENTS]
    epsilons = list(map(float, arguments.epsilons.split(",")))
    for n in sizes:
        for seed in range(arguments.seeds):
            key = {"cohort": arguments.cohort, "n": n, "seed": seed}
            done = {row["epsilon"] for row in rows if key.items() <= row.items()}
            missing = [epsilon for epsilon in epsilons if epsilon not in done]
            if not missing:
                continue
            found = [key | row for row in alone(measure, arguments.cohort, n, missing, seed, arguments.data)]
            rows += found
            with path.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)
    print(table(rows))
    if arguments.into is not None:
        put_between(arguments.into, MARKS, table(rows) + "\n")


def measure(cohort: str, n: int, epsilons: list[float], seed: int, data: str) -> list[dict[str, Any]]:
    """A private fit for each epsilon, beside the arms that do not depend on it."""
    from longsynth.generators.likelihood import margins_alone, record_log_likelihood
    from longsynth.generators.without_noise import fit_without_noise
    from longsynth.training.noise import SecretRandomness
    from tests.benchmarks.private_cohorts import load_icu, simulated

    train, holdout = simulated(n, seed) if cohort == "simulated" else load_icu(data)
    randomness = SecretRandomness()
    free = {clip: fit_without_noise(train, None, clip=clip, seed=seed, randomness=randomness) for clip in (False, True)}
    exact = float(record_log_likelihood(margins_alone(free[False]), holdout).mean())
    arms = {"exact margins": exact} | {
        name: float(record_log_likelihood(free[clip], holdout).mean()) - exact
        for name, clip in (("no DP", False), ("clip only", True))
    }
    return [arms | private_row(train, holdout, epsilon, exact, seed, cohort == "simulated") for epsilon in epsilons]


def private_row(
    train: Any, holdout: Any, epsilon: float, exact: float, seed: int, truth_is_known: bool
) -> dict[str, Any]:
    """One private fit, its noisy margins and the tables beside it; ``exact`` is the likelihood of the exact margins."""
    from longsynth.budget import PrivacyBudget
    from longsynth.encoding.private_counts import truncate
    from longsynth.evaluation.survival import km_area
    from longsynth.generators.internal_fit import fit_internally
    from longsynth.generators.likelihood import margins_alone, record_log_likelihood
    from longsynth.training.accounting import noise_for
    from longsynth.training.noise import SecretRandomness
    from tests.benchmarks.private_hazard import hazard_ratios
    from tests.benchmarks.private_tables import pairs_of, table_gain

    delta = DELTA_SHARE / (2 * train.n_patients)
    started = time.perf_counter()
    fitted = fit_internally(train, PrivacyBudget(epsilon, delta), seed, SecretRandomness())
    seconds, model = time.perf_counter() - started, fitted.model
    likelihoods = {"noisy margins": margins_alone(model), "private": model}
    found = {name: float(record_log_likelihood(one, holdout).mean()) - exact for name, one in likelihoods.items()}
    most = model.architecture.max_visits
    encoded, held_out = (truncate(model.encoder.transform(part), most)[0] for part in (train, holdout))
    before = [(spend.noise_multiplier, 1.0, 1) for spend in fitted.ledger.spends[:2]]
    noise = noise_for(epsilon, delta, lambda noise: [*before, (noise, 1.0, 1)])
    pairs = (pairs_of(model.encoder, part, most) for part in (encoded, held_out))
    ids = [f"synthetic-{row}" for row in range(train.n_patients)]

    def sample(seed: int) -> Any:
        return model.encoder.inverse_transform(model.sample(train.n_patients, seed), ids)

    synthetic = sample(seed)
    ratios = {"ratios": hazard_ratios(sample, train, seed)} if truth_is_known else {}
    of_tables = table_gain(*pairs, holdout.n_patients, noise)
    rest = {"tables": of_tables, "km_area": km_area(synthetic, holdout), "max_visits": most}
    return {"epsilon": epsilon, "seconds": seconds, **found, **rest, **ratios}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: mean over seeds and, in brackets, standard deviation."""
    titles = ["cohort", "n", "epsilon", "seeds", "exact margins", "no DP", "clip only", "noisy margins", "private"]
    titles += ["share kept", "tables add", "KM area", "arm effect kept", "arm HR inside", "HRs inside", "seconds"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for key in sorted({(row["cohort"], row["n"], row["epsilon"]) for row in rows}):
        mine = [row for row in rows if (row["cohort"], row["n"], row["epsilon"]) == key]
        share = [{"share": row["private"] / row["no DP"]} for row in mine]
        cells = [*map(str, key), str(len(mine))]
        cells += [_cell(mine, name, 2) for name in ("exact margins", "no DP", "clip only", "noisy margins", "private")]
        cells += [_cell(share, "share", 2), _cell(mine, "tables", 2), _cell(mine, "km_area", 3)]
        ratios = [row["ratios"] for row in mine if row.get("ratios")]
        effects = [one["static.arm"]["combined"] / one["static.arm"]["train"] for one in ratios]
        cells.append(_cell([{"effect": effect} for effect in effects], "effect", 2) if effects else "-")
        arm = [one["static.arm"]["combined_inside"] for one in ratios]
        every = [ratio["combined_inside"] for one in ratios for ratio in one.values()]
        cells += [f"{sum(part):.0f} of {len(part)}" if part else "-" for part in (arm, every)]
        cells.append(_cell(mine, "seconds", 0))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(rows: list[dict[str, Any]], name: str, digits: int) -> str:
    values = np.array([row[name] for row in rows])
    spread = f" ({values.std(ddof=1):.{digits}f})" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


if __name__ == "__main__":
    main()
