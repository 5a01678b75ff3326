"""What `infer_schema` proposes for the tables of a cohort: times, events, baseline dates, constraints, wrong names."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from awkward import awkward_cohorts

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.datasets import load_pbc
from longsynth.cohort.formats import read_cohort, read_table, write_cohort
from longsynth.exceptions import SchemaError
from longsynth.schema import infer_schema, propose, write_schema
from longsynth.schema.types import Absorbing, Constant, Monotone, Ordered

RNG = np.random.default_rng(0)


def two_tables(n=60, dates=False, **extra):
    patient = np.repeat(np.arange(n), 4)
    days = np.tile([0, 30, 61, 95], n)
    rng = np.random.default_rng(1)
    static = pl.DataFrame(
        {
            "id": np.arange(n),
            "age": rng.normal(60, 9, n).round(1),
            "end": np.full(n, 100),
            "died": [0, 1, 2, 0] * (n // 4),
        }
    )
    visits = pl.DataFrame({"id": patient, "day": days, "hb": rng.normal(13, 1, 4 * n).round(1), **extra})
    if dates:
        entry = pl.Series([dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 300, n)])
        static = static.with_columns(entry=entry, end=entry.dt.offset_by("100d"))
        visits = visits.with_columns(day=entry.gather(patient) + pl.duration(days=pl.Series(days)))
    return static, visits


NAMES = {"patient_id": "id", "visit_time": "day", "duration": "end", "event": "died"}


def test_visits_and_terminal_event():
    schema = infer_schema(*two_tables(), **NAMES, time_unit="weeks")
    assert (schema.time_unit, schema.visit_time.kind) == ("weeks", "number")
    assert list(schema.static) == ["age"] and list(schema.channels) == ["hb"]
    assert schema.terminal_event.event_types == {1: "event 1", 2: "event 2"}
    assert schema.terminal_event.inferred == ("event_types",)


def test_the_proposal_fits_its_own_tables():
    static, visits = two_tables(dates=True)
    schema = infer_schema(static, visits, **NAMES)
    assert Cohort(static, visits, schema=schema).n_visits == 240


def test_boolean_and_text_events():
    static, visits = two_tables()
    boolean = static.with_columns(pl.col("died") > 0)
    assert infer_schema(boolean, visits, **NAMES).terminal_event.event_types == {1: "event 1"}
    for odd in (pl.lit("dead"), pl.lit(-1), pl.lit(0.5), pl.lit(dt.date(2020, 1, 1))):
        with pytest.raises(SchemaError, match=r"static\.died.*recode it with 0 = censored"):
            infer_schema(static.with_columns(died=odd), visits, **NAMES)


def test_odd_event_codes_are_pointed_out():
    static, visits = two_tables()
    coded = propose(static.with_columns(died=pl.Series([1, 2] * 30)), visits, **NAMES)
    assert "recode it as 0" in " ".join(coded.comments["terminal_event",])
    censored = propose(static.with_columns(died=pl.lit(0)), visits, **NAMES)
    assert "All patients are censored." in censored.comments["terminal_event",]
    assert censored.schema.terminal_event.event_types == {1: "event 1"}


def test_baseline_date_of_the_static_table_is_the_origin():
    static, visits = two_tables(dates=True)
    birth = static["entry"].dt.offset_by("-60y")
    schema = infer_schema(static.with_columns(birth=birth), visits, **NAMES)
    assert (schema.visit_time.kind, schema.visit_time.origin) == ("date", "entry")
    assert not schema.visit_time.origin_is_first_visit
    assert schema.terminal_event.kind == "date"
    assert list(schema.static) == ["age", "entry", "birth"]


def test_without_a_baseline_date_the_first_visit_is_the_origin():
    static, visits = two_tables(dates=True)
    for table in (static.drop("entry"), static.with_columns(again=pl.col("entry"))):
        schema = infer_schema(table, visits, **NAMES)
        assert schema.visit_time.origin_is_first_visit
        assert schema.static["baseline_date"].kind == "date"
    late = static.with_columns(pl.col("entry").dt.offset_by("1d"))
    assert infer_schema(late, visits, **NAMES).visit_time.origin == "baseline_date"
    taken = static.drop("entry").with_columns(baseline_date=pl.lit("no date"))
    assert infer_schema(taken, visits, **NAMES).visit_time.origin == "baseline_date_"


def test_visit_times_with_a_time_of_day():
    static, visits = two_tables(dates=True)
    moments = visits.with_columns(pl.col("day").cast(pl.Datetime("us")) + pl.duration(hours=9))
    schema = infer_schema(static, moments, **NAMES)
    assert (schema.visit_time.kind, schema.visit_time.origin) == ("datetime", "entry")
    assert infer_schema(static, visits.with_columns(pl.col("day").cast(pl.String)), **NAMES).visit_time.kind == "date"


def test_static_columns_of_a_flat_table_are_found():
    static, visits = two_tables()
    schema = infer_schema(None, visits.join(static, on="id"), **NAMES)
    assert schema == infer_schema(static, visits, **NAMES)


def test_a_static_attribute_repeated_in_the_visits_is_no_channel():
    static, visits = two_tables()
    proposal = propose(static, visits.join(static, on="id"), **NAMES)
    assert "age" not in proposal.schema.channels
    assert "left out: age (repeats the static attribute)" in proposal.comments["channels",]
    ageing = visits.join(static.select("id", "age"), on="id").with_columns(pl.col("age") + pl.col("day") / 365)
    assert "age" in infer_schema(static, ageing, **NAMES).channels


COHORTS = awkward_cohorts() | {"pbc": load_pbc()}


def names_of(cohort):
    schema = cohort.schema
    time = None if schema.visit_time is None else schema.visit_time.column
    end = dict(zip(("duration", "event"), schema.event_columns, strict=False))
    return {"patient_id": schema.patient_id, "visit_time": time, "time_unit": schema.time_unit, **end}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("name", COHORTS)
def test_the_proposal_fits_the_files_it_was_read_off(tmp_path, name, suffix):
    cohort = COHORTS[name]
    files = {file.stem: file for file in write_cohort(cohort, tmp_path, suffix)}
    tables = [read_table(files[stem]) if stem in files else None for stem in ("static", "visits")]
    proposal = propose(*tables, **names_of(cohort))
    path = write_schema(proposal.schema, tmp_path / "schema.yaml", comments=proposal.comments)
    again = read_cohort(files.get("visits"), static=files["static"], schema=path)
    assert (again.n_patients, again.n_visits) == (cohort.n_patients, cohort.n_visits)
    left_out = {name for table in (cohort.schema.static, cohort.schema.channels) for name in table}
    left_out -= set(again.schema.static) | set(again.schema.channels)
    assert left_out <= {"bili", "grade"} if name == "a channel never observed" else not left_out - {"admission"}


def test_text_and_typed_tables_give_the_same_schema():
    static, visits = load_pbc().tables()
    names = names_of(load_pbc())
    as_text = (table.with_columns(pl.all().cast(pl.String)) for table in (static, visits))
    assert infer_schema(*as_text, **names) == infer_schema(static, visits, **names)


def test_ids_may_be_numbers_in_one_table_and_text_in_the_other():
    static, visits = two_tables()
    repeated = visits.join(static, on="id").cast({"id": pl.String})
    assert infer_schema(static, repeated, **NAMES) == infer_schema(static, visits, **NAMES)


def test_a_static_table_alone():
    static, _ = two_tables()
    schema = infer_schema(static, patient_id="id")
    assert schema.visit_time is None and list(schema.static) == ["age", "end", "died"]


def test_constraints_that_hold_are_comments_ready_to_uncomment():
    n = 60
    tick = np.tile(np.arange(4), n)
    dead = (RNG.random(4 * n) < 0.3).reshape(n, 4).cumsum(1).clip(0, 1).ravel()
    state = np.where(dead == 1, "gone", RNG.choice(["in", "out"], 4 * n))
    base = RNG.normal(80, 10, 4 * n).round(0)
    extra = {
        "stage": np.tile([1, 2, 2, 3], n),
        "state": state,
        "site": np.repeat(RNG.integers(1, 5, n), 4),
        "diastolic": base,
        "systolic": base + RNG.integers(5, 30, 4 * n),
        "pulse": RNG.normal(80, 10, 4 * n).round(0),
        "tick": tick + RNG.normal(size=4 * n),
    }
    static, visits = two_tables(n, **extra)
    proposal = propose(static, visits, **NAMES)
    assert proposal.schema.constraints == ()
    text = "\n".join(proposal.comments["constraints",])
    for constraint in (
        Monotone(channel="stage"),
        Absorbing(channel="state", level="gone"),
        Constant(channel="site"),
        Ordered(lower="diastolic", upper="systolic"),
    ):
        assert ", ".join(f"{key}: {value}" for key, value in constraint.model_dump().items()) in text
    assert text.count("rule:") == 4


def test_inputs_are_not_changed():
    static, visits = two_tables()
    before = static.clone(), visits.clone()
    infer_schema(static, visits, **NAMES)
    assert static.equals(before[0]) and visits.equals(before[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patient_id": "pid"}, r"no column 'pid' in the visits table.*did you mean 'id'"),
        ({"visit_time": "when"}, r"no column 'when' in the visits table; correct its name"),
        ({"duration": "ende"}, r"no column 'ende' in the static table; did you mean 'end'"),
        ({"visit_time": None}, "go together"),
        ({"event": None}, "duration and event go together"),
        ({"duration": "died"}, "name two columns"),
    ],
)
def test_wrong_names(change, message):
    with pytest.raises(SchemaError, match=message):
        infer_schema(*two_tables(), **{**NAMES, **change})


def test_unusable_tables():
    static, visits = two_tables()
    with pytest.raises(SchemaError, match="static table has no rows"):
        infer_schema(static.clear(), visits, **NAMES)
    with pytest.raises(SchemaError, match=r"visits\.day: 240 rows with neither a number nor an ISO date"):
        infer_schema(static, visits.with_columns(day=pl.lit("soon")), **NAMES)
    with pytest.raises(SchemaError, match=r"visits\.day: 1 row with an infinite value"):
        infinite = pl.when(pl.int_range(pl.len()) == 3).then(float("inf")).otherwise(pl.col("day").cast(pl.Float64))
        infer_schema(static, visits.with_columns(day=infinite), **NAMES)
    with pytest.raises(SchemaError, match="neither a static nor a visits table"):
        infer_schema(None, None, patient_id="id")
    with pytest.raises(SchemaError, match="a duration of kind date needs visit times of the same kind"):
        infer_schema(static.with_columns(end=pl.lit(dt.date(2020, 1, 1))), visits, **NAMES)
    with pytest.raises(SchemaError, match="no column of the tables can be used; left out: x"):
        infer_schema(pl.DataFrame({"id": [1, 2], "x": [None, None]}), patient_id="id")
    with pytest.raises(SchemaError, match="cannot be read as a table"):
        infer_schema(pd.DataFrame([[1, 2]], columns=["id", "id"]), patient_id="id")
