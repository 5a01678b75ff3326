"""Cohorts whose visits are dates, with dates before and after each visit and before baseline, drawn by hypothesis."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from longsynth.cohort.cohort import Cohort
from longsynth.schema.types import (
    DAYS_PER_UNIT,
    Channel,
    Constant,
    Monotone,
    Ordered,
    Schema,
    StaticColumn,
    TerminalEvent,
    TimeUnit,
    VisitTime,
)

FIRST_DAY = dt.date(2018, 1, 1)
ENTRY = (FIRST_DAY, dt.date(2021, 1, 1))
BIRTH = (dt.date(1925, 1, 1), dt.date(2001, 12, 31))
FOLLOWED = (dt.date(2017, 6, 1), dt.date(2023, 6, 30))
CUT_OFF = dt.date(2023, 6, 30)
APPOINTMENTS = (28, 84, 182)


def dated_schema(*, kind: Any = "date", time_unit: TimeUnit = "days", **changes: Any) -> Schema:
    """Birth and consent before entry, a laboratory date before each visit, an appointment after it, two fixed dates."""
    parts: dict[str, Any] = {
        "time_unit": time_unit,
        "visit_time": VisitTime(column="seen", kind=kind, origin="entry"),
        "terminal_event": TerminalEvent(duration="end", event="status", kind=kind),
        "static": {
            "birth": StaticColumn(kind="date", bounds=BIRTH),
            "entry": StaticColumn(kind="date", bounds=ENTRY),
            "consent": StaticColumn(kind="date", bounds=(FOLLOWED[0], ENTRY[1])),
            "cut_off": StaticColumn(kind="date", relative_to="calendar", bounds=FOLLOWED),
        },
        "channels": {
            "sampled": Channel(kind="date", bounds=FOLLOWED),
            "reported": Channel(kind="date", bounds=FOLLOWED),
            "appointment": Channel(kind="date", bounds=FOLLOWED),
            "last_dose": Channel(kind="date", bounds=FOLLOWED),
            "operated": Channel(kind="date", bounds=FOLLOWED),
            "hb": Channel(kind="continuous", bounds=(0, 30), decimals=1),
        },
        "constraints": (
            Ordered(lower="birth", upper="entry"),
            Ordered(lower="consent", upper="entry"),
            Ordered(lower="birth", upper="consent"),
            Ordered(lower="sampled", upper="reported"),
            Ordered(lower="sampled", upper="appointment"),
            Ordered(lower="last_dose", upper="appointment"),
            Ordered(lower="operated", upper="reported"),
            Ordered(lower="operated", upper="sampled"),
            Monotone(channel="last_dose"),
            Monotone(channel="sampled"),
            Constant(channel="operated"),
        ),
    }
    return Schema(**(parts | changes))


def dated_tables(
    counts: list[int], seed: int, *, kind: str = "date", zone: str | None = None, missing: float = 0.0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables of `dated_schema` with so many visits a patient; a share of the dates that may be missing is."""
    rng = np.random.default_rng(seed)
    n, owner = len(counts), np.repeat(np.arange(len(counts)), counts)
    number = np.concatenate([np.arange(count) for count in counts]) if len(owner) else owner
    entry = rng.integers(0, 900, n)
    seen = entry[owner] + number * 30 + (number > 0) * rng.integers(0, 20, len(owner))
    sampled = seen - rng.choice(4, len(owner), p=[0.7, 0.1, 0.1, 0.1])
    last = np.array([seen[owner == row].max(initial=entry[row]) for row in range(n)])
    operated = entry - rng.integers(10, 60, n)
    static = {
        "patient_id": [f"p{row:04d}" for row in range(n)],
        "birth": _holes(_dates(entry - rng.integers(20 * 365.25, 90 * 365.25, n)), missing, rng),
        "entry": _dates(entry),
        "consent": _holes(_dates(entry - rng.choice([0, 0, 1, 7, 30], n)), missing, rng),
        "cut_off": [CUT_OFF] * n,
        "end": _dates(last + rng.integers(0, 30, n)),
        "status": rng.integers(0, 2, n),
    }
    visits = {
        "patient_id": [f"p{row:04d}" for row in owner],
        "seen": _dates(seen),
        "sampled": _holes(_dates(sampled), missing, rng),
        "reported": _holes(_dates(sampled + rng.integers(0, 9, len(owner))), missing, rng),
        "appointment": _holes(_dates(seen + rng.choice(APPOINTMENTS, len(owner))), missing, rng),
        "last_dose": _holes(_dates(seen - seen % 14), missing, rng),
        "operated": _holes(_dates(operated), missing, rng).gather(owner),
        "hb": rng.normal(13, 1, len(owner)).round(1),
    }
    tables = pl.DataFrame(static), pl.DataFrame(visits)
    return tables if kind == "date" else _with_times(*tables, zone, rng)


def with_times_schema() -> Schema:
    """The schema of the same with times of day, all declared: bounds that are datetimes say which dates have one."""
    first, last = (dt.datetime.combine(day, dt.time()) for day in FOLLOWED)
    schema = dated_schema(
        kind="datetime",
        time_unit="hours",
        visit_time=VisitTime(column="seen", kind="datetime", origin="entry", decimals=0),
        terminal_event=TerminalEvent(duration="end", event="status", kind="datetime", decimals=0),
    )
    timed = {"bounds": (first, last)}
    static = schema.static | {"entry": schema.static["entry"].model_copy(update=timed)}
    channels = {
        name: channel.model_copy(update=timed) if name in ("sampled", "reported") else channel
        for name, channel in schema.channels.items()
    }
    return schema.model_copy(update={"static": static, "channels": channels})


def dated_cohort(counts: list[int], seed: int, **changes: Any) -> Cohort:
    """The cohort of `dated_tables` under a changed `dated_schema`."""
    return Cohort(*dated_tables(counts, seed), schema=dated_schema(**changes))


@st.composite
def dated_pairs(draw: Any) -> tuple[Cohort, Cohort]:
    """Two cohorts of one form: dates or datetimes, in any unit, some with missing dates, baselines and visits."""
    kind = draw(st.sampled_from(["date", "datetime"]))
    unit = draw(st.sampled_from(sorted(DAYS_PER_UNIT) if kind == "date" else ["minutes", "hours", "days"]))
    zone = draw(st.sampled_from([None, "UTC", "America/New_York"]))
    missing, has_end = draw(st.sampled_from([0.0, 0.3, 1.0])), draw(st.booleans())
    schema = dated_schema(kind=kind, time_unit=unit, **({} if has_end else {"terminal_event": None}))
    made = []
    for _ in range(2):
        counts = draw(st.lists(st.sampled_from([0, 1, 1, 2, 3, 7]), min_size=2, max_size=12).filter(any))
        static, visits = dated_tables(counts, draw(st.integers(0, 10_000)), kind=kind, zone=zone, missing=missing)
        if not has_end:
            unseen = ~pl.col("patient_id").is_in(visits["patient_id"].implode())
            static = static.with_columns(entry=pl.when(unseen).then(None).otherwise("entry"))
        made.append(Cohort(static, visits, schema=schema))
    return made[0], made[1]


def _dates(days: Any) -> pl.Series:
    return (
        pl.Series(np.asarray(days, dtype=np.int64) + (FIRST_DAY - dt.date(1970, 1, 1)).days)
        .cast(pl.Int32)
        .cast(pl.Date)
    )


def _holes(values: pl.Series, share: float, rng: np.random.Generator) -> pl.Series:
    return pl.select(pl.when(pl.Series(rng.random(len(values)) >= share)).then(values)).to_series()


def _with_times(
    static: pl.DataFrame, visits: pl.DataFrame, zone: str | None, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same with a time of day: entry at 9, visits at 10, laboratory dates a while before them."""
    hours = pl.duration(hours=pl.Series(rng.integers(4, 9, visits.height)))
    static = static.with_columns(
        pl.col("entry").cast(pl.Datetime("us")) + pl.duration(hours=9),
        pl.col("end").cast(pl.Datetime("us")) + pl.duration(hours=20),
    )
    visits = visits.with_columns(
        pl.col("seen").cast(pl.Datetime("us")) + pl.duration(hours=10),
        pl.col("sampled").cast(pl.Datetime("us")) + hours,
        pl.col("reported").cast(pl.Datetime("us")) + pl.duration(hours=10),
    )
    static, visits = (table.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(zone)) for table in (static, visits))
    return static, visits
