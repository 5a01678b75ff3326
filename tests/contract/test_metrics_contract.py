"""What every registered metric must obey, whoever wrote it."""

import math
from importlib import import_module

import polars as pl
import pytest
from awkward import awkward_cohorts, plain_schema
from metric_worlds import relabelled, world

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation import metrics as _registered  # noqa: F401
from longsynth.evaluation.base import COLUMN_UNIT, MANY_PATIENTS, METRICS, TIME_UNIT, Setting
from longsynth.evaluation.evaluate import effort_of
from longsynth.evaluation.splits import CHEAP
from longsynth.exceptions import NotComputableError
from longsynth.report.profiles import PROFILES, load_profile

TIMES, SCALED = 24, 1000
SETTING = Setting(seed=3, arm="arm")
each_metric = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if METRICS[name].is_costly else name for name in METRICS]
)


def compute(name, sample, reference):
    """The values of a metric, or the reason why there are none."""
    try:
        return dict(METRICS[name].function(sample, reference, SETTING))
    except NotComputableError as error:
        return str(error)


@pytest.fixture(scope="module")
def pair():
    return world(60, 1), world(60, 2)


@each_metric
def test_the_same_seed_gives_the_same_values_and_cohorts_stay_as_they_are(name, pair):
    before = [(cohort.static.clone(), cohort.visits.clone()) for cohort in pair]
    assert compute(name, *pair) == compute(name, *pair)
    for cohort, (static, visits) in zip(pair, before, strict=True):
        assert cohort.static.equals(static) and cohort.visits.equals(visits)


@each_metric
def test_ids_and_the_order_of_patients_and_rows_change_nothing(name, pair):
    found, again = compute(name, *pair), compute(name, relabelled(pair[0], 5), relabelled(pair[1], 6))
    assert again == (found if isinstance(found, str) else pytest.approx(found, rel=1e-9, abs=1e-9))


@each_metric
def test_units_change_nothing_but_values_with_a_unit(name, pair):
    found, other = compute(name, *pair), compute(name, *map(in_other_units, pair))
    if isinstance(found, str):
        assert found == other
        return
    assert set(found) == set(other)
    for part, value in found.items():
        assert other[part] == pytest.approx(value * factor(name, part), rel=1e-6, abs=1e-9), part


def factor(name, part):
    """How much larger a value is in the other units."""
    unit = METRICS[name].unit
    if unit == TIME_UNIT or (unit == COLUMN_UNIT and part == "event.duration"):
        return TIMES
    return SCALED if unit == COLUMN_UNIT and part == "visits.marker" else 1


def in_other_units(cohort):
    """Times in hours, the marker in thousandths."""
    loose = {name: column.model_copy(update={"decimals": None}) for name, column in cohort.schema.channels.items()}
    return Cohort(
        cohort.static.with_columns(pl.col("futime") * TIMES),
        cohort.visits.with_columns(pl.col("day") * TIMES, pl.col("marker") * SCALED),
        schema=cohort.schema.model_copy(update={"channels": loose, "time_unit": "hours"}),
    )


@pytest.fixture(scope="module")
def awkward_pairs():
    """Each awkward cohort with itself, and with the plain one on either side where they have one schema."""
    cohorts = awkward_cohorts()
    pairs = [(cohort, cohort) for cohort in cohorts.values()]
    plain = cohorts["plain"]
    pairs += [(cohort, plain) for cohort in cohorts.values() if cohort.schema == plain_schema()]
    pairs += [(plain, cohort) for cohort in cohorts.values() if cohort.schema == plain_schema()]
    empty = Cohort(plain.static, plain.visits.clear(), schema=plain.schema, origin="synthetic")
    return [*pairs, (empty, plain), *lacking_pairs()]


def lacking_pairs():
    """Samples with channels and attributes of every kind that are never observed, or no visits, beside a whole one."""
    made, real = world(60, 1), world(60, 2)
    of = {"static": made.static, "visits": made.visits}
    never = {
        table: of[table].with_columns(pl.lit(None, of[table].schema[name]).alias(name) for name in columns)
        for table, columns in (("static", made.schema.static), ("visits", made.schema.channels))
    }
    tables = [(made.static, never["visits"]), (never["static"], made.visits), (made.static, made.visits.clear())]
    return [(Cohort(*pair, schema=made.schema, origin="synthetic"), real) for pair in tables]


@each_metric
def test_awkward_cohorts_give_finite_values_or_a_reason(name, awkward_pairs):
    for sample, reference in awkward_pairs:
        found = compute(name, sample, reference)
        assert found, "no value and no reason"
        if not isinstance(found, str):
            assert all(math.isfinite(value) for value in found.values())
            assert not METRICS[name].is_share or all(-1e-9 <= value <= 1 + 1e-9 for value in found.values())


OF_CHANNELS = (
    "association_first_visit", "association_patient_mean", "association_within_patient",
    "association_static_trajectory", "missing_on_values", "missing_again", "missing_together", "variogram",
    "autocorrelation", "autocorrelation_within", "cross_lag", "change_correlation", "icc", "between_sd", "within_sd",
    "wasserstein_iqr", "forecast_skill", "slope_mean",
)  # fmt: skip
LACKING = [(name, 0) for name in OF_CHANNELS]
LACKING += [(name, 2) for name in (*OF_CHANNELS, "visiting_on_values", "visits_after_end")]


@pytest.mark.parametrize(("name", "number"), LACKING)
def test_a_sample_without_what_is_measured_is_not_assessed(name, number):
    """Else it would seem as good as real patients where these hardly show what it lacks: their numbers are near 0."""
    assert isinstance(compute(name, *lacking_pairs()[number]), str)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_metric_says_how_to_read_it(name):
    metric = METRICS[name]
    assert metric.title and not metric.title.endswith(".") and math.isfinite(metric.best)
    assert metric.function.__doc__ and "Sees" in metric.function.__doc__
    assert metric.worse in ("higher", "lower", "both")


def test_metrics_in_standard_errors_say_so():
    every = {name: METRICS[name] for name in METRICS}
    standardised = {name for name, one in every.items() if one.is_standardised}
    in_errors = {name for name, one in every.items() if one.unit == "standard errors"}
    assert standardised == in_errors | {"hazard_ratio_overlap"}


BY_PATIENTS = {"detect_transition": None}
"""Its limit is of `longsynth.evaluation.detection`, which draws patients until they have so many pairs."""
NEIGHBOURS = ("mmd", "precision", "recall", "density", "coverage")
ON_PATHS = (
    "alignment_mmd", "cluster_shares", "detect_sequence", "dtw_neighbour", "signature_mmd", "soft_dtw_divergence",
)  # fmt: skip
SMALL = (*ON_PATHS, *NEIGHBOURS, "forecast_skill")
MANY = (
    "log_hazard_ratio", "hazard_ratio_overlap", "hazard_ratio_errors", "cindex_tstr", "brier_tstr", "calibration",
    "rmst_difference", "rmst_relative", "km_distance", "km_largest", "censoring_distance", "milestone_survival",
    "incidence_distance", "treatment_log_hazard_ratio", "treatment_rmst", "treatment_decision",
)  # fmt: skip
"""They take all patients they are given."""


@pytest.mark.parametrize(
    ("limit", "names"),
    [("most_patients", SMALL), ("most_visits", ON_PATHS), ("most_pairs", ("detect_transition", "forecast_skill"))],
)
def test_metrics_that_take_a_sub_sample_declare_it(limit, names):
    """So that the judge says so, and never gives a metric more patients than it would use."""
    declared = {name: getattr(METRICS[name], limit) for name in METRICS if limit != "most_patients" or name not in MANY}
    assert {name for name, most in declared.items() if most is not None} == set(names)
    used = {name: vars(import_module(METRICS[name].function.__module__)).get(limit.upper()) for name in declared}
    assert {name: most for name, most in used.items() if declared[name] != most} in ({}, BY_PATIENTS)


def test_metrics_whose_cost_grows_gently_are_given_more_patients_than_others():
    assert {name: effort_of(METRICS[name]).n_patients for name in MANY} == dict.fromkeys(MANY, MANY_PATIENTS)
    assert effort_of(METRICS["type_one_error"]).n_patients == CHEAP.n_patients < MANY_PATIENTS


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_ask_for_registered_metrics(name):
    for check in load_profile(name).checks.values():
        assert set(check.metrics) <= set(METRICS)
