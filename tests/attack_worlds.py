"""Releases whose leak is known: copies of members, with noise, mixed into fresh patients; and fresh patients alone."""

import numpy as np
import polars as pl
from metric_worlds import relabelled, world

from longsynth.cohort.cohort import Cohort
from longsynth.privacy.base import Outcome, Release, prepare_release
from longsynth.privacy.rates import newcombe, wilson
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime

N = 150
MEMBERS, CONTROL, FRESH = (world(N, seed) for seed in (1, 2, 3))


def release(synthetic, members=MEMBERS, control=CONTROL, n_targets=1000) -> Release:
    return prepare_release(synthetic, members, control, n_targets)


def copies(share: float = 1.0, noise: float = 0.0, seed: int = 0) -> Cohort:
    """Fresh patients of whom a share is replaced by members, their numbers off by a share of the range."""
    n = round(share * N)
    ids, others = MEMBERS.static["patient_id"], FRESH.static["patient_id"]
    parts = ([MEMBERS.select(ids[:n])] if n else []) + ([FRESH.select(others[n:])] if n < N else [])
    static, visits = (pl.concat([getattr(part, table) for part in parts]) for table in ("static", "visits"))
    rng = np.random.default_rng(seed)
    for name in ("marker", "echo") if noise else ():
        width = visits[name].quantile(0.95) - visits[name].quantile(0.05)
        visits = visits.with_columns((pl.col(name) + pl.Series(rng.normal(0, noise * width, visits.height))).round(3))
    return relabelled(Cohort(static, visits, schema=MEMBERS.schema, origin="synthetic"), seed)


def rates(outcome: Outcome) -> tuple[float, float]:
    return float(outcome.members.success.mean()), float(outcome.control.success.mean())


def risk(outcome: Outcome) -> float:
    attack, control = rates(outcome)
    return (attack - control) / (1 - control)


def is_flagged(outcome: Outcome) -> bool:
    """Whether the interval of the difference between members and control lies above 0."""
    estimates = [wilson(float(one.success.mean()), len(one)) for one in (outcome.members, outcome.control)]
    return newcombe(*estimates).low > 0


def by_part(outcomes: tuple[Outcome, ...]) -> dict[str, Outcome]:
    return {outcome.part: outcome for outcome in outcomes}


def table_of_levels(n: int, seed: int, n_levels: int = 12, n_columns: int = 6) -> Cohort:
    """One visit a patient of independent categorical channels."""
    rng = np.random.default_rng(seed)
    levels = tuple("abcdefghijklmnop"[:n_levels])
    names = [f"c{i}" for i in range(n_columns)]
    ids = [f"t{seed}-{i:04d}" for i in range(n)]
    visits = pl.DataFrame({"patient_id": ids, "day": 0} | {name: rng.choice(levels, n) for name in names})
    schema = Schema(
        visit_time=VisitTime(column="day"),
        static={"coin": StaticColumn(kind="binary", levels=(0, 1))},
        channels={name: Channel(kind="categorical", levels=levels) for name in names},
    )
    return Cohort(pl.DataFrame({"patient_id": ids, "coin": rng.integers(0, 2, n)}), visits, schema=schema)
