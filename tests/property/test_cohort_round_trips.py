"""Whatever a cohort holds, it survives files, pandas and a change of row order."""

import datetime as dt
import tempfile
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.columns import MISSING_TEXT
from longsynth.cohort.formats import read_cohort, write_cohort
from longsynth.cohort.split import split
from longsynth.schema.types import Channel, Column, Schema, StaticColumn, TerminalEvent, VisitTime

BASELINE = dt.date(2000, 2, 28)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
ids = texts.filter(lambda text: text not in MISSING_TEXT)
names = texts.filter(lambda name: name != "*" and not (name[0] == "^" and name[-1] == "$"))
wholes = st.integers(-(2**53), 2**53)
floats = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def columns(draw: st.DrawFn) -> tuple[dict, pl.DataType, st.SearchStrategy]:
    """What a column declares, its type, and its values."""
    labels = tuple(draw(st.lists(texts, min_size=1, max_size=4, unique=True)))
    return draw(
        st.sampled_from(
            [
                ({"kind": "continuous"}, pl.Float64, floats),
                ({"kind": "continuous"}, pl.Int64, wholes),
                ({"kind": "count"}, pl.Int64, st.integers(0, 2**53)),
                ({"kind": "count"}, pl.Float64, st.integers(0, 2**53).map(float)),
                ({"kind": "binary", "levels": (0, 1)}, pl.Boolean, st.booleans()),
                ({"kind": "binary", "levels": (False, True)}, pl.Int64, st.integers(0, 1)),
                ({"kind": "ordinal", "levels": (0, 0.5, 1)}, pl.Float64, st.sampled_from([0.0, 0.5, 1.0])),
                ({"kind": "categorical", "levels": labels}, pl.String, st.sampled_from(labels)),
                ({"kind": "date"}, pl.Date, st.dates(dt.date(1800, 1, 1), dt.date(2200, 1, 1))),
            ]
        )
    )


@st.composite
def tables(draw: st.DrawFn, height: int, base: type[Column]) -> tuple[dict[str, Column], pl.DataFrame]:
    """Some columns, and a frame of ``height`` rows that fits them."""
    declared, series = {}, []
    for name in draw(st.lists(names, max_size=4, unique=True)):
        facts, dtype, values = draw(columns())
        declared[name] = base(**facts)
        series.append(
            pl.Series(name, draw(st.lists(st.none() | values, min_size=height, max_size=height)), dtype=dtype)
        )
    return declared, pl.DataFrame(series)


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    """A cohort with any names, ids, kinds of columns and visit times; with dates in a third of them."""
    patients = draw(st.lists(ids, min_size=1, max_size=5, unique=True))
    days = [draw(st.lists(st.integers(0, 40_000), min_size=1, max_size=4, unique=True)) for _ in patients]
    owners = [patient for patient, times in zip(patients, days, strict=True) for _ in times]
    attributes, static = draw(tables(len(patients), StaticColumn))
    channels, visits = draw(tables(len(owners), Channel))
    dated = draw(st.sampled_from([False, False, True]))
    reserved = ["\u2063id", "\u2063time", "\u2063end", "\u2063event", "\u2063baseline"]
    patient_id, time, end, event, baseline = reserved
    ends = [max(times) + draw(st.integers(0, 9)) for times in days]
    static = (
        pl.DataFrame({patient_id: patients})
        .hstack(static)
        .with_columns(
            pl.Series(end, ends),
            pl.Series(event, draw(st.lists(st.integers(0, 1), min_size=len(ends), max_size=len(ends)))),
        )
    )
    visits = pl.DataFrame({patient_id: owners, time: [day for times in days for day in times]}).hstack(visits)
    if dated:
        static = static.with_columns(pl.lit(BASELINE).alias(baseline), pl.duration(days=end).alias(end) + BASELINE)
        visits = visits.with_columns(pl.duration(days=time).alias(time) + BASELINE)
        attributes[baseline] = StaticColumn(kind="date")
    kind = "date" if dated else "number"
    schema = Schema(
        patient_id=patient_id,
        visit_time=VisitTime(column=time, kind=kind, origin=baseline if dated else None),
        terminal_event=TerminalEvent(duration=end, event=event, kind=kind),
        static=attributes,
        channels=channels,
    )
    return Cohort(static, visits, schema=schema)


def assert_same(left: Cohort, right: Cohort, *, same_types: bool = True) -> None:
    """Equal values; equal types, except of columns that hold no value to tell their type by."""
    for ours, theirs in ((left.static, right.static), (left.visits, right.visits)):
        assert_frame_equal(ours, theirs, check_dtypes=False, check_exact=True)
        for name in ours.columns if same_types else ():
            assert ours.schema[name] == theirs.schema[name] or ours[name].null_count() == ours.height


@pytest.mark.parametrize("format", ["parquet", "csv"])
@given(cohort=cohorts())
def test_writing_and_reading_gives_the_cohort_back(format, cohort):
    with tempfile.TemporaryDirectory() as folder:
        static, visits = write_cohort(cohort, folder, format)
        assert_same(cohort, read_cohort(visits, static=static, schema=cohort.schema))


@given(cohort=cohorts())
def test_pandas_gives_the_cohort_back(cohort):
    assert_same(cohort, Cohort(*cohort.to_pandas(), schema=cohort.schema), same_types=False)


@given(cohort=cohorts(), seed=st.integers(0, 99))
def test_row_and_column_order_do_not_matter(cohort, seed):
    shuffled = [table.sample(fraction=1, shuffle=True, seed=seed) for table in cohort.tables()]
    again = Cohort(*(table.select(reversed(table.columns)) for table in shuffled), schema=cohort.schema)
    assert_same(cohort, again)


@given(cohort=cohorts(), share=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_split_gives_each_patient_to_one_side(cohort, share, seed):
    if cohort.n_patients < 2:
        return
    train, holdout = split(cohort, share, seed)
    name = cohort.schema.patient_id
    assert sorted([*train.static[name], *holdout.static[name]]) == cohort.static[name].to_list()
    assert_frame_equal(pl.concat([train.visits, holdout.visits]).sort(cohort.visits.columns[:2]), cohort.visits)


@given(cohort=cohorts())
def test_laws_of_every_cohort(cohort):
    patient_id, time = cohort.visits.columns[:2]
    rows = cohort.visits.select(patient_id, time).rows()
    assert all(earlier < later for earlier, later in pairwise(rows))
    ends = dict(cohort.static.select(patient_id, cohort.schema.terminal_event.duration).rows())
    assert all(0 <= at <= ends[patient] for patient, at in rows)
