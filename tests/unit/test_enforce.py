"""The repair of constraints makes all of them true together, for numbers and for dates, inside the bounds."""

import datetime as dt
from itertools import product

import numpy as np
import polars as pl
import pytest

from longsynth.cohort.rules import check_constraints
from longsynth.encoding.enforce import enforce_static, enforce_visits
from longsynth.schema.types import Channel, Constant, Monotone, Ordered, Schema, StaticColumn, VisitTime

RISES, FALLS = (Monotone(channel="low"), Monotone(channel="high")), (Monotone(channel="low", direction="decreasing"),)
SETS = {
    "ordered": (),
    "the lower one rises": RISES[:1],
    "the upper one rises": RISES[1:],
    "both rise": RISES,
    "the lower one falls": FALLS,
    "the lower one falls and the upper one rises": (*FALLS, RISES[1]),
    "the lower one is constant": (Constant(channel="low"),),
    "the upper one is constant": (Constant(channel="high"),),
    "both are constant": (Constant(channel="low"), Constant(channel="high")),
}
DAY = dt.date(2020, 1, 1)


def wild(rules, seed: int, kinds: tuple[str, str]) -> pl.DataFrame:
    """Visits in which a third of the values is missing and a constant channel is constant, and nothing else holds."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(60), 6)
    columns = {"patient_id": patient, "day": np.tile(np.arange(6), 60)}
    for name, kind in zip(("low", "high"), kinds, strict=True):
        is_constant = any(rule.rule == "constant" and rule.channel == name for rule in rules)
        values = rng.integers(0, 40, 60)[patient] if is_constant else rng.integers(0, 40, 360)
        column = pl.Series(values.astype(float))
        if kind != "number":
            column = pl.select(pl.lit(DAY) + pl.duration(days=pl.Series(values))).to_series()
        if kind == "datetime":
            column = column.cast(pl.Datetime("us")) + pl.Series(rng.integers(0, 24, 360)[patient]) * dt.timedelta(
                hours=1
            )
        missing = pl.Series(rng.random(360) < 1 / 3) & (not is_constant)
        columns[name] = pl.select(pl.when(~missing).then(column)).to_series()
    return pl.DataFrame(columns)


@pytest.mark.parametrize("kinds", [*product(["date", "datetime"], repeat=2), ("number", "number")])
@pytest.mark.parametrize("rules", SETS.values(), ids=list(SETS))
def test_all_constraints_hold_together(rules, kinds):
    channel = Channel(kind="continuous") if kinds[0] == "number" else Channel(kind="date")
    schema = Schema(
        visit_time=VisitTime(column="day"),
        channels={"low": channel, "high": channel},
        constraints=(Ordered(lower="low", upper="high"), *rules),
    )
    for seed in range(5):
        given = wild(rules, seed, kinds)
        assert check_constraints(pl.DataFrame(), given, schema)
        made = enforce_visits(schema, given, {"low": np.asarray, "high": np.asarray})
        assert check_constraints(pl.DataFrame(), made, schema) == []
        assert made.null_count().equals(given.null_count()) and made.schema == given.schema


@pytest.mark.parametrize("types", [*product([pl.Date, pl.Datetime("us")], repeat=2)])
def test_a_pair_of_dates_that_leaves_its_bounds_moves_together(types):
    """The lower date is not before 2020-01-10, the upper one not after 2020-01-20."""
    lows = [dt.date(2020, 1, day) for day in (12, 15, 25, 10, 28)]
    highs = [dt.date(2020, 1, day) for day in (14, 11, 15, 5, 2)]
    static = pl.DataFrame({"low": pl.Series(lows).cast(types[0]), "high": pl.Series(highs).cast(types[1])})
    schema = Schema(
        static={"low": StaticColumn(kind="date"), "high": StaticColumn(kind="date")},
        constraints=(Ordered(lower="low", upper="high"),),
    )
    first, last = ((dt.datetime(2020, 1, day) - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1) for day in (10, 20))
    per_day = [1 if kind == pl.Date else 86_400 for kind in types]
    conform = {
        "low": lambda dates: np.maximum(dates, first * per_day[0]),
        "high": lambda dates: np.minimum(dates, last * per_day[1]),
    }
    made = enforce_static(schema, static, conform).with_columns(pl.all().cast(pl.Date))
    assert (made["low"] <= made["high"]).all()
    assert made["low"].min() >= dt.date(2020, 1, 10) and made["high"].max() <= dt.date(2020, 1, 20)
    assert made.row(0) == (lows[0], highs[0])
    assert made.row(1) == (highs[1], lows[1])
