"""Time and memory of fitting a whole cohort, all patients, with default settings, and of sampling 1,000 patients.

python -m tests.benchmarks.scale --cohort physionet2012 --threads 2 --out runs/scale
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from tests.benchmarks.data import add_data_argument, load_whole
from tests.benchmarks.process import alone, peak_memory_mib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--cohort", default="physionet2012")
    parser.add_argument("--objective", default="hybrid")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/scale"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cohort, objective, threads = arguments.cohort, arguments.objective, arguments.threads
    figures = alone(measure_fit, cohort, arguments.data, objective, arguments.out, threads=threads) | {
        "threads": threads
    }
    (arguments.out / f"{cohort}-{objective}.json").write_text(json.dumps(figures, indent=2))
    print(json.dumps(figures, indent=2))


def measure_fit(cohort: str, data: str, objective: str, out: Path) -> dict[str, float | str]:
    """Fit and sample; checkpoints stay under ``out``, so that a killed run can be carried on by running it again."""
    from longsynth.synthesizer import Synthesizer

    whole = load_whole(cohort, data)
    work_dir = out / f"{cohort}-{objective}-work"
    start = time.perf_counter()
    synthesizer = Synthesizer(seed=0, objective=objective).fit(whole, work_dir=work_dir, resume=work_dir.exists())
    fitted, fit_peak = time.perf_counter(), peak_memory_mib()
    synthesizer.save(out / f"{cohort}-{objective}-model")
    sampling = time.perf_counter()
    synthetic = synthesizer.sample(1000, seed=0)
    return {
        "cohort": cohort,
        "objective": objective,
        "n_patients": whole.n_patients,
        "n_visits": whole.n_visits,
        "n_channels": len(whole.schema.channels),
        "fit_seconds": fitted - start,
        "fit_peak_mib": fit_peak,
        "sample_seconds": time.perf_counter() - sampling,
        "sampled_visits": synthetic.n_visits,
        "peak_mib": peak_memory_mib(),
    }


if __name__ == "__main__":
    main()
