"""Time and memory of judging one synthetic cohort with the default metrics, at a size of some 100,000 visits a side.

python -m tests.benchmarks.judge_scale --patients 10000 --threads 2 --out runs/judge_scale
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from tests.benchmarks.process import alone, peak_memory_mib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/judge_scale"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    figures = alone(measure_judge, arguments.patients, threads=arguments.threads) | {"threads": arguments.threads}
    (arguments.out / f"{arguments.patients}.json").write_text(json.dumps(figures, indent=2))
    print(json.dumps(figures, indent=2))


def measure_judge(n: int) -> dict[str, object]:
    """Judge a fresh simulated cohort against another one that is split 70 : 30; about 10 visits a patient."""
    import longsynth as ls
    from longsynth.cohort.simulate import SimulationTruth

    truth = SimulationTruth(gap_days=180)
    train, holdout = ls.split(ls.simulate_cohort(n, seed=1, truth=truth), holdout=0.3, seed=0)
    synthetic = ls.simulate_cohort(n, seed=2, truth=truth)
    start, start_cpu = time.perf_counter(), time.process_time()
    evaluation = ls.evaluate(synthetic, train=train, holdout=holdout, arm="arm", progress=True)
    return {
        "n_patients": n,
        "synthetic_visits": synthetic.n_visits,
        "real_visits": train.n_visits + holdout.n_visits,
        "n_metrics": len(evaluation.provenance.metrics),
        "n_results": len(evaluation.results),
        "n_flagged": sum(bool(result.flagged) for result in evaluation.results),
        "n_assessed": sum(result.value is not None for result in evaluation.results),
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - start_cpu,
        "peak_mib": peak_memory_mib(),
        "notes": evaluation.notes,
    }


if __name__ == "__main__":
    main()
