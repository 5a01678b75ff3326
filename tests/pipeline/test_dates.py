"""Synthetic dates keep their time since the visit and the baseline, from tables of dates to tables of dates."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from dated_worlds import BIRTH, ENTRY, FOLLOWED, dated_cohort
from quick import make_quick

import longsynth as ls
from longsynth.cohort.checks import problems
from longsynth.cohort.cohort import Cohort

N_SYNTHETIC = 500


@pytest.fixture(scope="module")
def train() -> Cohort:
    return dated_cohort(np.random.default_rng(0).integers(1, 6, 200).tolist(), 0)


@pytest.fixture(scope="module")
def model(train, tmp_path_factory) -> Path:
    """A synthesizer of the cohort, saved."""
    folder = tmp_path_factory.mktemp("dates") / "model"
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        ls.Synthesizer(0, "likelihood", accelerator="cpu").fit(train).save(folder)
    return folder


@pytest.fixture(scope="module")
def synthetic(model) -> Cohort:
    return ls.load(model).sample(N_SYNTHETIC, seed=1)


def since_visit(cohort: Cohort, name: str) -> pl.Series:
    """Days from each visit to one of its dates."""
    _, visits = cohort.tables()
    return (visits[name] - visits["seen"]).dt.total_days()


def since_entry(cohort: Cohort, name: str) -> pl.Series:
    """Days from the baseline to a static date."""
    return (cohort.static[name] - cohort.static["entry"]).dt.total_days()


def shares(days: pl.Series, values: range | tuple[int, ...]) -> list[float]:
    return [float((days == value).mean()) for value in values]


@pytest.mark.parametrize(
    ("name", "values"), [("sampled", range(-3, 1)), ("appointment", (28, 84, 182)), ("last_dose", range(-13, 1))]
)
def test_dates_at_visits_keep_their_time_since_the_visit(name, values, train, synthetic):
    """Around 1,400 synthetic visits: a share of 0.7 has a standard error of 0.02 if patients were alike."""
    real, made = (since_visit(cohort, name) for cohort in (train, synthetic))
    assert set(made) <= set(values) == set(real)
    assert shares(made, values) == pytest.approx(shares(real, values), abs=0.08)


def test_dates_before_baseline_keep_their_time_since_the_baseline(train, synthetic):
    """Ages at entry lie evenly from 20 to 90, the mean of 500 has a standard error of 1; tails are smooth."""
    real, made = (since_entry(cohort, "birth") / -365.25 for cohort in (train, synthetic))
    assert made.min() > 17 and made.max() < 93
    quantiles = (0.1, 0.25, 0.5, 0.75, 0.9)
    assert [made.quantile(share) for share in quantiles] == pytest.approx(
        [real.quantile(share) for share in quantiles], abs=6
    )
    real, made = (since_entry(cohort, "consent") for cohort in (train, synthetic))
    assert set(made) <= set(real) == {-30, -7, -1, 0}
    assert shares(made, (-30, -7, -1, 0)) == pytest.approx(shares(real, (-30, -7, -1, 0)), abs=0.1)


def test_the_calendar_stays_plausible(train, synthetic):
    static, visits = synthetic.tables()
    assert problems(synthetic.static, synthetic.visits, train.schema) == []
    for dates, (lower, upper) in ((static["birth"], BIRTH), (static["entry"], ENTRY), (visits["sampled"], FOLLOWED)):
        assert dates.is_between(lower, upper).all()
    assert static["cut_off"].unique().to_list() == train.static["cut_off"].unique().to_list()
    median = static["entry"].cast(pl.Datetime).median()
    assert abs(median - train.static["entry"].cast(pl.Datetime).median()) < dt.timedelta(days=60)
    real = train.tables()[1]["seen"]  # a duration in the tail may go beyond the longest one seen
    assert visits["seen"].is_between(real.min(), real.max() + dt.timedelta(days=120)).all()


def test_a_condition_on_a_date_that_follows_another_is_met(model):
    born = ls.load(model).sample(60, where=pl.col("birth") >= dt.date(1980, 1, 1), seed=2)
    assert born.static["birth"].min() >= dt.date(1980, 1, 1)
    assert (since_entry(born, "birth") <= -17 * 365).all()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_of_dates_go_through_the_commands(suffix, train, run):
    write = {"csv": pl.DataFrame.write_csv, "parquet": pl.DataFrame.write_parquet}[suffix]
    static, visits = train.tables()
    write(static.drop("consent"), f"static.{suffix}")  # of two dates at entry infer-schema would choose neither
    write(visits, f"visits.{suffix}")
    tables = ("--static", f"static.{suffix}", "--visits", f"visits.{suffix}")
    columns = ("--patient-id", "patient_id", "--visit-time", "seen", "--duration", "end", "--event", "status")
    run("infer-schema", *tables, *columns, "-o", "schema.yaml")
    text = Path("schema.yaml").read_text()
    assert "# learnt as the time since seen" in text and "relative_to: seen" in text
    assert "# learnt as the time since entry" in text and "relative_to: calendar" in text
    run("fit", *tables, "--schema", "schema.yaml", "-o", "model", "--objective", "likelihood")
    run("sample", "model", "-n", "80", "-o", "out", "--format", suffix)
    made = ls.read_cohort(f"out/visits.{suffix}", static=f"out/static.{suffix}", schema="schema.yaml")
    assert made.tables()[1].schema["sampled"] == pl.Date
    assert since_visit(made, "sampled").is_between(-3, 0).all()
    assert since_visit(made, "appointment").is_in([28, 84, 182]).all()
    assert (since_entry(made, "birth") / -365.25).is_between(17, 93).all()
    assert made.static["cut_off"].n_unique() == 1
