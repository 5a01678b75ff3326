"""Fidelity, utility, privacy and cost of the synthesizer beside the ceiling and the decision-tree baseline.

    python -m tests.benchmarks.fidelity --cohort pbcseq --models ceiling,cart,hybrid --fit-seeds 5 --out runs/fidelity
    python -m tests.benchmarks.fidelity --cohort toenail --re-split --fit-seeds 8 --out runs/fidelity
    python -m tests.benchmarks.fidelity --report --out runs/fidelity --into docs/benchmarks.md

Every model sees the train patients only. With ``--re-split`` each seed has its own random split, so that the mean over
seeds does not hang on one holdout. A seed is one fit and, for the synthesizer, the mean over ten draws of as many
patients as train has (one draw of the baseline and of large cohorts). All of them are compared with the holdout,
except that the two detectors draw as many synthetic patients as the holdout has. The ceiling is train itself, scored as
if it were synthetic: its spread over seeds is that of the detectors' splits only.
Each seed of each model runs in a process of its own and is added to ``<out>/<cohort>.jsonl`` when it is done; rows that
are there already are not run again. Models: ceiling, cart, and the objectives of `Synthesizer`. Peak memory (MiB) is
that of the process when the fit ends; visits a second are those of a draw of 2,000 patients.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation import FIDELITY_METRICS, measure
from longsynth.privacy import measure_privacy
from tests.benchmarks.baseline_cart import fit_sample_cart
from tests.benchmarks.data import COHORTS, add_data_argument, load_benchmark, load_re_split
from tests.benchmarks.process import alone, peak_memory_mib
from tests.benchmarks.rows import put_between, read_rows

OBJECTIVES = ("hybrid", "likelihood", "adversarial")
PRIVACY_METRICS = ("mia_auc", "copied_windows", "holdout_windows", "copied_static", "holdout_static")
TIMED_PATIENTS = 2_000
N_DRAWS = 10
MANY_VISITS = 20_000
MARKS = ("<!-- fidelity tables -->", "<!-- end of fidelity tables -->")
COSTS = ("fit_seconds", "visits_per_second", "peak_memory_mib")
BARS = {
    "pbcseq": {
        "detect_patient": "<= 0.60", "detect_transition": "<= 0.62", "corr_visit": "<= 0.10", "corr_lag1": "<= 0.10",
        "auto_lag1": "<= 0.05", "icc_diff": "<= 0.12", "km_area": "<= 0.05", "cindex_tstr": ">= 0.81",
        "r2_next_tstr": ">= 0.50", "rows_after_end": "0", "mia_auc": "0.47-0.53", "copied_windows": "0",
        "copied_static": "0", "fit_seconds": "<= 120", "visits_per_second": ">= 20,000",
    },
    "eicu_demo": {"mia_auc": "<= 0.53", "fit_seconds": "<= 900"},
}  # fmt: skip
RE_SPLIT = "_re_split"
OTHER_BARS = {"mia_auc": "<= 0.53"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--cohort", default="pbcseq", help=f"one or more, with commas, of {', '.join(COHORTS)}")
    parser.add_argument("--models", default="ceiling,cart,hybrid", help="one or more, with commas")
    parser.add_argument("--fit-seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/fidelity"))
    parser.add_argument("--re-split", action="store_true", help="another random split for each seed")
    parser.add_argument("--report", action="store_true", help="only write the tables of the rows that are there")
    parser.add_argument(
        "--into", type=Path, help="a page whose tables between its two marks are replaced by the new ones"
    )
    arguments = parser.parse_args()
    cohorts = arguments.cohort.split(",")
    if arguments.report:
        titles = [title for cohort in COHORTS for title in (cohort, cohort + RE_SPLIT)]
        titles = [title for title in titles if (arguments.out / f"{title}.jsonl").exists()]
    else:
        titles = [cohort + RE_SPLIT * arguments.re_split for cohort in cohorts]
    tables = []
    for title in titles:
        rows = arguments.out / f"{title}.jsonl"
        if not arguments.report:
            run(title, arguments.models.split(","), arguments.fit_seeds, arguments, rows)
        tables.append(report(title, read_rows(rows)))
        rows.with_suffix(".md").write_text(tables[-1])
        print(tables[-1])
    if arguments.into is not None:
        put_between(arguments.into, MARKS, "\n".join(tables))


def run(cohort: str, models: list[str], n_seeds: int, arguments: argparse.Namespace, rows: Path) -> None:
    """Run what is missing, one process a row, and append each row when it is done."""
    rows.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["model"], row["seed"]) for row in read_rows(rows)}
    for seed in range(n_seeds):
        for model in models:
            if (model, seed) in done:
                continue
            row = alone(score_model, cohort, model, seed, arguments.data, threads=arguments.threads)
            with rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(cohort, model, seed, *(f"{name} {_figure(name, row['values'].get(name))}" for name in BARS["pbcseq"]))


def score_model(cohort: str, model: str, seed: int, data: str) -> dict[str, Any]:
    """Fit one model to the train patients, draw from it, and measure."""
    if cohort.endswith(RE_SPLIT):
        train, holdout = load_re_split(cohort.removesuffix(RE_SPLIT), seed, data)
    else:
        train, holdout = load_benchmark(cohort, data)
    made = make(model, train, seed)
    fidelity, reasons = zip(*(measure(drawn, train, holdout, seed) for drawn in made.cohorts), strict=True)
    privacy, privacy_reasons = zip(*(measure_privacy(drawn, train, holdout) for drawn in made.cohorts), strict=True)
    return {
        "cohort": cohort,
        "model": model,
        "seed": seed,
        "n_draws": len(made.cohorts),
        "n_synthetic": made.cohorts[0].n_patients,
        "values": {**_mean(fidelity), **_mean(privacy), **made.costs},
        "reasons": {**reasons[0], **privacy_reasons[0]},
        "record": made.record,
    }


def _mean(draws: tuple[dict[str, float | None], ...]) -> dict[str, float | None]:
    known = {name: [draw[name] for draw in draws if draw[name] is not None] for name in draws[0]}
    return {name: statistics.mean(values) if values else None for name, values in known.items()}


class Made(NamedTuple):
    """Synthetic cohorts of one fit, what they cost, and what the fit recorded of itself."""

    cohorts: list[Cohort]
    costs: dict[str, float]
    record: dict[str, Any]


def make(model: str, train: Cohort, seed: int) -> Made:
    """Fit a model to the train patients and draw as many, several times where that is cheap."""
    start = time.perf_counter()
    if model == "ceiling":
        return Made([train], {}, {})
    if model == "cart":
        synthetic = fit_sample_cart(train, train.n_patients, seed)
        return Made([synthetic], {"fit_seconds": time.perf_counter() - start, "peak_memory_mib": peak_memory_mib()}, {})
    if model in OBJECTIVES:
        return _synthesizer(train, seed, model)
    raise SystemExit(f"{model} is no model; choose from ceiling, cart, {', '.join(OBJECTIVES)}")


def _synthesizer(train: Cohort, seed: int, objective: str) -> Made:
    from longsynth.synthesizer import Synthesizer

    start = time.perf_counter()
    synthesizer = Synthesizer(seed=seed, objective=objective).fit(train)
    costs = {"fit_seconds": time.perf_counter() - start, "peak_memory_mib": peak_memory_mib()}
    start = time.perf_counter()
    timed = synthesizer.sample(TIMED_PATIENTS, seed=seed)
    costs["visits_per_second"] = timed.n_visits / (time.perf_counter() - start)
    n_draws = N_DRAWS if train.n_visits < MANY_VISITS else 1
    draws = [synthesizer.sample(train.n_patients, seed=N_DRAWS * seed + draw) for draw in range(n_draws)]
    return Made(draws, costs, synthesizer.training_record)


def report(cohort: str, rows: list[dict[str, Any]]) -> str:
    """Return a markdown table: a line a metric, a column a model, mean (standard deviation) over seeds."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    seeds = {model: sum(row["model"] == model for row in rows) for model in models}
    bars = BARS.get(cohort, OTHER_BARS)
    titles = ["", "bar", *(f"{model} ({seeds[model]} seeds)" for model in models)]
    lines = [
        f"### {cohort.replace(RE_SPLIT, ', another split for each seed')}",
        "",
        "| " + " | ".join(titles) + " |",
        "|---" * len(titles) + "|",
    ]
    for name in (*FIDELITY_METRICS, *PRIVACY_METRICS, *COSTS):
        cells = [_cell(name, [row["values"].get(name) for row in rows if row["model"] == model]) for model in models]
        if any(cell != "-" for cell in cells):
            lines.append("| " + " | ".join([name, bars.get(name, ""), *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(name: str, values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if len(known) == 1:
        return _figure(name, known[0])
    return f"{_figure(name, statistics.mean(known))} ({_figure(name, statistics.stdev(known))})"


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if name in (*COSTS, "rows_after_end") else f"{value:.3f}"


if __name__ == "__main__":
    main()
