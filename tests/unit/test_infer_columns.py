"""What `infer_schema` proposes for one column of any sort; it neither leaks nor guesses what it cannot know."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longsynth.schema import infer_schema, propose

N = 200
RNG = np.random.default_rng(0)


def static_with(**columns) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    return pl.DataFrame({"patient_id": [f"p{i}" for i in range(n)], **columns})


def column(values):
    proposal = propose(static_with(x=values, other=[1, 2] * (len(values) // 2)), patient_id="patient_id")
    return proposal.schema.static.get("x"), " ".join(proposal.comments.get(("static", "x"), [])), proposal


KINDS = [
    ("flag", [0, 1] * 100, "binary", (0, 1)),
    ("float flag with missing", [0.0, 1.0, None, float("nan")] * 50, "binary", (0, 1)),
    ("boolean", [True, False] * 100, "binary", (False, True)),
    ("two texts", ["m", "f"] * 100, "binary", ("f", "m")),
    ("grades", [1, 2, 3, 4] * 50, "ordinal", (1, 2, 3, 4)),
    ("half grades", [0.0, 0.5, 1.0, 0.5] * 50, "ordinal", (0, 0.5, 1)),
    ("codes", [1, 3, 9, 27] * 50, "categorical", (1, 3, 9, 27)),
    ("texts", ["a", "b", "c", "a"] * 50, "categorical", ("a", "b", "c")),
    ("one value", [7] * 200, "categorical", (7,)),
    ("one text", ["x"] * 200, "categorical", ("x",)),
    ("all true", [True] * 200, "categorical", (True,)),
]


@pytest.mark.parametrize(("values", "kind", "levels"), [case[1:] for case in KINDS], ids=[case[0] for case in KINDS])
def test_levels(values, kind, levels):
    found, _, _ = column(values)
    assert (found.kind, found.levels) == (kind, levels)
    assert found.inferred == ("kind", "levels")


NUMBERS = [
    ("counts", RNG.poisson(3, N), "count", None),
    ("few counts with a gap", [0, 1, 2, 3, 7] * 40, "count", None),
    ("one decimal", RNG.normal(50, 9, N).round(1), "continuous", 1),
    ("one decimal in single precision", RNG.normal(50, 9, N).round(1).astype(np.float32), "continuous", 1),
    ("no decimals, from 55", RNG.integers(55, 400, N), "continuous", 0),
    ("tens", RNG.integers(20, 400, N) * 10.0, "continuous", -1),
    ("whole and negative", RNG.integers(-40, 40, N), "continuous", 0),
    ("unrounded", RNG.normal(size=N), "continuous", None),
    ("two unrounded values", [0.31, 1.27], "continuous", None),
]


@pytest.mark.parametrize(
    ("values", "kind", "decimals"), [case[1:] for case in NUMBERS], ids=[case[0] for case in NUMBERS]
)
def test_numbers(values, kind, decimals):
    found, _, _ = column(values)
    assert (found.kind, found.decimals) == (kind, decimals)
    lower, upper = found.bounds
    assert lower <= min(values) and max(values) <= upper
    assert found.inferred == ("kind", "bounds") + ("decimals",) * (decimals is not None)


measured = st.floats(-1e12, 1e12).map(lambda x: float(f"{x:.5g}")).filter(lambda x: x == 0 or abs(x) > 1e-12)


@given(st.lists(measured, min_size=11, max_size=30, unique=True))
def test_bounds_hold_all_values_and_copy_none(values):
    found, _, _ = column([*values, *values[:1]] if len(values) % 2 else values)
    whole = all(value.is_integer() for value in values)
    for bound, extreme in zip(found.bounds, (min(values), max(values)), strict=True):
        assert bound == 0 or bound != extreme
        assert bound == float(f"{bound:.1e}")  # two significant digits
        assert abs(bound - extreme) <= max(0.11 * abs(extreme), whole)
    assert found.bounds[0] <= min(values) and max(values) <= found.bounds[1]


def test_a_limit_that_many_patients_share_is_kept():
    saturation = np.r_[np.full(20, 100.0), RNG.integers(60, 99, 180)]
    assert column(saturation)[0].bounds[1] == 100
    assert column(np.r_[np.full(2, 100.0), saturation[20:]])[0].bounds[1] == 110


def test_dates_get_whole_years_as_bounds():
    days = [dt.date(2019, 3, 1) + dt.timedelta(days=int(d)) for d in RNG.integers(0, 700, N)]
    found, _, _ = column(days)
    assert (found.kind, found.bounds) == ("date", (dt.date(2019, 1, 1), dt.date(2022, 1, 1)))
    assert column([day.isoformat() for day in days])[0] == found
    assert column(pl.Series(days).cast(pl.Datetime("ns")))[0] == found
    assert column([dt.date(2019, 1, 1), dt.date(2019, 1, 1)])[0].bounds[0] == dt.date(2018, 1, 1)


def test_the_first_and_the_last_day_of_the_calendar_are_dates():
    found, _, _ = column([dt.date.min, dt.date(2019, 3, 1), dt.date(2020, 1, 1), dt.date.max] * 50)
    assert found.bounds == (dt.date.min, dt.date.max)


LEFT_OUT = {
    "names of few patients": [f"name {i}" for i in range(8)],
    "names": [f"name {i}" for i in range(N)],
    "free text": [f"came in on day {i} with pain" if i % 9 else "well" for i in range(N)],
    "codes with leading zeros": [f"{i:05d}" for i in range(N)],
    "row numbers": list(range(N)),
    "record numbers": [4_000_000 + 977 * i for i in range(N)],
    "never observed": [None] * N,
    "blank text": ["", "NA"] * (N // 2),
    "infinite": [float("inf"), 1.5] * (N // 2),
    "lists": [[1, 2]] * N,
    "times of day": [dt.datetime(2020, 1, 1, i % 24) for i in range(N)],
    "1,001 codes": [f"c{i % 1001}" for i in range(3003)] + ["c0"],
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_left_out_with_a_reason(name):
    found, _, proposal = column(LEFT_OUT[name])
    assert found is None
    (reason,) = proposal.comments["static",]
    assert reason.startswith("left out: x (") and "name 1" not in reason


def test_rare_levels_are_pointed_out_without_naming_them():
    found, comment, _ = column(["a", "b"] * 99 + ["rare", "a"])
    assert "1 of its levels held by fewer than 5 patients" in comment and "rare" not in comment
    assert found.levels == ("a", "b", "rare")


def test_nearly_rounded_values_get_a_comment_and_no_decimals():
    found, comment, _ = column(np.r_[RNG.normal(50, 9, N - 2).round(1), 50.123, 49.456])
    assert found.decimals == 3
    assert "set decimals: 1" in comment


def test_text_numbers_stay_levels_in_a_typed_table_and_become_numbers_in_a_text_table():
    typed = pl.DataFrame({"patient_id": np.arange(N), "stage": ["1", "2", "3", "4"] * 50})
    assert infer_schema(typed, patient_id="patient_id").static["stage"].levels == ("1", "2", "3", "4")
    text = typed.cast(pl.String)
    assert infer_schema(text, patient_id="patient_id").static["stage"].levels == (1, 2, 3, 4)
    text = text.with_columns(flag=pl.Series(["TRUE", "FALSE"] * 100), ward=pl.Series(["01", "02"] * 100))
    static = infer_schema(text, patient_id="patient_id").static
    assert static["flag"].levels == (False, True)
    assert static["ward"].levels == ("01", "02")


@pytest.mark.parametrize("unreadable", ["<0.5", "2,5", "."])
def test_a_few_cells_that_are_no_numbers_do_not_make_levels_of_a_number(unreadable):
    values = [str(value) for value in RNG.normal(50, 9, N - 2).round(1)] + [unreadable] * 2
    found, comment, _ = column(values)
    assert (found.kind, found.decimals, found.levels) == ("continuous", 1, None)
    assert "2 rows with text that is not a number" in comment and unreadable not in comment


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%d.%m.%y", "%d-%b-%Y", "%Y/%m/%d"])
def test_dates_in_another_form_are_called_dates(form):
    days = [dt.date(2019, 3, 1) + dt.timedelta(days=3 * i) for i in range(N)]
    for values in ([day.strftime(form) for day in days], [*map(str, days[2:]), "31/01/2024", "unknown"]):
        found, _, proposal = column(values)
        (reason,) = proposal.comments["static",]
        assert found is None and "looks like dates" in reason and "unknown" not in reason


def test_codes_that_are_mostly_digits_stay_levels():
    few = [str(1 + i % 6) for i in range(N - 4)] + ["x"] * 4
    assert column(few)[0].kind == "categorical"
    half = [str(i % 15) for i in range(N // 2)] + ["x", "y"] * (N // 4)
    assert column(half)[0].kind == "categorical"


def test_categories_and_decimals_of_other_libraries():
    table = pd.DataFrame({"patient_id": range(N), "ward": pd.Categorical(["x", "y", "z", "x"] * 50)})
    assert infer_schema(table, patient_id="patient_id").static["ward"].levels == ("x", "y", "z")
    table = pl.DataFrame(
        {"patient_id": range(N), "dose": pl.Series(RNG.normal(9, 2, N).round(1)).cast(pl.Decimal(9, 1))}
    )
    assert infer_schema(table.lazy(), patient_id="patient_id").static["dose"].decimals == 1
