"""Cohorts of every shape go through infer-schema, fit and sample, from CSV to CSV, and come back in the same form."""

from pathlib import Path

import polars as pl
import pytest

import longsynth as ls

COHORT = ls.simulate_cohort(60, seed=3)
STATIC, VISITS = COHORT.tables()
START = pl.lit("2001-01-01").str.to_date() + pl.duration(days=pl.col("patient_id").rank("dense").cast(pl.Int64) * 9)
EVENT = ("--duration", "follow_up", "--event", "status")
ID, TIME = ("--patient-id", "patient_id"), ("--visit-time", "day")
BOTH = ("--static", "static.csv", "--visits", "visits.csv")


def with_dates() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same cohort with an entry date, visit dates and an end date."""
    static = STATIC.with_columns(START.alias("entry")).with_columns(
        (pl.col("entry") + pl.duration(days=pl.col("follow_up").cast(pl.Int64))).alias("follow_up")
    )
    visits = VISITS.join(static.select("patient_id", "entry"), on="patient_id").with_columns(
        (pl.col("entry") + pl.duration(days=pl.col("day").cast(pl.Int64))).alias("day")
    )
    return static, visits.drop("entry")


def with_more_dates() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same with a birth date, a cut-off date for all, a sample before each visit and an appointment after it."""
    static, visits = with_dates()
    static = static.with_columns(birth=pl.col("entry").dt.offset_by("-60y"), cut_off=pl.lit("2011-12-31"))
    return static, visits.with_columns(
        pl.col("day").dt.offset_by("-2d").alias("sampled, on"), pl.col("day").dt.offset_by("84d").alias("next visit")
    )


RENAMED = {"age": "age, at entry", "crp": "C-reactive protein (mg/L)"}
FLAT = VISITS.join(STATIC, on="patient_id")
SHAPES = {
    "two tables": (STATIC, VISITS, BOTH, (*ID, *TIME, *EVENT)),
    "no terminal event": (STATIC.drop("follow_up", "status"), VISITS, BOTH, (*ID, *TIME)),
    "static alone": (STATIC, None, BOTH[:2], (*ID, *EVENT)),
    "one flat table": (None, FLAT, BOTH[2:], (*ID, *TIME, *EVENT)),
    "visits without channels": (STATIC, VISITS.select("patient_id", "day"), BOTH, (*ID, *TIME, *EVENT)),
    "dates": (*with_dates(), BOTH, (*ID, *TIME, *EVENT)),
    "dates that follow others": (*with_more_dates(), BOTH, (*ID, *TIME, *EVENT)),
    "names with spaces and commas": (
        STATIC.rename(RENAMED, strict=False),
        VISITS.rename(RENAMED, strict=False),
        BOTH,
        (*ID, *TIME, *EVENT),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cohort_of_any_shape_goes_through(shape, run):
    static, visits, tables, columns = SHAPES[shape]
    for name, table in (("static", static), ("visits", visits)):
        if table is not None:
            table.write_csv(f"{name}.csv")
    run("infer-schema", *tables, *columns, "-o", "schema.yaml")
    run("fit", *tables, "--schema", "schema.yaml", "-o", "model", "--objective", "likelihood")
    run("sample", "model", "-n", "25", "-o", "out", "--format", "csv")
    written = {path.stem: path for path in Path("out").glob("*.csv")}
    assert set(written) == ({"static"} if visits is None else {"static", "visits"})
    for name, real in (("static", static), ("visits", None if static is None else visits)):
        if real is not None:
            assert set(pl.read_csv(written[name], infer_schema=False).columns) == set(real.columns)
    again = ls.read_cohort(written.get("visits"), static=written["static"], schema="schema.yaml")
    assert again.n_patients == 25
