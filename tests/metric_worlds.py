"""Cohorts whose truth is known, and damage done to them on purpose."""

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime

SCHEMA = Schema(
    visit_time=VisitTime(column="day"),
    terminal_event=TerminalEvent(duration="futime", event="status"),
    static={
        "arm": StaticColumn(kind="binary", levels=(0, 1)),
        "age": StaticColumn(kind="continuous", decimals=1),
        "site": StaticColumn(kind="categorical", levels=("north", "south", "west")),
    },
    channels={
        "marker": Channel(kind="continuous", decimals=3),
        "echo": Channel(kind="continuous", decimals=3),
        "count": Channel(kind="count"),
        "sign": Channel(kind="binary", levels=(0, 1)),
        "grade": Channel(kind="categorical", levels=("a", "b", "c")),
    },
)
BETWEEN, WITHIN, PHI = 1.0, 1.0, 0.8


def world(n: int, seed: int, n_visits: int = 6, drift: float = 0.0) -> Cohort:
    """Markers = patient level (sd 1) + autoregressive part (sd 1, 0.8 a visit on); higher ones die earlier."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0, BETWEEN, n)
    noise = rng.normal(size=(n, n_visits))
    for k in range(1, n_visits):
        noise[:, k] = PHI * noise[:, k - 1] + np.sqrt(1 - PHI**2) * noise[:, k]
    marker = level[:, None] + WITHIN * noise + drift * np.arange(n_visits)
    times = np.cumsum(rng.integers(20, 60, (n, n_visits)), axis=1) - 20
    death, end = rng.exponential(400 * np.exp(-0.8 * level)) + 1, rng.integers(200, 400, n)
    duration, status = np.ceil(np.minimum(death, end)), (death <= end).astype(int)
    ids = [f"p{seed}-{i:05d}" for i in range(n)]
    static = pl.DataFrame({
        "patient_id": ids, "arm": rng.integers(0, 2, n), "age": (60 + 5 * level + rng.normal(0, 5, n)).round(1),
        "site": rng.choice(["north", "south", "west"], n), "futime": duration, "status": status,
    })  # fmt: skip
    m = n * n_visits
    visits = pl.DataFrame({
        "patient_id": np.repeat(ids, n_visits), "day": times.ravel(), "marker": marker.ravel().round(3),
        "echo": (marker.ravel() + rng.normal(0, 0.7, m)).round(3), "count": rng.poisson(np.exp(marker.ravel() / 3)),
        "sign": (marker.ravel() + rng.normal(size=m) > 0).astype(int), "grade": rng.choice(["a", "b", "c"], m),
    })  # fmt: skip
    visits = visits.with_columns(pl.when(pl.Series(rng.random(m) > 0.3)).then("echo").alias("echo"))
    return Cohort(static, visits, schema=SCHEMA, drop_after_event=True)


def with_visits(cohort: Cohort, visits: pl.DataFrame) -> Cohort:
    return Cohort(cohort.static, visits, schema=cohort.schema)


def with_static(cohort: Cohort, static: pl.DataFrame) -> Cohort:
    return Cohort(static, cohort.visits, schema=cohort.schema)


def shuffled_in_time(cohort: Cohort, seed: int = 0) -> Cohort:
    """The visits of each patient in another order: the same values at other times."""
    order = pl.Series("order", np.random.default_rng(seed).random(cohort.n_visits))
    values = cohort.visits.with_columns(order).sort("patient_id", "order").drop("patient_id", "day", "order")
    return with_visits(cohort, pl.concat([cohort.visits.select("patient_id", "day"), values], how="horizontal"))


def dealt_across_patients(cohort: Cohort, seed: int = 0) -> Cohort:
    """Every visit's values given to a random patient: rows of values stay whole."""
    order = np.random.default_rng(seed).permutation(cohort.n_visits)
    values = cohort.visits.drop("patient_id", "day")[order]
    return with_visits(cohort, pl.concat([cohort.visits.select("patient_id", "day"), values], how="horizontal"))


def column_permuted(cohort: Cohort, name: str, seed: int = 0) -> Cohort:
    order = np.random.default_rng(seed).permutation(cohort.n_visits)
    return with_visits(cohort, cohort.visits.with_columns(cohort.visits[name][order].alias(name)))


def relabelled(cohort: Cohort, seed: int = 0) -> Cohort:
    """Other patient ids, hence another order of patients, and rows in another order."""
    new = [f"q{i:05d}" for i in np.random.default_rng(seed).permutation(cohort.n_patients)]
    names = pl.DataFrame({"patient_id": cohort.static["patient_id"], "new": new})
    static, visits = (
        table.join(names, on="patient_id")
        .drop("patient_id")
        .rename({"new": "patient_id"})
        .sample(fraction=1, shuffle=True, seed=seed)
        for table in (cohort.static, cohort.visits)
    )
    return Cohort(static, visits, schema=cohort.schema)


def halves(cohort: Cohort) -> tuple[Cohort, Cohort]:
    ids = cohort.static["patient_id"]
    return cohort.select(ids[::2]), cohort.select(ids[1::2])
