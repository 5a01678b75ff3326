"""What a private fit keeps of what there is to learn, by number of patients and epsilon.

python -m tests.benchmarks.private_utility --patients 300,1000,3000,20000 --epsilons 1,3,8 --seeds 3 --out runs/private
python -m tests.benchmarks.private_utility --cohort physionet2012 --epsilons 1,3,8 --seeds 3 --out runs/private

The gain is that in held-out log-likelihood a patient, in nats, over the margins of the same noisy encoder. Arms: the
private fit; ``no DP``: the same network and encoder without clipping and noise; ``clip only``: with clipping, without
noise; ``tables``: noisy two-way tables for the same budget instead of gradients. The share kept is the private gain
over that without DP. Kaplan-Meier area: of as many synthetic patients as train has against the holdout. Hazard ratios:
how many of those of the static attributes lie in their synthetic 95 % intervals, the truth being those of 50,000
simulated patients. Rows go to ``<out>/utility.jsonl``; those that are there are not run again. Smaller epsilon is
stronger privacy.
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

DELTA_SHARE = 0.1
NO_CLIP = 1e9


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
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
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


def measure(cohort: str, n: int, epsilon: float, seed: int, data: str) -> dict[str, float]:
    """One private fit and the arms beside it."""
    from longsynth.budget import PrivacyBudget, PrivacyLedger
    from longsynth.encoding.private import truncate
    from longsynth.evaluation.survival import km_area
    from longsynth.generators.private_fit import fit_private
    from longsynth.generators.settings import FitSettings
    from longsynth.training.accounting import noise_for
    from longsynth.training.noise import SecretRandomness
    from longsynth.training.plan import plan_for
    from longsynth.training.private_plan import private_plan
    from longsynth.training.trainer import Hardware
    from tests.benchmarks.private_cohorts import load_icu, simulated
    from tests.benchmarks.private_tables import pairs_of, table_gain

    train, holdout = simulated(n, seed) if cohort == "simulated" else load_icu(data)
    delta = DELTA_SHARE / (2 * train.n_patients)
    ledger = PrivacyLedger(PrivacyBudget(epsilon, delta))
    plan = plan_for(train.n_patients, "likelihood")
    with tempfile.TemporaryDirectory() as folder:
        settings = FitSettings(
            "likelihood", "memoryless", plan, Hardware("cpu"), seed, Path(folder), resume=False, progress=False
        )
        started = time.perf_counter()
        model, record = fit_private(train, ledger, settings, SecretRandomness())
        seconds = time.perf_counter() - started
    most = record["private"]["max_visits"]
    encoded, cut = truncate(model.encoder.transform(train), most)
    held_out = truncate(model.encoder.transform(holdout), most)
    start = fresh(model, seed)
    base = mean_log_prob(start, *held_out)
    found = {"seconds": seconds, "margins": base, "gain": mean_log_prob(model, *held_out) - base}
    private = private_plan(record["private"]["n_patients_noisy"])
    for arm, clip in (("no DP", NO_CLIP), ("clip only", private.max_grad_norm)):
        trained = fresh(model, seed)
        train_without_noise(trained, encoded, cut, replace(private, max_grad_norm=clip), seed)
        found[arm] = mean_log_prob(trained, *held_out) - base
    before = [(spend.noise_multiplier, 1.0, 1) for spend in ledger.spends[:2]]
    noise = noise_for(epsilon, delta, lambda noise: [*before, (noise, 1.0, 1)])
    tables = (pairs_of(model.encoder, part, most) for part in (encoded, held_out[0]))
    found["tables"] = table_gain(*tables, holdout.n_patients, noise)
    ids = [f"synthetic-{row}" for row in range(train.n_patients)]
    synthetic = model.encoder.inverse_transform(model.sample(train.n_patients, seed), ids)
    found["km_area"] = km_area(synthetic, holdout)
    return found | (hazard_ratios(synthetic, train) if cohort == "simulated" else {})


def fresh(model: Any, seed: int) -> Any:
    """The same model before training: at its margins."""
    from longsynth.generators.model import Model

    return Model(model.encoder, model.architecture, seed)


def joint(model: Any) -> Any:
    from longsynth.networks.rows import JointNetwork

    return JointNetwork(model.static[0], model.sequence[0])


def mean_log_prob(model: Any, encoded: Any, cut: np.ndarray) -> float:
    """Mean log-likelihood of a patient's whole record, in nats."""
    import torch
    from torch.func import functional_call, vmap

    from longsynth.networks.rows import rows_of
    from longsynth.training.batches import make_batch
    from longsynth.training.dp_sgd import micro_batches

    network, total = joint(model), 0.0
    values = {name: value.detach() for name, value in network.named_parameters()}
    for part in micro_batches(np.arange(encoded.n_patients), encoded.n_visits):
        rows = rows_of(
            network.sequence, make_batch(encoded, model.encoder.time_scale, part), torch.from_numpy(cut[part])
        )
        total += float(vmap(lambda row: functional_call(network, values, (row,)))(rows.as_dict()).sum())
    return total / encoded.n_patients


def train_without_noise(model: Any, encoded: Any, cut: np.ndarray, plan: Any, seed: int) -> None:
    """Train in place, as the private fit does but for the noise."""
    from longsynth.training.dp_sgd import STEPS_AN_EPOCH, PrivateTraining
    from longsynth.training.noise import SecretRandomness
    from longsynth.training.trainer import Hardware, quiet_training, run_stage

    network = joint(model)
    scale = model.encoder.time_scale
    with tempfile.TemporaryDirectory() as folder, quiet_training(seed):
        training = PrivateTraining(network, encoded, cut, scale, plan, 0.0, SecretRandomness())
        epochs = plan.n_steps // STEPS_AN_EPOCH
        run_stage(
            training,
            None,
            Path(folder) / "arm",
            Hardware("cpu"),
            max_epochs=epochs,
            patience=None,
            progress=False,
            resume=False,
        )
    network.load_state_dict(training.average.state_dict())


def hazard_ratios(synthetic: Any, train: Any) -> dict[str, float]:
    """How many true log hazard ratios of static attributes lie in their synthetic intervals, and that of the arm."""
    from longsynth import simulate_cohort
    from longsynth.evaluation.hazard_ratios import baseline_hazard_ratios

    truth, found = baseline_hazard_ratios(simulate_cohort(50_000, 99_999)), baseline_hazard_ratios(synthetic)
    off = {name: abs(found[name].log_ratio - truth[name].log_ratio) / found[name].standard_error for name in truth}
    arm = next(name for name in truth if name.startswith("static.arm"))
    return {
        "hazard_inside": float(sum(value <= 1.96 for value in off.values())),
        "hazard_of": float(len(off)),
        "arm_log_hazard_ratio": found[arm].log_ratio,
        "train_arm_log_hazard_ratio": baseline_hazard_ratios(train)[arm].log_ratio,
        "true_arm_log_hazard_ratio": truth[arm].log_ratio,
        "arm_inside": float(off[arm] <= 1.96),
    }


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
        inside = [sum(row.get(name, 0.0) for row in mine) for name in ("arm_inside", "hazard_inside", "hazard_of")]
        cells += [f"{inside[0]:.0f} of {len(mine)}", f"{inside[1]:.0f} of {inside[2]:.0f}", _cell(mine, "seconds", 0)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(rows: list[dict[str, Any]], name: str, digits: int) -> str:
    values = np.array([row[name] for row in rows])
    spread = f" ({values.std(ddof=1):.{digits}f})" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


if __name__ == "__main__":
    main()
