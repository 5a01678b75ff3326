import polars as pl

from longsynth.cohort.datasets import load_pbc


def test_pbc_has_the_published_size_and_number_of_deaths():
    cohort = load_pbc()
    assert (cohort.n_patients, cohort.n_visits) == (312, 1945)
    assert cohort.static["status"].sum() == 140
    assert cohort.static["trt"].sum() == 158  # D-penicillamine
    assert cohort.visits["chol"].null_count() == 821


def test_pbc_schema_declares_everything_and_the_data_raise_no_note():
    cohort = load_pbc()
    columns = {**cohort.schema.static, **cohort.schema.channels}
    assert not any(column.inferred for column in columns.values())
    assert all(column.bounds or column.levels for column in columns.values())
    assert cohort.notes == ()


def test_pbc_follow_up_covers_every_visit():
    cohort = load_pbc()
    last = cohort.visits.group_by("patient_id").agg(pl.col("time").max()).join(cohort.static, on="patient_id")
    assert (last["time"] <= last["futime"]).all()
