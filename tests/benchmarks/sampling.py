"""Speed and memory of sampling to Parquet files, on one thread, from 10,000 to 1,000,000 patients.

    python -m tests.benchmarks.sampling --cohort pbcseq --sizes 10000,100000,1000000 --out runs/sampling

Fits the train patients once (or takes a saved ``--model``), then streams each size in a process of its own. Prints a
table of visits a second and of the largest resident memory, which must not grow with the number of patients.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import polars as pl

from tests.benchmarks.data import add_data_argument, load_benchmark
from tests.benchmarks.process import alone, peak_memory_mib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--cohort", default="pbcseq")
    parser.add_argument("--model", type=Path, help="a saved synthesizer; default: fit one")
    parser.add_argument("--sizes", default="10000,100000,1000000", help="numbers of patients, with commas")
    parser.add_argument("--out", type=Path, default=Path("runs/sampling"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = arguments.model or arguments.out / f"{arguments.cohort}-model"
    if not model.exists():
        alone(fit, arguments.cohort, arguments.data, model)
    lines = [
        f"### {arguments.cohort}",
        "",
        "| patients | visits | seconds | visits a second | peak MiB |",
        "|---|---|---|---|---|",
    ]
    for n in map(int, arguments.sizes.split(",")):
        n_visits, seconds, peak = alone(stream, model, n)
        lines.append(f"| {n:,} | {n_visits:,} | {seconds:.1f} | {n_visits / seconds:,.0f} | {peak:,.0f} |")
        print(lines[-1])
        (arguments.out / f"{arguments.cohort}.md").write_text("\n".join(lines) + "\n")


def fit(cohort: str, data: str, model: Path) -> None:
    """Fit the train patients with defaults and save the synthesizer."""
    from longsynth.synthesizer import Synthesizer

    Synthesizer(seed=0).fit(load_benchmark(cohort, data)[0]).save(model)


def stream(model: Path, n: int) -> tuple[int, float, float]:
    """Sample to Parquet; return the number of visits, the seconds and the largest resident memory in MiB."""
    from longsynth.synthesizer import load

    synthesizer = load(model)
    folder = Path(tempfile.mkdtemp())
    start = time.perf_counter()
    synthesizer.sample_to_files(n, folder, seed=0)
    seconds, peak = time.perf_counter() - start, peak_memory_mib()
    n_visits = pl.scan_parquet(folder / "visits.parquet").select(pl.len()).collect().item()
    shutil.rmtree(folder)
    return n_visits, seconds, peak


if __name__ == "__main__":
    main()
