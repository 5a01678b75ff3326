"""Dates that follow their visit or the baseline cost no more than others, and take their range from declared bounds."""

import datetime as dt

import numpy as np
import pytest
from dated_worlds import dated_cohort, dated_pairs, dated_schema
from hypothesis import given
from hypothesis import strategies as st
from private_worlds import margins_of, within, without

from longsynth.encoding.declared import undeclared
from longsynth.encoding.private import cell_encoder
from longsynth.encoding.private_counts import cell_sensitivity, cell_sums
from longsynth.encoding.private_sizes import Sizes
from longsynth.schema.types import Channel, StaticColumn

SIZES = st.builds(Sizes, st.just(20.0), st.sampled_from([1, 4, 64]), st.sampled_from([1.0, 64.0, 4096.0]))


def item_of(encoder, name):
    return next(item for item in (*encoder.static_items, *encoder.channel_items) if item.name == name)


@given(dated_pairs(), SIZES, st.data())
def test_one_patient_moves_the_cells_by_no_more_than_their_sensitivity(cohorts, sizes, data):
    train = cohorts[0]
    row = data.draw(st.integers(0, train.n_patients - 1))
    cells = cell_encoder(train.schema, sizes)
    change = cell_sums(cells, cells.transform(train), sizes)
    change -= cell_sums(cells, cells.transform(without(train, row)), sizes)
    assert within(float(np.linalg.norm(change)), cell_sensitivity(cells))


def test_cells_span_what_declared_bounds_allow_and_are_fine_around_the_visit():
    """A sample from June 2017 to June 2023, of visits from January 2018 to 1,000 days after January 2021."""
    cells = cell_encoder(dated_schema(), Sizes(100.0, 4, 1000.0))
    knots = item_of(cells, "sampled").codec.knots
    last_visit = dt.date(2021, 1, 1) + dt.timedelta(days=1000)
    assert knots[0, 0] == pytest.approx((dt.date(2017, 6, 1) - last_visit).days, abs=1)
    assert knots[-1, -1] == pytest.approx((dt.date(2023, 6, 30) - dt.date(2018, 1, 1)).days, abs=1)
    atoms = knots[knots[:, 0] == knots[:, -1], 0]
    assert set(range(-7, 8)) <= set(atoms)


def test_an_ordered_constraint_with_the_baseline_halves_the_range():
    knots = item_of(cell_encoder(dated_schema(), Sizes(100.0, 4, 1000.0)), "consent").codec.knots
    assert knots[-1, -1] == 0.0 and knots[0, 0] < -1000


def test_without_noise_days_around_the_visit_come_back_exactly():
    train = dated_cohort([3] * 200, 0)
    encoder = margins_of(train, Sizes(200.0, 4, 512.0)).encoder
    encoded = encoder.transform(train)
    back = encoder.inverse_transform(encoded, train.static["patient_id"].to_list())
    visits, again = train.tables()[1], back.tables()[1]
    since = [(table["sampled"] - table["seen"]).dt.total_days().to_list() for table in (visits, again)]
    assert since[0] == since[1] and set(since[0]) == {-3, -2, -1, 0}


def test_what_a_date_follows_must_be_declared_if_it_was_read_off_the_data():
    bounds = (dt.date(2000, 1, 1), dt.date(2030, 1, 1))
    cut_off = StaticColumn(kind="date", relative_to="calendar", bounds=bounds, inferred=("relative_to",))
    sampled = Channel(kind="date", relative_to="seen", bounds=bounds, inferred=("relative_to",))
    schema = dated_schema()
    assert undeclared(schema) == []
    schema = schema.model_copy(
        update={
            "static": schema.static | {"cut_off": cut_off},
            "channels": schema.channels | {"sampled": sampled, "appointment": Channel(kind="date")},
        }
    )
    assert undeclared(schema) == [
        "static column 'cut_off': relative_to",
        "channels column 'sampled': relative_to",
        "channels column 'appointment': bounds (lower and upper)",
    ]


def test_missing_baselines_count_from_the_middle_of_their_declared_bounds():
    reference = item_of(cell_encoder(dated_schema(), Sizes(100.0, 4, 1000.0)), "birth").reference
    assert dt.date(1970, 1, 1) + dt.timedelta(days=reference.typical) == dt.date(2019, 7, 3)
