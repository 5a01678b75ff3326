"""Dates as numbers: bounds in the count of their column, and what stands in for a missing baseline."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from dated_worlds import dated_cohort, dated_schema, dated_tables

from longsynth.cohort.cohort import Cohort
from longsynth.encoding import CohortEncoder
from longsynth.encoding.dates import calendar_bounds, date_numbers, typical_date
from longsynth.encoding.limits import code_limits
from longsynth.schema.types import Channel, Column, Schema, StaticColumn, VisitTime

NEW_YORK = "Datetime(time_unit='us', time_zone='America/New_York')"
NAIVE = "Datetime(time_unit='us', time_zone=None)"
DAY = 86_400


@pytest.mark.parametrize(
    ("bounds", "dtype", "counted"),
    [
        ((dt.date(1970, 1, 2), dt.date(1970, 1, 3)), "Date", (1, 2)),
        ((dt.datetime(1970, 1, 2, 6), dt.datetime(1970, 1, 3, 18)), "Date", (2, 2)),
        ((dt.date(1970, 1, 2), dt.date(1970, 1, 3)), NAIVE, (DAY, 3 * DAY - 1)),
        ((dt.datetime(1970, 1, 2, 6), None), NAIVE, (1.25 * DAY, None)),
        ((dt.date(1970, 1, 2), dt.date(1970, 1, 3)), NEW_YORK, (DAY + 5 * 3600, 3 * DAY - 1 + 5 * 3600)),
        ((dt.datetime(1970, 1, 2, tzinfo=dt.UTC), None), NEW_YORK, (DAY, None)),
        ((None, dt.datetime(1970, 1, 2)), NEW_YORK, (None, DAY + 5 * 3600)),
    ],
)
def test_bounds_count_as_their_column_does(bounds, dtype, counted):
    assert calendar_bounds(Column(kind="date", bounds=bounds), dtype) == counted


def test_datetimes_count_as_days_by_the_clock_on_the_wall():
    late = pl.Series([dt.datetime(2024, 3, 1, 3)]).dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    assert date_numbers(late, "Date") == (dt.date(2024, 2, 29) - dt.date(1970, 1, 1)).days
    assert np.isnan(date_numbers(pl.Series([None], dtype=pl.Date), NAIVE)).all()


def test_a_typical_date_is_no_patients_own():
    dates = pl.Series([dt.date(2019, 5, 3)] * 9)
    assert abs(typical_date(dates, "Date") - date_numbers(dates, "Date")[0]) < 366
    assert typical_date(dates, "Date") not in date_numbers(dates, "Date")
    assert typical_date(dates.clear(), "Date") == 0.0


def test_datetimes_with_bounds_that_are_days_come_back():
    """As `infer-schema` proposes them."""
    static, visits = dated_tables([2, 3, 1], 0, kind="datetime")
    cohort = Cohort(static, visits, schema=dated_schema(kind="datetime"))
    encoder = CohortEncoder().fit(cohort)
    back = encoder.inverse_transform(encoder.transform(cohort), cohort.static["patient_id"].to_list())
    assert back.static["entry"].to_list() == cohort.static["entry"].to_list()
    assert back.visits["sampled"].to_list() == cohort.visits["sampled"].to_list()


def test_who_has_visits_has_a_baseline_whatever_is_drawn():
    """Some train patients without visits lack the baseline date; a drawn one with visits must not."""
    schema = Schema(
        visit_time=VisitTime(column="seen", kind="date", origin="first", origin_is_first_visit=True),
        static={"birth": StaticColumn(kind="date"), "first": StaticColumn(kind="date")},
        channels={"hb": Channel(kind="continuous")},
    )
    static, visits = dated_tables([2, 0, 3, 0, 1, 2], 0)
    train = Cohort(static.select("patient_id", "birth"), visits, schema=schema)
    assert train.static["first"].null_count() == 2
    encoder = CohortEncoder().fit(train)
    encoded = encoder.transform(train)
    encoded.static_codes[:, 1] = encoder.static_items[1].codec.n_classes
    drawn = encoder.inverse_transform(encoded, train.static["patient_id"].to_list())
    assert drawn.static["first"].is_null().to_list() == train.static["first"].is_null().to_list()
    first, last = train.static["first"].min(), train.static["first"].max()
    assert drawn.static["first"].drop_nulls().is_between(first, last).all()
    assert Cohort(*drawn.tables(), schema=schema).n_visits == train.n_visits


@pytest.mark.parametrize("kind", ["date", "datetime"])
def test_who_has_a_date_of_the_end_has_a_baseline_whatever_is_drawn(kind):
    """Noise on counts makes a private fit believe that any date may be missing."""
    train = Cohort(*dated_tables([2, 0, 3, 0, 1, 2], 0, kind=kind), schema=dated_schema(kind=kind))
    encoder = CohortEncoder().fit(train)
    encoded = encoder.transform(train)
    origin = list(train.schema.static).index("entry")
    encoded.static_codes[:, origin] = encoder.static_items[origin].codec.n_classes
    drawn = encoder.inverse_transform(encoded, train.static["patient_id"].to_list())
    assert Cohort(*drawn.tables(), schema=train.schema, origin="synthetic").n_visits == train.n_visits


def test_dates_that_are_to_stay_on_the_calendar_do():
    usual = dated_cohort([3] * 30, 0)
    sampled = usual.schema.channels["sampled"].model_copy(update={"relative_to": "calendar"})
    schema = usual.schema.model_copy(update={"channels": usual.schema.channels | {"sampled": sampled}})
    items = {item.name: item for item in CohortEncoder().fit(Cohort(*usual.tables(), schema=schema)).channel_items}
    assert items["sampled"].reference is None and items["appointment"].reference.column == "seen"
    days = usual.visits["sampled"].to_physical()
    assert items["sampled"].codec.knots.min() >= days.min() - 60


def test_codes_are_limited_only_where_they_compare():
    """Dates with one reference do; a date that follows its visits does not compare with that at another visit."""
    encoder = CohortEncoder().fit(dated_cohort([3] * 30, 0))
    names = [item.name for item in encoder.channel_items]
    limits = code_limits(encoder.schema, encoder.channel_items)
    assert not any(limit.from_last for limit in limits)
    pairs = {(names[limit.source], names[limit.target]) for limit in limits}
    assert pairs == {("sampled", "reported"), ("sampled", "appointment"), ("appointment", "last_dose")}
    static = [item.name for item in encoder.static_items]
    at_baseline = code_limits(encoder.schema, encoder.static_items)
    assert {(static[limit.source], static[limit.target]) for limit in at_baseline} == {("birth", "consent")}
