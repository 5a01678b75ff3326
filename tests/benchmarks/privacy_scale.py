"""Time and peak memory of `assess_privacy` with its default attacks.

    python -m tests.benchmarks.privacy_scale --patients 10000 --holdout 5000 --visits 10 --threads 2

Members, holdout and synthetic cohort are three draws from one world of five channels and three static attributes; every
patient has so many visits. At most 1,000 patients a side are attacked, and fewer above 300,000 synthetic visits.
For 100,000: ``--patients 100000 --holdout 50000``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from tests.benchmarks.process import alone, peak_memory_mib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=10_000, help="members, and as many synthetic patients")
    parser.add_argument("--holdout", type=int, default=5_000)
    parser.add_argument("--visits", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    found = alone(measure, arguments.patients, arguments.holdout, arguments.visits, threads=arguments.threads)
    print(" ".join(f"{name} {value:,.1f}" for name, value in found.items()))


def measure(n: int, n_holdout: int, n_visits: int) -> dict[str, float]:
    """Return seconds of wall and processor time, and the peak memory before and after the attacks."""
    from longsynth.privacy.assess import assess_privacy

    synthetic, train, holdout = (drawn(size, n_visits, seed) for seed, size in enumerate((n, n, n_holdout)))
    before, wall, processor = peak_memory_mib(), time.perf_counter(), time.process_time()
    assessment = assess_privacy(synthetic, train, holdout, progress=True)
    print(assessment)
    return {
        "wall_seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "memory_before_mib": before,
        "peak_memory_mib": peak_memory_mib(),
    }


def drawn(n: int, n_visits: int, seed: int) -> Cohort:
    """Return patients with so many visits each, whose markers keep a level of their own and remember the last visit."""
    from tests.metric_worlds import SCHEMA

    rng = np.random.default_rng(seed)
    m = n * n_visits
    level, ids = rng.normal(size=n), [f"p{seed}-{i:06d}" for i in range(n)]
    noise = rng.normal(size=(n, n_visits))
    for k in range(1, n_visits):
        noise[:, k] = 0.8 * noise[:, k - 1] + 0.6 * noise[:, k]
    marker = (level[:, None] + noise).ravel()
    times = np.cumsum(rng.integers(20, 60, (n, n_visits)), axis=1)
    static = {
        "patient_id": ids, "arm": rng.integers(0, 2, n), "age": (60 + 5 * level + rng.normal(0, 5, n)).round(1),
        "site": rng.choice(["north", "south", "west"], n, p=[0.6, 0.37, 0.03]),
        "futime": times[:, -1] + rng.integers(1, 400, n), "status": rng.integers(0, 2, n),
    }  # fmt: skip
    visits = {
        "patient_id": np.repeat(ids, n_visits), "day": times.ravel(), "marker": marker.round(3),
        "echo": (marker + rng.normal(0, 0.7, m)).round(3), "count": rng.poisson(np.exp(marker / 3)),
        "sign": (marker + rng.normal(size=m) > 0).astype(int), "grade": rng.choice(["a", "b", "c"], m),
    }  # fmt: skip
    return Cohort(pl.DataFrame(static), pl.DataFrame(visits), schema=SCHEMA)


if __name__ == "__main__":
    main()
