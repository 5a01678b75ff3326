"""What a private fit keeps of what there is to learn, by number of patients and epsilon.

python -m tests.benchmarks.private_utility --patients 300,1000,3000,20000 --epsilons 1,3,8 --seeds 3 --out runs/private
python -m tests.benchmarks.private_utility --cohort physionet2012 --epsilons 1,3,8 --seeds 3 --out runs/private

The gain is that in held-out log-likelihood a patient, in nats, over the margins of the same noisy encoder. Arms: the
private fit; ``no DP``: the same network and encoder without clipping and noise; ``clip only``: with clipping, without
noise; ``tables``: noisy two-way tables for the same budget instead of gradients. The share kept is the private gain
over that without DP. Kaplan-Meier area: of as many synthetic patients as train has against the holdout. Hazard ratios:
whether the true ones lie in the intervals of ten synthetic cohorts together, as in ``private_hazard``. Rows go to
``<out>/utility.jsonl``; those that are there are not run again. Smaller epsilon is stronger privacy.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.data import add_data_argument
from tests.benchmarks.process import alone
from tests.benchmarks.rows import read_rows

DELTA_SHARE = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--cohort", default="simulated", choices=("simulated", "physionet2012"))
    parser.add_argument("--patients", default="300,1000,3000,20000")
    parser.add_argument("--epsilons", default="1,3,8")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/private"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "utility.jsonl"
    rows = read_rows(path)
    sizes = [int(n) for n in arguments.patients.split(",")] if arguments.cohort == "simulated" else [0]
    for n in sizes:
        for seed in range(arguments.seeds):
            for epsilon in map(float, arguments.epsilons.split(",")):
                key = {"cohort": arguments.cohort, "n": n, "epsilon": epsilon, "seed": seed}
                if any(key.items() <= row.items() for row in rows):
                    continue
                row = key | alone(measure, arguments.cohort, n, epsilon, seed, arguments.data)
                rows.append(row)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    print(table(rows))


def measure(cohort: str, n: int, epsilon: float, seed: int, data: str) -> dict[str, Any]:
    """One private fit and the arms beside it."""
    from longsynth.budget import PrivacyBudget, PrivacyLedger
    from longsynth.encoding.private import PrivateMargins, Sizes, truncate
    from longsynth.evaluation.survival import km_area
    from longsynth.generators.likelihood import log_likelihood, margins_alone
    from longsynth.generators.private_fit import fit_private, train_model
    from longsynth.generators.settings import private_settings
    from longsynth.generators.without_noise import NO_CLIPPING
    from longsynth.training.accounting import noise_for
    from longsynth.training.noise import SecretRandomness
    from longsynth.training.private_plan import private_plan
    from tests.benchmarks.private_cohorts import load_icu, simulated
    from tests.benchmarks.private_hazard import hazard_ratios
    from tests.benchmarks.private_tables import pairs_of, table_gain

    train, holdout = simulated(n, seed) if cohort == "simulated" else load_icu(data)
    delta = DELTA_SHARE / (2 * train.n_patients)
    ledger = PrivacyLedger(PrivacyBudget(epsilon, delta))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        settings = private_settings(train.n_patients, Path(folder), seed)
        model, record = fit_private(train, ledger, settings, SecretRandomness())
        seconds = time.perf_counter() - started
    most = record["private"]["max_visits"]
    base = float(log_likelihood(margins_alone(model), holdout).mean())
    found: dict[str, Any] = {
        "seconds": seconds,
        "margins": base,
        "gain": float(log_likelihood(model, holdout).mean()) - base,
    }
    private, sizes = private_plan(record["private"]["n_patients_noisy"]), Sizes(train.n_patients, most, 0.0)
    starts = model.architecture
    margins = PrivateMargins(model.encoder, starts.outcome_shares, starts.duration_given_event)
    for arm, clip in (("no DP", NO_CLIPPING), ("clip only", private.max_grad_norm)):
        with tempfile.TemporaryDirectory() as folder:
            settings = private_settings(train.n_patients, Path(folder), seed)
            told = (sizes, margins, replace(private, max_grad_norm=clip), 0.0, settings, SecretRandomness())
            found[arm] = float(log_likelihood(train_model(train, *told), holdout).mean()) - base
    encoded, held_out = (truncate(model.encoder.transform(part), most)[0] for part in (train, holdout))
    before = [(spend.noise_multiplier, 1.0, 1) for spend in ledger.spends[:2]]
    noise = noise_for(epsilon, delta, lambda noise: [*before, (noise, 1.0, 1)])
    tables = (pairs_of(model.encoder, part, most) for part in (encoded, held_out))
    found["tables"] = table_gain(*tables, holdout.n_patients, noise)
    ids = [f"synthetic-{row}" for row in range(train.n_patients)]
    synthetic = model.encoder.inverse_transform(model.sample(train.n_patients, seed), ids)
    found["km_area"] = km_area(synthetic, holdout)
    return found | ({"ratios": hazard_ratios(model, train, seed)} if cohort == "simulated" else {})


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: mean over seeds and, in brackets, standard deviation."""
    titles = ["cohort", "n", "epsilon", "seeds", "margins", "no DP", "clip only", "private", "share kept", "tables"]
    titles += ["KM area", "arm HR inside", "HRs inside", "seconds"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for key in sorted({(row["cohort"], row["n"], row["epsilon"]) for row in rows}):
        mine = [row for row in rows if (row["cohort"], row["n"], row["epsilon"]) == key]
        share = [{"share": row["gain"] / row["no DP"]} for row in mine]
        cells = [*map(str, key), str(len(mine))]
        cells += [_cell(mine, name, 2) for name in ("margins", "no DP", "clip only", "gain")]
        cells += [_cell(share, "share", 3), _cell(mine, "tables", 2), _cell(mine, "km_area", 3)]
        ratios = [row.get("ratios", {}) for row in mine]
        arm = [one["static.arm"]["combined_inside"] for one in ratios if one]
        every = [ratio["combined_inside"] for one in ratios for ratio in one.values()]
        cells += [f"{sum(part):.0f} of {len(part)}" for part in (arm, every)] + [_cell(mine, "seconds", 0)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(rows: list[dict[str, Any]], name: str, digits: int) -> str:
    values = np.array([row[name] for row in rows])
    spread = f" ({values.std(ddof=1):.{digits}f})" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


if __name__ == "__main__":
    main()
