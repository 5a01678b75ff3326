"""Dates that follow their visit or the baseline come back exactly, and obey the schema whatever codes are drawn."""

import json

import numpy as np
import polars as pl
from dated_worlds import dated_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from longsynth.cohort.checks import problems
from longsynth.cohort.cohort import Cohort
from longsynth.encoding import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort


def fitted(cohort: Cohort) -> CohortEncoder:
    """Its encoder, written and read again."""
    return CohortEncoder.from_json(json.loads(json.dumps(CohortEncoder().fit(cohort).to_json())))


def ids_of(cohort: Cohort) -> list[str]:
    return cohort.static["patient_id"].to_list()


def to_the_second(table: pl.DataFrame) -> list[tuple]:
    """The rows of a table; times of visits have six decimals of the time unit, and no more."""
    return table.with_columns(pl.col(pl.Datetime).dt.round("1s")).rows()


@given(dated_pairs())
def test_dates_come_back(cohorts):
    encoder = fitted(cohorts[0])
    back = encoder.inverse_transform(encoder.transform(cohorts[0]), ids_of(cohorts[0]))
    for table, again in zip(cohorts[0].tables(), back.tables(), strict=True):
        assert again.schema == table.schema
        assert to_the_second(again) == to_the_second(table)


@given(dated_pairs())
def test_times_since_the_visit_and_the_baseline_come_back_also_if_train_had_none_of_them(cohorts):
    encoder = fitted(cohorts[0])
    back = encoder.inverse_transform(encoder.transform(cohorts[1]), ids_of(cohorts[1]))
    (static, visits), (static_again, visits_again) = cohorts[1].tables(), back.tables()
    assert to_the_second(static_again) == to_the_second(static)
    for name in ("sampled", "appointment", "last_dose"):
        since = [(table[name].cast(pl.Date) - table["seen"].cast(pl.Date)) for table in (visits, visits_again)]
        assert since[0].to_list() == since[1].to_list()


@settings(max_examples=60)
@given(dated_pairs(), st.integers(0, 10_000))
def test_whatever_is_drawn_obeys_bounds_and_constraints(cohorts, seed):
    cohort, _ = cohorts
    encoder = fitted(cohort)
    drawn = scrambled(encoder, encoder.transform(cohort), np.random.default_rng(seed))
    synthetic = encoder.inverse_transform(drawn, ids_of(cohort))
    assert problems(synthetic.static, synthetic.visits, cohort.schema) == []
    static, visits = synthetic.tables()
    Cohort(static, visits, schema=cohort.schema)  # as a reader of the files would see them


def scrambled(encoder: CohortEncoder, encoded: EncodedCohort, rng: np.random.Generator) -> EncodedCohort:
    """Codes and positions of dates and channels drawn evenly; times, events and durations as they are."""
    fields = dict(vars(encoded))
    for prefix, items in (("static_", encoder.static_items), ("", encoder.channel_items)):
        codes, positions = fields[f"{prefix}codes"].copy(), rng.random(fields[f"{prefix}codes"].shape)
        for number, item in enumerate(items):
            if item.role in ("static", "constant", "channel"):
                n_codes = item.codec.n_classes + (item.codec.missing_share > 0)
                codes[:, number] = rng.integers(0, n_codes, len(codes))
            else:
                positions[:, number] = fields[f"{prefix}positions"][:, number]
        fields |= {f"{prefix}codes": codes, f"{prefix}positions": positions}
    return EncodedCohort(**fields)
