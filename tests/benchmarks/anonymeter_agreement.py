"""Our attacks beside those of anonymeter 1.1 on cohorts of one visit a patient, where both should say the same.

    pip install anonymeter numba   # in an environment of its own that also has longsynth
    python -m tests.benchmarks.anonymeter_agreement --patients 500

anonymeter is no dependency of longsynth. Compared are linkability (two groups of columns, nearest synthetic record) and
inference of a categorical secret by the nearest record, on members word for word, with noise, half of them, and fresh
patients. All columns are observed, since a missing value is no distance in anonymeter. Printed are the rates of success
on members and on control patients, and the 95 % half-width of the difference of two such rates by chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.privacy.assess import assess_privacy
from longsynth.privacy.knowledge import Knowledge
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime

NAMES = ("a", "b", "c", "d", "e", "f")
LEVELS = ("north", "south", "west", "east")
SCHEMA = Schema(
    visit_time=VisitTime(column="day"),
    static={"site": StaticColumn(kind="categorical", levels=LEVELS)},
    channels={name: Channel(kind="continuous") for name in NAMES},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=500)
    n = parser.parse_args().patients
    members, control, fresh = (drawn(n, seed) for seed in range(3))
    print("| release | attack | anonymeter: members, control | longsynth: members, control | chance |")
    print("|---|---|---|---|---|")
    for name, made in releases(members, fresh).items():
        for attack, theirs, ours in compared(made, members, control):
            chance = 1.96 * np.sqrt(2 * max(ours[0] * (1 - ours[0]), 0.25 / n) / n)
            cells = (f"{theirs[0]:.3f}, {theirs[1]:.3f}", f"{ours[0]:.3f}, {ours[1]:.3f}", f"{chance:.3f}")
            print("| " + " | ".join([name, attack, *cells]) + " |")


def drawn(n: int, seed: int) -> Cohort:
    """Return patients of one visit with six related numbers, and a site that the numbers tell a little of."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=n)
    values = 10 + level[:, None] + rng.normal(size=(n, len(NAMES)))  # positive: their errors are relative to a guess
    site = np.where(rng.random(n) < 0.5, np.digitize(level, [-0.7, 0, 0.7]), rng.integers(0, 4, n))
    ids = [f"p{seed}-{i:05d}" for i in range(n)]
    static = pl.DataFrame({"patient_id": ids, "site": np.array(LEVELS)[site]})
    visits = pl.DataFrame({"patient_id": ids, "day": 0, **dict(zip(NAMES, values.T, strict=True))})
    return Cohort(static, visits, schema=SCHEMA)


def releases(members: Cohort, fresh: Cohort) -> dict[str, Cohort]:
    """Return synthetic cohorts by name."""
    half = members.n_patients // 2
    ids = [cohort.static["patient_id"] for cohort in (members, fresh)]
    parts = (members.select(ids[0][:half]), fresh.select(ids[1][half:]))
    mixed = (pl.concat([getattr(part, table) for part in parts]) for table in ("static", "visits"))
    rng = np.random.default_rng(9)
    noise = [pl.col(name) + pl.Series(rng.normal(0, 0.1, members.n_patients)) for name in NAMES]
    noisy = Cohort(members.static, members.visits.with_columns(noise), schema=SCHEMA)
    return {"members": members, "members + noise": noisy, "half": Cohort(*mixed, schema=SCHEMA), "fresh": fresh}


Rates = tuple[float, float]


def compared(made: Cohort, members: Cohort, control: Cohort) -> Iterator[tuple[str, Rates, Rates]]:
    """Return attack, rates of anonymeter and our rates."""
    from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator

    tables = [_table(cohort) for cohort in (members, made, control)]
    n = len(tables[0])
    groups = (list(NAMES[0::2]), list(NAMES[1::2]))
    known = Knowledge(k=1, static=(), time="none", name="visit")
    results = assess_privacy(made, members, control, attacks=["linkage", "inference"], knowledge=known).results
    ours = {one.part: (one.attack_rate or 0.0, one.control_rate or 0.0) for one in results if one.subset == "all"}
    linked = LinkabilityEvaluator(*tables[:2], aux_cols=groups, n_attacks=n, n_neighbors=1, control=tables[2])
    linked.evaluate(n_jobs=1)
    part = next(part for part in ours if part.startswith("two groups of channels") and "nearest" in part)
    yield "linkage, " + part, _rates(linked), ours[part]
    guessed = InferenceEvaluator(
        *tables[:2], aux_cols=list(NAMES), secret="site", regression=False, n_attacks=n, control=tables[2]
    )
    guessed.evaluate(n_jobs=1)
    yield "inference of site by the nearest", _rates(guessed), ours["site, by the nearest patient"]


def _rates(evaluator: object) -> Rates:
    """Return rates of success, with anonymeter's Wilson centre undone."""
    n, z = evaluator.n_attacks if hasattr(evaluator, "n_attacks") else evaluator._n_attacks, 1.959964
    found = evaluator.results(confidence_level=0.95)
    rates = [(rate.value * (1 + z**2 / n) - z**2 / (2 * n)) for rate in (found.attack_rate, found.control_rate)]
    return rates[0], rates[1]


def _table(cohort: Cohort) -> pd.DataFrame:
    return cohort.static.join(cohort.visits, on="patient_id").drop("patient_id", "day").to_pandas()


if __name__ == "__main__":
    main()
