"""The judge: samples of equal size, a ceiling from real patients, an interval, reasons in place of failures."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts, plain_schema, plain_tables
from metric_worlds import relabelled, world

import longsynth as ls
from longsynth.cohort.cohort import Cohort
from longsynth.evaluation import evaluate as judge
from longsynth.evaluation import measuring
from longsynth.evaluation.base import COLUMN_UNIT, TIME_UNIT, Metric
from longsynth.evaluation.measuring import _unit
from longsynth.evaluation.splits import (
    FEWEST_PATIENTS,
    Effort,
)
from longsynth.evaluation.strata import holm, stratum_masks
from longsynth.exceptions import CohortError, ConfigError, NotComputableError
from longsynth.seeding import stream

EFFORT = Effort(n_patients=60, n_splits=39, n_halves=20, n_draws=3)


def mean_age(sample, reference, _setting):
    return {"": sample.static["age"].mean() - reference.static["age"].mean()}


def metric(function=mean_age, **changes):
    given = {"worse": "both", "unit": "years"} | changes
    return Metric(function.__name__, "marginal", "static", "Mean age", function, **given)


def only(evaluation):
    (result,) = evaluation.results
    return result


@pytest.fixture
def little(monkeypatch):
    """Spend little."""
    monkeypatch.setattr(judge, "CHEAP", EFFORT)
    monkeypatch.setattr(judge, "STRATUM", EFFORT)


@pytest.fixture(scope="module")
def real():
    return ls.split(world(200, 1), 0.4, seed=0)


def run(synthetic, real, *metrics, **options):
    options = {"strata": []} | options
    return ls.evaluate(synthetic, train=real[0], holdout=real[1], metrics=metrics or [metric()], **options)


# ---------------------------------------------------------------------------------------------------- the result


def test_the_interval_of_a_standardised_metric_is_wider(little, real):
    plain, standardised = (only(run(world(80, 2), real, metric(is_standardised=one))) for one in (False, True))
    assert standardised.hi - standardised.lo == pytest.approx(np.sqrt(2) * (plain.hi - plain.lo))


def test_a_fresh_real_sample_is_not_flagged_and_another_population_is(little, real):
    fresh = only(run(world(80, 2), real))
    assert fresh.flagged is False and fresh.ceiling_lo < fresh.value < fresh.ceiling_hi
    older = world(80, 2)
    older = Cohort(older.static.with_columns(pl.col("age") + 9), older.visits, schema=older.schema)
    other = only(run(older, real))
    assert other.flagged and other.z > 4 and other.lo > other.ceiling_hi
    assert (other.n, other.n_splits, other.n_draws) == (60, 39, 3)
    assert other.value == pytest.approx(fresh.value + 9)


@pytest.mark.parametrize(("worse", "flagged"), [("higher", False), ("lower", True), ("both", True)])
def test_only_the_worse_side_is_flagged(worse, flagged, little, real):
    younger = world(80, 2)
    younger = Cohort(younger.static.with_columns(pl.col("age") - 9), younger.visits, schema=younger.schema)
    assert only(run(younger, real, metric(worse=worse))).flagged is flagged


def test_the_interval_allows_for_few_halves(monkeypatch, real):
    """Student's t with one degree of freedom less than there are halves."""
    monkeypatch.setattr(judge, "CHEAP", Effort(n_patients=60, n_splits=4, n_halves=6, n_draws=1))
    monkeypatch.setattr(measuring, "half_sample_sd", lambda *_: 1.0)
    found = only(run(world(60, 2), real))
    assert found.hi - found.lo == pytest.approx(2 * 2.5706, rel=1e-4)


@pytest.mark.parametrize(("is_share", "interval"), [(True, (0.0, 1.0)), (False, (0.7 - 2.5706, 0.7 + 2.5706))])
def test_intervals_of_shares_end_where_shares_do(monkeypatch, real, is_share, interval):
    monkeypatch.setattr(judge, "CHEAP", Effort(n_patients=60, n_splits=4, n_halves=6, n_draws=1))
    monkeypatch.setattr(measuring, "half_sample_sd", lambda *_: 1.0)
    found = only(run(world(60, 2), real, metric(lambda *_: {"": 0.7}, is_share=is_share, unit=None)))
    assert (found.lo, found.hi) == pytest.approx(interval, rel=1e-4)


@pytest.mark.slow
def test_the_interval_covers_the_truth_as_often_as_it_says(monkeypatch):
    """The difference of two means, truth 0: 95 %, within 3 binomial standard errors over 500 cohorts.

    Each with halves of its own: patients are in the order of their ages, so that the same halves are wrong alike.
    """
    few = Effort(n_patients=60, n_splits=4, n_halves=40, n_draws=1)
    monkeypatch.setattr(judge, "CHEAP", few)
    covered = []
    for k in range(500):
        ages = pl.DataFrame({"patient_id": range(180), "age": stream(k).normal(60, 9, 180)})
        schema = plain_schema(
            static={"age": plain_schema().static["age"].model_copy(update={"bounds": None, "decimals": None})},
            visit_time=None, terminal_event=None, channels={},
        )  # fmt: skip
        people = [Cohort(ages[60 * i : 60 * i + 60], schema=schema) for i in range(3)]
        result = only(run(people[0], people[1:], seed=k))
        covered.append(result.lo <= 0 <= result.hi)
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 500))


def test_nothing_depends_on_ids_or_row_order(little, real):
    first = run(world(80, 2), real, strata=["site"])
    again = run(relabelled(world(80, 2), 5), [relabelled(real[0], 6), relabelled_apart(real[1])], strata=["site"])
    assert first.results == again.results
    assert run(world(80, 2), real, seed=1).results != run(world(80, 2), real).results


def relabelled_apart(cohort):
    other = relabelled(cohort, 7)
    with_prefix = (pl.lit("h-") + pl.col("patient_id")).alias("patient_id")
    return Cohort(other.static.with_columns(with_prefix), other.visits.with_columns(with_prefix), schema=cohort.schema)


def test_a_metric_may_take_fewer_patients_than_others(little, real):
    first, second = run(world(80, 2), real, metric(most_patients=30), "visits_after_end").results
    assert (first.n, second.n) == (30, 60)


def test_a_metric_may_take_more_draws_than_others(little, real):
    made = world(90, 2)
    many, few = run(made, real, metric(n_draws=20), "visits_after_end").results
    assert (many.n_draws, few.n_draws, many.note) == (20, 3, None)
    little_less = made.select(made.static["patient_id"][:60].to_list())
    one = only(
        run(little_less, (real[0], real[1].select(real[1].static["patient_id"][:60].to_list())), metric(n_draws=20))
    )
    assert one.n_draws == 1 and "one sample of the synthetic cohort: give one of more than 60 patients" in one.note


@pytest.mark.parametrize(
    ("limit", "said"),
    [({"most_visits": 3}, "records of more than 3 visits are thinned"), ({"most_pairs": 50}, "at most 50 pairs")],
)
def test_a_result_says_where_a_metric_leaves_visits_out(little, real, limit, said):
    result = only(run(world(80, 2), real, metric(**limit)))
    assert said in result.note
    enough = dict.fromkeys(limit, 10000)
    assert only(run(world(80, 2), real, metric(**enough))).note is None


def test_sub_sampling_and_a_missing_holdout_are_said(little, real):
    found = ls.evaluate(world(80, 2), train=real[0], metrics=[metric()], strata=[])
    assert found.provenance.n_holdout is None and found.provenance.ceiling_from == "train"
    assert any("no holdout was given" in note for note in found.notes)
    assert any("sub-sampled: 60 patients a side, mean of 3 draws, for mean_age" in note for note in found.notes)
    with_holdout = run(world(80, 2), real)
    assert not any("no holdout" in note for note in with_holdout.notes)


# ----------------------------------------------------------------------------------------------- no value, no number


def never(sample, reference, setting):
    raise NotComputableError("it needs an event")


def never_on_halves(sample, reference, setting):
    if sample.n_patients < 60:
        raise NotComputableError("too few")
    return mean_age(sample, reference, setting)


def infinite(sample, reference, setting):
    return {"": float("nan")}


def only_real(sample, reference, setting):
    """A part that synthetic patients (drawn from world 2) do not have."""
    return {"": 0.0} | ({"visits.x": 1.0} if sample.origin == "real" else {})


def broken(sample, reference, setting):
    raise ZeroDivisionError


def test_a_metric_without_value_gives_the_reason(little, real):
    result = only(run(world(80, 2), real, metric(never)))
    assert (result.value, result.ceiling, result.reason) == (None, None, "it needs an event")
    assert "no finite value" in only(run(world(80, 2), real, metric(infinite))).reason


def test_a_part_that_only_real_patients_have_is_not_passed_over(little, real):
    made = world(80, 2)
    made = Cohort(made.static, made.visits, schema=made.schema, origin="synthetic")
    whole, part = run(made, real, metric(only_real)).results
    assert whole.value == 0 and part.value is None and "no value of the synthetic cohort" in part.reason


def test_samples_of_the_synthetic_cohort_without_value_are_said(little, real):
    whole = iter([True, False, False])

    def once(sample, reference, setting):
        if sample.origin == "synthetic" and sample.n_patients == 60 and not next(whole):
            raise NotComputableError("too few")
        return mean_age(sample, reference, setting)

    made = world(80, 2)
    made = Cohort(made.static, made.visits, schema=made.schema, origin="synthetic")
    result = only(run(made, real, metric(once)))
    assert result.n_draws == 1 and "1 of 3 samples of the synthetic cohort give a value" in result.note


def test_no_interval_is_said(little, real):
    result = only(run(world(80, 2), real, metric(never_on_halves)))
    assert result.lo is None and "no interval" in result.note


def test_other_errors_are_not_swallowed(little, real):
    with pytest.raises(ZeroDivisionError):
        run(world(80, 2), real, metric(broken))


@pytest.mark.parametrize("n", [1, FEWEST_PATIENTS - 1])
def test_too_few_patients_are_not_assessed(n, little, real):
    assert "too few patients" in only(run(world(n, 2), real)).reason


@pytest.mark.parametrize("unit", [COLUMN_UNIT, TIME_UNIT])
def test_values_in_tiny_units_are_judged_as_in_others(unit, little, real):
    older = world(80, 2)
    older = Cohort(older.static.with_columns(pl.col("age") + 9), older.visits, schema=older.schema)

    def found(size):
        def shift(sample, reference, setting):
            return {"static.age": size * mean_age(sample, reference, setting)[""]}

        return only(run(older, real, metric(shift, unit=unit)))

    usual, small = found(1.0), found(1e-15)
    assert usual.flagged and small.flagged
    assert small.z == pytest.approx(usual.z)


def test_values_that_never_vary_have_no_z(little, real):
    same = metric(lambda sample, reference, setting: {"": 0.0})
    result = only(run(world(80, 2), real, same))
    assert (result.z, result.flagged, result.ceiling_sd) == (None, False, 0.0)


def test_units_are_those_of_column_or_time():
    schema = plain_schema()
    assert _unit(metric(unit=COLUMN_UNIT), "visits.bili", schema) == "mg/dL"
    assert _unit(metric(unit=COLUMN_UNIT), "static.age", schema) == "years"
    assert _unit(metric(unit=COLUMN_UNIT), "event.duration", schema) == "days"
    assert _unit(metric(unit=COLUMN_UNIT), "", schema) is None
    assert _unit(metric(unit=TIME_UNIT), "", schema) == "days"
    assert _unit(metric(unit="IQR"), "visits.bili", schema) == "IQR"


# ---------------------------------------------------------------------------------------------------------- strata


def test_strata_are_judged_by_themselves_and_flagged_together(little, real):
    older = world(120, 2)
    in_south = pl.when(pl.col("site") == "south").then(pl.col("age") + 12).otherwise("age")
    older = Cohort(older.static.with_columns(in_south), older.visits, schema=older.schema)
    found = run(older, real, metric(by_stratum=True), strata=None).frame().filter(pl.col("stratum") != "")
    by_name = {row["stratum"]: row for row in found.iter_rows(named=True)}
    assert set(by_name) == {"arm=0", "arm=1", "site=north", "site=south", "site=west"}
    assert by_name["site=south"]["flagged"] and not by_name["site=north"]["flagged"]
    small = {name for name, row in by_name.items() if row["reason"] is not None}
    assert all("30" in by_name[name]["reason"] for name in small) and "arm=0" not in small


def test_numbers_are_cut_into_thirds_of_the_real_patients():
    cohort = world(90, 1)
    masks = stratum_masks(cohort, ["age"], cohort)
    assert list(masks) == ["age=lowest third", "age=middle third", "age=highest third"]
    assert sum(mask.astype(int) for mask in masks.values()).tolist() == [1] * 90
    assert all(25 <= mask.sum() <= 35 for mask in masks.values())


def test_holm_stops_at_the_first_that_is_kept():
    assert holm([0.04, 0.001, 0.02], 0.05) == [True, True, True]
    assert holm([0.03, 0.001, 0.03], 0.05) == [False, True, False]
    assert holm([], 0.05) == []


# ------------------------------------------------------------------------------------------------------- bad input


def test_a_holdout_of_train_patients_is_refused(real):
    with pytest.raises(CohortError, match="holdout: 120 patients with the id of a train patient"):
        run(world(80, 2), (real[0], real[0]))


def test_the_real_patients_themselves_are_refused(real):
    with pytest.raises(CohortError, match="every patient is a real one"):
        run(real[0], real)


def test_real_ids_among_the_synthetic_ones_are_said(little, real):
    some = relabelled(world(80, 2))
    names = pl.DataFrame({"patient_id": some.static["patient_id"], "new": real[0].static["patient_id"][:80]})
    static, visits = (
        table.join(names, on="patient_id").drop("patient_id").rename({"new": "patient_id"})
        for table in (some.static, some.visits)
    )
    found = run(Cohort(static, visits, schema=some.schema), real)
    assert "80 patients with the id of a real patient, none with the same data" in found.notes


def test_no_visits_at_all_is_said(little, real):
    made = world(80, 2)
    empty = Cohort(made.static, made.visits.clear(), schema=made.schema, origin="synthetic")
    assert any("no patient has a visit" in note for note in run(empty, real).notes)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"metrics": ["nothing"]}, "no metric called 'nothing'"),
        ({"metrics": "nothing"}, "no metric called 'nothing'"),
        ({"metrics": []}, "metrics: none is named"),
        ({"metrics": [metric(), metric(worse="higher")]}, "two of them are called 'mean_age'"),
        ({"arm": "age"}, "arm: 'age' is no binary"),
        ({"strata": ["nothing"]}, "strata: nothing is no static attribute"),
        ({"strata": "nothing"}, "strata: nothing is no static attribute"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_arguments_are_refused(options, complaint, real):
    with pytest.raises(ConfigError, match=complaint):
        ls.evaluate(world(80, 2), train=real[0], holdout=real[1], **options)


@pytest.mark.parametrize("given", ["synthetic", "train", "holdout"])
def test_what_is_no_cohort_is_refused(given, real):
    cohorts = {"synthetic": world(80, 2), "train": real[0], "holdout": real[1]} | {given: real[0].static}
    with pytest.raises(ConfigError, match=f"{given}: a Cohort is needed, not a DataFrame"):
        ls.evaluate(cohorts.pop("synthetic"), **cohorts)


def test_a_metric_named_twice_is_computed_once(little, real):
    once, twice = (run(world(80, 2), real, *["ks"] * times) for times in (1, 2))
    assert twice == once


def test_columns_that_mean_something_else_are_refused():
    static, visits = plain_tables()
    with pytest.raises(CohortError, match="synthetic: static: there is no column 'age'"):
        ls.evaluate(
            Cohort(static, visits, schema=plain_schema(static={})), train=Cohort(static, visits, schema=plain_schema())
        )


@pytest.mark.parametrize("name", awkward_cohorts())
def test_awkward_cohorts_are_judged_or_not_assessed(name):
    cohort = awkward_cohorts()[name]
    made = object.__new__(Cohort)
    made.__dict__.update(cohort.__dict__)
    prefix = pl.lit("new") + pl.col(cohort.schema.patient_id).cast(pl.String)
    made.static, made.visits = (
        table.with_columns(prefix.alias(cohort.schema.patient_id)) for table in (cohort.static, cohort.visits)
    )
    result = only(ls.evaluate(made, train=cohort, metrics=[metric(lambda *_: {"": 0.0})]))
    assert "too few patients" in result.reason
