"""Cohorts of every shape are fitted under a budget; what comes back obeys schema and constraints."""

import datetime as dt

import polars as pl
import pytest
from awkward import awkward_cohorts
from dated_worlds import dated_cohort, dated_tables, with_times_schema
from private_worlds import declared_schema, made_cohort, quick_private, without_channels

import longsynth as ls
from longsynth.cohort.cohort import Cohort
from longsynth.cohort.rules import check_constraints
from longsynth.exceptions import PrivacyError
from longsynth.schema.types import Channel, Monotone, Ordered, Schema, StaticColumn, TerminalEvent, VisitTime
from longsynth.training.private_rounds import PrivateRounds

COUNTS = [0, 12, *[1, 2, 3, 4] * 10]
BUDGET = ls.PrivacyBudget(epsilon=8, delta=1e-3)


def plain(**changes) -> Cohort:
    return made_cohort(declared_schema(**changes), COUNTS, 2)


def static_alone() -> Cohort:
    schema = declared_schema(visit_time=None, channels={}, constraints=())
    return Cohort(made_cohort(declared_schema(), COUNTS, 2).static, schema=schema)


def dates() -> Cohort:
    """Visits, ends and a channel are dates, counted from the date of entry."""
    bounds = (dt.date(2019, 1, 1), dt.date(2060, 1, 1))
    train = made_cohort(declared_schema(), COUNTS, 2)
    entry = dt.date(2020, 1, 31)
    static = train.static.with_columns(entry=pl.lit(entry) + pl.duration(days=pl.int_range(pl.len())))
    visits = train.visits.join(static.select("patient_id", "entry"), on="patient_id")
    visits = visits.with_columns(day=pl.col("entry") + pl.duration(days="day"), scan=pl.col("entry"))
    end = pl.col("entry") + pl.duration(days=pl.min_horizontal("followup", pl.lit(5000)))
    schema = Schema(
        visit_time=VisitTime(column="day", kind="date", origin="entry"),
        terminal_event=TerminalEvent(duration="followup", event="status", kind="date", event_types={1: "a", 2: "b"}),
        static={
            "entry": StaticColumn(kind="date", bounds=bounds),
            "age": StaticColumn(kind="continuous", bounds=(18, 100), decimals=1),
        },
        channels={"scan": Channel(kind="date", bounds=bounds), "grade": declared_schema().channels["grade"]},
    )
    return Cohort(static.with_columns(followup=end), visits.drop("entry"), schema=schema)


def constrained() -> Cohort:
    """A count that never falls, two numbers in order, and a channel that never changes."""
    train = plain()
    visits = train.visits.with_columns(
        pl.col("flares").cum_sum().over("patient_id").clip(0, 20), low=(pl.col("bili") / 2).round(1)
    )
    channels = train.schema.channels | {"low": Channel(kind="continuous", bounds=(0, 60), decimals=1)}
    rules = (*train.schema.constraints, Monotone(channel="flares"), Ordered(lower="low", upper="bili"))
    return Cohort(train.static, visits, schema=declared_schema(channels=channels, constraints=rules))


def times_of_day() -> Cohort:
    """Visits, samples and reports have a time of day; births and appointments are dates."""
    return Cohort(*dated_tables([1, 2, 3, 4] * 10, 0, kind="datetime"), schema=with_times_schema())


COHORTS = {
    "plain": plain,
    "no terminal event": lambda: plain(terminal_event=None),
    "visits without channels": lambda: made_cohort(without_channels(declared_schema()), COUNTS, 2),
    "visits alone": lambda: plain(static={}, terminal_event=None),
    "static alone": static_alone,
    "dates": dates,
    "dates that follow others": lambda: dated_cohort(COUNTS, 0),
    "times of day": times_of_day,
    "constraints": constrained,
    "half days": lambda: plain(visit_time=VisitTime(column="day", decimals=1)),
    "nothing observed": lambda: made_cohort(declared_schema(), COUNTS, 2, missing=1.0),
    "two patients": lambda: made_cohort(declared_schema(), [3, 1], 2),
}


@pytest.mark.parametrize("objective", ["hybrid", pytest.param("adversarial", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", COHORTS)
def test_every_shape_is_fitted_and_comes_back(name, objective, tmp_path, monkeypatch):
    quick_private(monkeypatch, n_steps=30 if objective == "adversarial" else 10, noise=0.5)
    monkeypatch.setattr("longsynth.generators.private_fit._check_delta", lambda *_: None)
    train = COHORTS[name]()
    synthesizer = ls.Synthesizer(0, objective, privacy=BUDGET, accelerator="cpu").fit(train)
    synthesizer.save(tmp_path / "model")
    drawn = ls.load(tmp_path / "model").sample(60, seed=1)
    assert drawn.n_patients == 60
    assert drawn.static.columns == train.static.columns and drawn.visits.columns == train.visits.columns
    assert check_constraints(drawn.static, drawn.visits, train.schema) == []
    assert drawn.static.equals(synthesizer.sample(60, seed=1).static)
    told = synthesizer.ledger.spends[-1].what
    if train.schema.visit_time is None:
        assert told.endswith("static rows")
    else:
        longest, most = drawn.visits.group_by("patient_id").len()["len"].max() or 0, told.split()[-2]
        assert longest <= synthesizer.training_record["private"]["max_visits"] == int(most.replace(",", ""))
    static, _ = drawn.tables()
    Cohort(static, drawn.tables()[1] if train.schema.visit_time else None, schema=train.schema, origin="synthetic")


def test_an_adversarial_fit_makes_the_steps_it_paid_for(monkeypatch):
    quick_private(monkeypatch, n_steps=30, noise=0.5)
    made = []
    usual = PrivateRounds._critic_step
    monkeypatch.setattr(PrivateRounds, "_critic_step", lambda *told: made.append(1) or usual(*told))
    synthesizer = ls.Synthesizer(0, "adversarial", privacy=BUDGET, accelerator="cpu").fit(plain())
    assert len(made) == synthesizer.ledger.spends[-1].n_steps == 30
    assert "critic" in synthesizer.ledger.spends[-1].what


@pytest.mark.parametrize("name", awkward_cohorts())
def test_an_awkward_cohort_is_refused_for_what_its_schema_leaves_open(name):
    synthesizer = ls.Synthesizer(privacy=BUDGET)
    with pytest.raises(PrivacyError, match="must not read these off the patients"):
        synthesizer.fit(awkward_cohorts()[name])
    assert synthesizer.ledger.spends == []
