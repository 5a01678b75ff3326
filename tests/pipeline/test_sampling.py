"""Laws that every drawn cohort keeps, conditions, and streaming."""

import numpy as np
import polars as pl
import pytest
import torch
from quick import make_quick

import longsynth as ls
from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import ConfigError
from longsynth.schema.types import (
    Absorbing,
    Channel,
    Constant,
    Monotone,
    Ordered,
    Schema,
    StaticColumn,
    TerminalEvent,
    VisitTime,
)

torch.set_num_threads(1)
N_DRAWN = 10_000
SCHEMA = Schema(
    visit_time=VisitTime(column="day"),
    terminal_event=TerminalEvent(duration="followup", event="status", event_types={1: "death", 2: "transplant"}),
    static={
        "age at entry": StaticColumn(kind="continuous", bounds=(18, 90), decimals=1),
        "age at diagnosis": StaticColumn(kind="continuous", bounds=(0, 90), decimals=1),
        "arm": StaticColumn(kind="binary", levels=("control", "active")),
    },
    channels={
        "dia": Channel(kind="count", bounds=(30, 120)),
        "mean": Channel(kind="continuous", bounds=(40, 160), decimals=1),
        "sys": Channel(kind="count", bounds=(60, 250)),
        "damage": Channel(kind="count"),
        "grade": Channel(kind="ordinal", levels=("I", "II", "III", "IV")),
        "state": Channel(kind="categorical", levels=("home", "ward", "hospice")),
        "site": Channel(kind="categorical", levels=("north", "south")),
    },
    constraints=(
        Ordered(lower="age at diagnosis", upper="age at entry"),
        Ordered(lower="dia", upper="mean"),
        Ordered(lower="mean", upper="sys"),
        Monotone(channel="damage"),
        Monotone(channel="grade"),
        Absorbing(channel="state", level="hospice"),
        Constant(channel="site"),
    ),
)


def strict_cohort(n: int) -> Cohort:
    """A cohort that obeys every kind of constraint, with missing values and two event types."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 7, n)
    patient = np.repeat(np.arange(n), counts)
    place = np.concatenate([np.arange(c) for c in counts])
    entry = rng.uniform(18, 90, n).round(1)
    static = pl.DataFrame(
        {
            "patient_id": [f"p{i:04d}" for i in range(n)],
            "age at entry": entry,
            "age at diagnosis": (entry * rng.uniform(0.5, 1, n)).round(1),
            "arm": rng.choice(["control", "active"], n),
            "followup": counts * 30 + rng.integers(0, 60, n),
            "status": rng.integers(0, 3, n),
        }
    )
    dia = rng.integers(40, 90, len(patient))
    mean = dia + rng.uniform(0, 20, len(patient)).round(1)
    damage, worse, hospice = (
        pl.DataFrame({"p": patient, "x": rng.random(len(patient)) < share}).select(pl.col("x").cum_sum().over("p"))["x"]
        for share in (0.4, 0.2, 0.1)
    )
    visits = pl.DataFrame(
        {
            "patient_id": [f"p{i:04d}" for i in patient],
            "day": place * 30 + rng.integers(0, 10, len(patient)),
            "dia": dia,
            "mean": mean,
            "sys": np.maximum(np.ceil(mean).astype(int) + rng.integers(0, 60, len(patient)), 60),
            "damage": damage,
            "grade": [("I", "II", "III", "IV")[min(w, 3)] for w in worse],
            "state": [
                "hospice" if h else s for h, s in zip(hospice, rng.choice(["home", "ward"], len(patient)), strict=True)
            ],
            "site": np.array(["north", "south"])[rng.integers(0, 2, n)][patient],
        }
    )
    hidden = pl.Series(rng.random(len(patient)) < 0.3)
    masked = [pl.when(hidden).then(None).otherwise(pl.col(c)).alias(c) for c in ("sys", "damage", "state")]
    return Cohort(static, visits.with_columns(masked), schema=SCHEMA)


@pytest.fixture(scope="module")
def synthesizer():
    """Two epochs only: laws must hold for a model that has learnt next to nothing."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        return ls.Synthesizer(0, "likelihood", accelerator="cpu").fit(strict_cohort(300))


@pytest.fixture(scope="module")
def drawn(synthesizer):
    return synthesizer.sample(N_DRAWN, seed=1)


def test_times_increase_and_nothing_follows_the_end(drawn):
    gaps = drawn.visits.select(pl.col("day").diff().over("patient_id"))["day"].drop_nulls()
    assert gaps.min() >= 1
    late = drawn.visits.join(drawn.static, on="patient_id").filter(pl.col("day") > pl.col("followup"))
    assert late.height == 0
    assert drawn.static["status"].is_in([0, 1, 2]).all()


def test_every_constraint_is_true_for_every_patient(drawn):
    """Checked here by hand; that `Cohort` accepts the tables checks it a second time."""
    static, visits = drawn.static, drawn.visits
    assert static.filter(pl.col("age at diagnosis") > pl.col("age at entry")).height == 0
    assert visits.filter(pl.col("dia") > pl.col("mean")).height == 0
    assert visits.filter(pl.col("mean") > pl.col("sys")).height == 0
    damage = visits.drop_nulls("damage").select(pl.col("damage").diff().over("patient_id"))["damage"]
    assert damage.min() >= 0
    grades = visits.select("patient_id", pl.col("grade").replace_strict({"I": 1, "II": 2, "III": 3, "IV": 4}))
    assert grades.select(pl.col("grade").diff().over("patient_id"))["grade"].min() >= 0
    observed = visits.drop_nulls("state").with_columns((pl.col("state") == "hospice").alias("is_last"))
    reached = observed.with_columns(pl.col("is_last").cum_max().over("patient_id").alias("reached"))
    assert reached.filter(pl.col("reached") & ~pl.col("is_last")).height == 0
    assert visits.group_by("patient_id").agg(pl.col("site").n_unique())["site"].max() == 1
    for name, (low, high) in {"dia": (30, 120), "mean": (40, 160), "sys": (60, 250)}.items():
        assert visits[name].min() >= low
        assert visits[name].max() <= high


def test_ids_say_that_they_are_synthetic(drawn):
    assert drawn.origin == "synthetic"
    assert drawn.static["patient_id"].str.starts_with("synthetic-").all()
    assert drawn.static["patient_id"].n_unique() == N_DRAWN


@pytest.mark.parametrize(
    "where",
    [{"arm": "active"}, {"arm": "active", "status": 1}, (pl.col("age at entry") >= 60) & (pl.col("status") > 0)],
)
def test_conditions_hold_for_every_patient(synthesizer, where):
    drawn = synthesizer.sample(200, where=where, seed=2)
    assert drawn.n_patients == 200
    if isinstance(where, dict):
        where = pl.all_horizontal([pl.col(name) == value for name, value in where.items()])
    assert drawn.static.filter(where).height == 200


def test_a_condition_changes_nothing_but_who_is_drawn(synthesizer, drawn):
    """Given the arm, the other attributes follow the same distribution as among those drawn without a condition."""
    active = synthesizer.sample(3000, where={"arm": "active"}, seed=3).static["age at entry"]
    expected = drawn.static.filter(pl.col("arm") == "active")["age at entry"]
    error = np.sqrt(active.var() / len(active) + expected.var() / len(expected))
    assert abs(active.mean() - expected.mean()) < 4 * error


@pytest.mark.parametrize(
    "where",
    [
        {"weight": 3},
        {},
        pl.col("weight") > 3,
        pl.col("age at entry") + 1,
        pl.col("age at entry") > 1000,
        {"arm": "third"},
    ],
)
def test_impossible_conditions_are_refused(synthesizer, where):
    with pytest.raises(ConfigError):
        synthesizer.sample(5, where=where)


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_streamed_files_hold_the_same_patients(synthesizer, tmp_path, monkeypatch, format):
    monkeypatch.setattr("longsynth.synthesizer.PART", 40)
    done = []
    synthesizer.sample_to_files(100, tmp_path, seed=4, format=format, on_progress=done.append)
    assert done == [40, 80, 100]
    whole = synthesizer.sample(100, seed=4)
    read = ls.read_cohort(tmp_path / f"visits.{format}", static=tmp_path / f"static.{format}", schema=SCHEMA)
    assert read.static.equals(whole.static)
    assert read.visits.equals(whole.visits)


def test_a_failed_stream_leaves_nothing_behind(synthesizer, tmp_path, monkeypatch):
    monkeypatch.setattr("longsynth.synthesizer.PART", 10)

    def stop(done: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesizer.sample_to_files(50, tmp_path / "out", seed=4, on_progress=stop)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("with_event", [True, False])
def test_times_with_six_decimals_stay_in_order(with_event, monkeypatch):
    make_quick(monkeypatch)
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(60), 5)
    days = np.round(rng.uniform(20, 90, (60, 5)).cumsum(axis=1) - 20, 6)
    static = pl.DataFrame({"patient_id": np.arange(60), "end": days[:, -1], "died": rng.integers(0, 2, 60)})
    visits = pl.DataFrame({"patient_id": ids, "day": days.ravel(), "x": rng.normal(size=300)})
    schema = Schema(
        visit_time=VisitTime(column="day"),
        terminal_event=TerminalEvent(duration="end", event="died") if with_event else None,
        channels={"x": Channel(kind="continuous")},
    )
    train = Cohort(static if with_event else static.select("patient_id"), visits, schema=schema)
    drawn = ls.Synthesizer(0, "likelihood", accelerator="cpu").fit(train).sample(N_DRAWN, seed=1)
    gap = drawn.visits.select(pl.col("day").diff().over("patient_id")).drop_nulls().to_series()
    assert drawn.n_patients == N_DRAWN
    assert gap.min() > 0
