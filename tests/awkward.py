"""Small cohorts that are valid and awkward; shared by the tests of every room."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime

N_PATIENTS = 12
VISIT_TIMES = (0, 7, 30, 91)


def awkward_cohorts() -> dict[str, Cohort]:
    """Every cohort of this file by name."""
    return {name: make() for name, make in _MAKERS.items()}


def plain_schema(**changes: Any) -> Schema:
    """A numeric attribute, an arm, a laboratory value, a count, an ordinal grade, and one type of event."""
    parts: dict[str, Any] = {
        "visit_time": VisitTime(column="day"),
        "terminal_event": TerminalEvent(duration="followup", event="status", event_types={1: "death"}),
        "static": {
            "age": StaticColumn(kind="continuous", unit="years", bounds=(18, 100), decimals=1),
            "arm": StaticColumn(kind="binary", levels=(0, 1)),
        },
        "channels": {
            "bili": Channel(kind="continuous", unit="mg/dL", bounds=(0, 60), decimals=1),
            "flares": Channel(kind="count"),
            "grade": Channel(kind="ordinal", levels=("none", "mild", "severe")),
        },
    }
    return Schema(**(parts | changes))


def plain_tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables of ``plain_schema``: one to four visits a patient, some values missing, half of the patients die."""
    rng = np.random.default_rng(20)
    number = np.arange(N_PATIENTS)
    n_visits = 1 + number % len(VISIT_TIMES)
    static = pl.DataFrame(
        {
            "patient_id": [f"p{i:02d}" for i in number],
            "age": np.round(rng.uniform(20, 90, N_PATIENTS), 1),
            "arm": number % 2,
            "followup": [VISIT_TIMES[n - 1] + 5 for n in n_visits],
            "status": number // 2 % 2,
        }
    )
    patient = np.repeat(number, n_visits)
    day = np.concatenate([VISIT_TIMES[:n] for n in n_visits])
    bili = np.round(rng.lognormal(0.5, 1, len(patient)), 1).clip(0.1, 59)
    grade = rng.choice(["none", "mild", "severe"], len(patient))
    visits = pl.DataFrame(
        {
            "patient_id": [f"p{i:02d}" for i in patient],
            "day": day,
            "bili": pl.Series(bili).set(pl.Series(rng.random(len(patient)) < 0.2), None),
            "flares": rng.poisson(1.0, len(patient)),
            "grade": pl.Series(grade).set(pl.Series(rng.random(len(patient)) < 0.2), None),
        }
    )
    return static, visits


def _plain() -> Cohort:
    return Cohort(*plain_tables(), schema=plain_schema())


def _one_visit_each() -> Cohort:
    static, visits = plain_tables()
    return Cohort(static, visits.filter(pl.col("day") == 0), schema=plain_schema())


def _a_patient_without_visits() -> Cohort:
    static, visits = plain_tables()
    return Cohort(static, visits.filter(~pl.col("patient_id").is_in(["p00", "p05"])), schema=plain_schema())


def _tied_times() -> Cohort:
    """Every patient has the same visit times, and follow-up ends at the last of them."""
    static, visits = plain_tables()
    visits = static.select("patient_id").join(
        visits.filter(pl.col("patient_id") == "p03").drop("patient_id"), how="cross"
    )
    return Cohort(static.with_columns(followup=pl.lit(VISIT_TIMES[-1], pl.Int64)), visits, schema=plain_schema())


def _event_at_baseline() -> Cohort:
    static, visits = plain_tables()
    one_visit = pl.col("patient_id") == "p00"
    at_baseline = static.with_columns(
        followup=pl.when(one_visit).then(0).otherwise("followup"), status=pl.when(one_visit).then(1).otherwise("status")
    )
    return Cohort(at_baseline, visits, schema=plain_schema())


def _a_channel_never_observed() -> Cohort:
    static, visits = plain_tables()
    never = {"bili": pl.lit(None, pl.Float64), "grade": pl.lit(None, pl.String)}
    return Cohort(static, visits.with_columns(**never), schema=plain_schema())


def _constant_columns() -> Cohort:
    static, visits = plain_tables()
    return Cohort(
        static.with_columns(arm=pl.lit(1, pl.Int64), age=pl.lit(50.0)),
        visits.with_columns(bili=pl.lit(1.5), grade=pl.lit("mild")),
        schema=plain_schema(),
    )


def _an_unseen_level() -> Cohort:
    static, visits = plain_tables()
    return Cohort(static, visits.with_columns(pl.col("grade").replace("severe", "mild")), schema=plain_schema())


def _one_patient() -> Cohort:
    return _plain().select(["p03"])


def _all_censored() -> Cohort:
    static, visits = plain_tables()
    return Cohort(static.with_columns(status=pl.lit(0)), visits, schema=plain_schema())


def _no_terminal_event() -> Cohort:
    return Cohort(*plain_tables(), schema=plain_schema(terminal_event=None))


def _competing_events() -> Cohort:
    static, visits = plain_tables()
    event = TerminalEvent(duration="followup", event="status", event_types={1: "death", 2: "transplant", 5: "lost"})
    return Cohort(
        static.with_columns(status=pl.Series([0, 1, 2] * 4)), visits, schema=plain_schema(terminal_event=event)
    )


def _static_only() -> Cohort:
    static, _ = plain_tables()
    return Cohort(static, schema=plain_schema(visit_time=None, channels={}))


def _events_only() -> Cohort:
    """Visits without channels."""
    return Cohort(*plain_tables(), schema=plain_schema(channels={}))


def _visits_without_attributes() -> Cohort:
    return Cohort(*plain_tables(), schema=plain_schema(static={}, terminal_event=None))


def _awkward_names() -> Cohort:
    static, visits = plain_tables()
    schema = Schema(
        patient_id="patient id",
        visit_time=VisitTime(column='day, since "entry"'),
        terminal_event=TerminalEvent(duration="follow-up (days)", event="event?"),
        static={"größe, cm": StaticColumn(kind="continuous"), "duration": StaticColumn(kind="binary", levels=(0, 1))},
        channels={
            "bili [mg/dL]": Channel(kind="continuous"),
            "größe, cm": Channel(kind="count"),
            "grade\n2": Channel(kind="categorical", levels=("none", "mild, or so", 'se"vere')),
        },
    )
    grades = pl.col("grade").replace({"mild": "mild, or so", "severe": 'se"vere'})
    static = static.rename(
        {
            "patient_id": "patient id",
            "age": "größe, cm",
            "arm": "duration",
            "followup": "follow-up (days)",
            "status": "event?",
        }
    )
    visits = visits.with_columns(grades).rename(
        {
            "patient_id": "patient id",
            "day": 'day, since "entry"',
            "bili": "bili [mg/dL]",
            "flares": "größe, cm",
            "grade": "grade\n2",
        }
    )
    return Cohort(static, visits, schema=schema)


def _integer_ids_and_booleans() -> Cohort:
    static, visits = plain_tables()
    number = pl.col("patient_id").str.slice(1).cast(pl.Int64)
    static = static.with_columns(number, pl.col("arm").cast(pl.Boolean))
    return Cohort(static, visits.with_columns(number, pl.col("day") + 0.5), schema=plain_schema())


def _dates() -> Cohort:
    """Visit and end dates, a baseline date, a birth date and a date as a channel."""
    static, visits = plain_tables()
    entry = pl.date(2020, 1, 31) + pl.duration(days=pl.col("age").cast(pl.Int64))
    static = static.with_columns(entry=entry, birth=pl.date(1960, 2, 29))
    static = static.with_columns(followup=pl.col("entry") + pl.duration(days="followup"))
    dated = visits.join(static.select("patient_id", "entry"), on="patient_id").with_columns(
        day=pl.col("entry") + pl.duration(days="day"), next_dose=pl.col("entry") + pl.duration(days=pl.col("day") + 9)
    )
    schema = plain_schema(
        visit_time=VisitTime(column="day", kind="date", origin="entry"),
        terminal_event=TerminalEvent(duration="followup", event="status", kind="date"),
        static={**plain_schema().static, "entry": StaticColumn(kind="date"), "birth": StaticColumn(kind="date")},
        channels={**plain_schema().channels, "next_dose": Channel(kind="date")},
    )
    return Cohort(static, dated, schema=schema)


def _datetimes() -> Cohort:
    """Times of day in a time zone, counted in hours from the first visit."""
    static, visits = plain_tables()
    start = dt.datetime(2024, 3, 30, 22, 15)
    clock = (pl.lit(start) + pl.duration(hours="day")).dt.replace_time_zone("UTC")
    end = (pl.lit(start) + pl.duration(hours="followup")).dt.replace_time_zone("UTC")
    schema = plain_schema(
        time_unit="hours",
        visit_time=VisitTime(column="day", kind="datetime", origin="admission", origin_is_first_visit=True),
        terminal_event=TerminalEvent(duration="followup", event="status", kind="datetime"),
        static={**plain_schema().static, "admission": StaticColumn(kind="date")},
    )
    return Cohort(static.with_columns(followup=end), visits.with_columns(day=clock), schema=schema)


_MAKERS = {
    "plain": _plain,
    "one visit each": _one_visit_each,
    "a patient without visits": _a_patient_without_visits,
    "tied times": _tied_times,
    "event at baseline": _event_at_baseline,
    "a channel never observed": _a_channel_never_observed,
    "constant columns": _constant_columns,
    "an unseen level": _an_unseen_level,
    "one patient": _one_patient,
    "all censored": _all_censored,
    "no terminal event": _no_terminal_event,
    "competing events": _competing_events,
    "static only": _static_only,
    "events only": _events_only,
    "visits without attributes": _visits_without_attributes,
    "awkward names": _awkward_names,
    "integer ids and booleans": _integer_ids_and_booleans,
    "dates": _dates,
    "datetimes": _datetimes,
}
