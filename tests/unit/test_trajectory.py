"""Patient and transition features against the same definitions written out in NumPy, and their edge cases."""

import datetime as dt
from itertools import pairwise
from time import perf_counter

import numpy as np
import polars as pl
import pytest

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numbers, patient_features, transition_features
from longsynth.schema.types import Channel, Column, Schema, StaticColumn, TerminalEvent, VisitTime

SCHEMA = Schema(
    visit_time=VisitTime(column="day"),
    terminal_event=TerminalEvent(duration="end", event="died"),
    static={
        "age": StaticColumn(kind="continuous"),
        "arm": StaticColumn(kind="binary", levels=("placebo", "drug")),
        "entry": StaticColumn(kind="date"),
    },
    channels={
        "weight, kg": Channel(kind="continuous"),
        "grade": Channel(kind="ordinal", levels=(2, 4, 8)),
        "ward": Channel(kind="categorical", levels=("north", "south", "none")),
        "never": Channel(kind="continuous"),
    },
)


def made(n: int = 40, seed: int = 0) -> Cohort:
    rng = np.random.default_rng(seed)
    n_visits = rng.integers(0, 8, n)
    n_visits[:3] = [0, 1, 2]
    patient = np.repeat(np.arange(n), n_visits)
    size = len(patient)
    static = pl.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(n)],
            "age": rng.normal(60, 10, n).round(1),
            "arm": rng.choice(["placebo", "drug"], n),
            "entry": [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 500, n)],
            "end": np.full(n, 1000.0),
            "died": rng.integers(0, 2, n),
        }
    )
    days = [day for k in n_visits for day in np.sort(rng.choice(900, k, replace=False))]
    missing = rng.random((3, size)) < 0.3
    visits = pl.DataFrame(
        {
            "patient_id": [f"p{i}" for i in patient],
            "day": days,
            "weight, kg": np.where(missing[0], np.nan, rng.normal(70, 9, size)),
            "grade": pl.Series(rng.choice([2, 4, 8], size)).set(pl.Series(missing[1]), None),
            "ward": pl.Series(rng.choice(["north", "south", "none"], size)).set(pl.Series(missing[2]), None),
            "never": pl.Series([None] * size, dtype=pl.Float64),
        }
    )
    return Cohort(static.sample(fraction=1, shuffle=True, seed=seed), visits, schema=SCHEMA)


def expected_features(time: np.ndarray, value: np.ndarray) -> dict[str, float | None]:
    """One patient's features of one numeric channel, by definition."""
    seen = ~np.isnan(value)
    t, x = time[seen], value[seen]
    n, change = len(x), np.diff(x)
    return {
        "observed_share": n / len(value) if len(value) else None,
        "first": x[0] if n else None,
        "last": x[-1] if n else None,
        "mean": x.mean() if n else None,
        "sd": x.std(ddof=1) if n > 1 else None,
        "min": x.min() if n else None,
        "max": x.max() if n else None,
        "slope": np.polyfit(t, x, 1)[0] if n > 1 else None,
        "change_sd": change.std(ddof=1) if n > 2 else None,
        "change_size": np.abs(change).mean() if n > 1 else None,
    }


def assert_same(found: float | None, expected: float | None) -> None:
    if expected is None:
        assert found is None
    else:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_numeric_channels_match_their_definition():
    cohort = made()
    features = patient_features(cohort)
    assert features["patient_id"].to_list() == cohort.static["patient_id"].to_list()
    n_checked = 0
    for row in features.iter_rows(named=True):
        visits = cohort.visits.filter(pl.col("patient_id") == row["patient_id"])
        time = visits["day"].to_numpy().astype(float)
        ranks = visits["grade"].replace_strict([2, 4, 8], [0.0, 1.0, 2.0], return_dtype=pl.Float64)
        for name, value in (("weight, kg", visits["weight, kg"]), ("grade", ranks)):
            for feature, expected in expected_features(time, value.to_numpy().astype(float)).items():
                assert_same(row[f"{name}.{feature}"], expected)
                n_checked += expected is not None
    assert n_checked > 400


def test_categorical_channel_matches_its_definition():
    cohort = made()
    for row in patient_features(cohort).iter_rows(named=True):
        ward = cohort.visits.filter(pl.col("patient_id") == row["patient_id"])["ward"]
        seen = ward.drop_nulls().to_list()
        levels = ["north", "south", "none"]
        assert_same(row["ward.observed_share"], len(seen) / len(ward) if len(ward) else None)
        assert_same(row["ward.first"], float(levels.index(seen[0])) if seen else None)
        assert_same(row["ward.last"], float(levels.index(seen[-1])) if seen else None)
        changes = [a != b for a, b in pairwise(seen)]
        assert_same(row["ward.change_rate"], float(np.mean(changes)) if changes else None)
        counts = [seen.count(level) for level in levels]
        assert_same(row["ward.most_common"], float(np.argmax(counts)) if seen else None)
        for level, count in zip(levels, counts, strict=True):
            assert_same(row[f"ward.share[{level}]"], count / len(seen) if seen else None)


def test_visits_and_static_row_match_their_definition():
    cohort = made()
    static = cohort.static.rows_by_key("patient_id", named=True, unique=True)
    for row in patient_features(cohort).iter_rows(named=True):
        patient = static[row["patient_id"]]
        time = cohort.visits.filter(pl.col("patient_id") == row["patient_id"])["day"].to_numpy().astype(float)
        gap = np.diff(time)
        assert row["visits.count"] == len(time)
        assert_same(row["visits.span"], time[-1] - time[0] if len(time) else None)
        assert_same(row["visits.gap_mean"], gap.mean() if len(gap) else None)
        assert_same(row["visits.gap_sd"], gap.std(ddof=1) if len(gap) > 1 else None)
        assert row["static.age"] == patient["age"]
        assert row["static.arm"] == ["placebo", "drug"].index(patient["arm"])
        assert row["static.entry"] == (patient["entry"] - dt.date(1970, 1, 1)).days
        assert row["event.duration"] == patient["end"]
        assert row["event.type"] == patient["died"]


def test_a_channel_never_observed_is_null_throughout():
    never = patient_features(made()).select(pl.col("^never\\..*$").exclude("never.observed_share"))
    assert never.null_count().row(0) == (40,) * 9


def test_all_columns_but_the_id_are_numbers():
    for features in (patient_features(made()), transition_features(made())):
        assert set(features.drop("patient_id").dtypes) == {pl.Float64}


def test_transitions_are_the_pairs_of_consecutive_visits():
    cohort = made()
    transitions = transition_features(cohort)
    n_pairs = 0
    for (patient,), visits in cohort.visits.group_by("patient_id"):
        rows = transitions.filter(pl.col("patient_id") == patient)
        n_pairs += visits.height - 1
        assert rows["gap"].to_list() == visits["day"].diff().drop_nulls().to_list()
        weight = visits["weight, kg"].to_list()
        assert rows["before.weight, kg"].to_list() == weight[:-1]
        assert rows["after.weight, kg"].to_list() == weight[1:]
        age = cohort.static.filter(pl.col("patient_id") == patient)["age"].item()
        assert rows["static.age"].to_list() == [age] * (visits.height - 1)
    assert transitions.height == n_pairs > 60


def test_features_do_not_depend_on_the_order_of_the_patients():
    assert patient_features(made()).equals(patient_features(shuffled(made())))
    assert transition_features(made()).equals(transition_features(shuffled(made())))


def shuffled(cohort: Cohort) -> Cohort:
    tables = (table.sample(fraction=1, shuffle=True, seed=3) for table in (cohort.static, cohort.visits))
    return Cohort(*tables, schema=cohort.schema)


def test_a_static_table_alone_has_static_features_and_no_transitions():
    schema = Schema(static={"age": StaticColumn(kind="count")})
    cohort = Cohort(pl.DataFrame({"patient_id": [1, 2], "age": [40, 50]}), schema=schema)
    assert patient_features(cohort).columns == ["patient_id", "static.age"]
    assert transition_features(cohort).height == 0


def test_events_only_has_visit_features():
    schema = Schema(visit_time=VisitTime(column="day"))
    visits = pl.DataFrame({"patient_id": [1, 1, 2], "day": [0, 5, 0]})
    cohort = Cohort(visits.select("patient_id").unique(), visits, schema=schema)
    assert patient_features(cohort)["visits.span"].to_list() == [5.0, 0.0]
    assert transition_features(cohort).rows() == [(1, 5.0)]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (pl.Series([True, False, None]), (False, True)),
        (pl.Series([1.0, 0.0, None]), (0, 1)),
        (pl.Series([1, 0, None]), (0.0, 1.0)),
        (pl.Series(["b", "a", None]), ("a", "b")),
        (pl.Series([0.3, 0.1, None], dtype=pl.Float32), (0.1, 0.3)),
    ],
)
def test_levels_become_their_position(values, levels):
    assert numbers(values, Column(kind="binary", levels=levels)).to_list() == [1.0, 0.0, None]


def test_datetimes_become_days_with_fractions():
    values = pl.Series([dt.datetime(1970, 1, 2, 12), None])
    assert numbers(values, Column(kind="date")).to_list() == [1.5, None]


def test_many_visits_take_seconds():
    n, k = 4_000, 50
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(20)]
    schema = Schema(visit_time=VisitTime(column="t"), channels={name: Channel(kind="continuous") for name in names})
    visits = pl.DataFrame({"patient_id": np.repeat(np.arange(n), k), "t": np.tile(np.arange(k), n)})
    visits = visits.with_columns(pl.Series(name, rng.normal(size=n * k)) for name in names)
    cohort = Cohort(pl.DataFrame({"patient_id": np.arange(n)}), visits, schema=schema)
    start = perf_counter()
    assert patient_features(cohort).height == n
    assert transition_features(cohort).height == n * (k - 1)
    assert perf_counter() - start < 15  # 1 s when quiet; a Python loop over patients and channels takes minutes
