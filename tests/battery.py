"""Damages planted into a fresh real cohort, and which metrics must see each of them and which must not.

The cohort is `simulate_cohort`, with a stronger effect of the arm than by default, so that swapping arms is seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.simulate import SimulationTruth, simulate_cohort

TRUTH = SimulationTruth(hazard=0.12, hazard_arm=-1.2, arm_slope=-0.4, albumin_seen=0.3, albumin_seen_low=1.0)
CHANNELS = tuple(simulate_cohort(1).schema.channels)


def fresh(n: int, seed: int, truth: SimulationTruth = TRUTH) -> Cohort:
    """A sample of the population; each seed gives other patients, with ids of their own."""
    cohort = simulate_cohort(n, seed, truth)
    name = (pl.lit(f"{seed}-") + pl.col("patient_id")).alias("patient_id")
    return Cohort(cohort.static.with_columns(name), cohort.visits.with_columns(name), schema=cohort.schema)


def shuffled(cohort: Cohort, rng: np.random.Generator) -> Cohort:
    """The visits of each patient in another order: the same values at other times."""
    order = pl.Series("order", rng.random(cohort.n_visits))
    values = cohort.visits.with_columns(order).sort("patient_id", "order").select(CHANNELS)
    return _with_values(cohort, values)


def dealt(cohort: Cohort, rng: np.random.Generator) -> Cohort:
    """Every visit's values given to a random patient; values of a visit stay together."""
    return _with_values(cohort, cohort.visits.select(CHANNELS)[rng.permutation(cohort.n_visits)])


def columns_permuted(cohort: Cohort, rng: np.random.Generator) -> Cohort:
    """Each channel on its own dealt across all visits."""
    values = [cohort.visits[name].gather(rng.permutation(cohort.n_visits)) for name in CHANNELS]
    return _with_values(cohort, pl.DataFrame(values))


def gaps_equalised(cohort: Cohort, _: np.random.Generator) -> Cohort:
    """The visits of each patient at equal distances between the first and the last."""
    place = pl.int_range(pl.len()).over("patient_id")
    last, count = pl.col("day").max().over("patient_id"), pl.len().over("patient_id")
    even = (last * place / (count - 1).clip(1)).floor().cast(cohort.visits["day"].dtype)
    return Cohort(cohort.static, cohort.visits.with_columns(day=even), schema=cohort.schema)


def times_doubled(cohort: Cohort, _: np.random.Generator) -> Cohort:
    """All visit times and follow-up times twice as long."""
    static = cohort.static.with_columns(pl.col("follow_up") * 2)
    return Cohort(static, cohort.visits.with_columns(pl.col("day") * 2), schema=cohort.schema)


def last_visits_dropped(cohort: Cohort, _: np.random.Generator) -> Cohort:
    """The last two visits of patients with the event are gone, if they have more than two."""
    from_end = pl.int_range(pl.len()).reverse().over("patient_id")
    visits = cohort.visits.join(cohort.static.select("patient_id", "status"), on="patient_id")
    dropped = (pl.col("status") == 1) & (from_end < 2) & (pl.len().over("patient_id") > 2)
    return Cohort(cohort.static, visits.filter(~dropped).drop("status"), schema=cohort.schema)


def arms_swapped(cohort: Cohort, _: np.random.Generator) -> Cohort:
    """Every patient in the other arm."""
    return Cohort(cohort.static.with_columns(arm=1 - pl.col("arm")), cohort.visits, schema=cohort.schema)


def event_times_permuted(cohort: Cohort, rng: np.random.Generator) -> Cohort:
    """Follow-up and event of another patient; visits after the new end are gone."""
    outcomes = cohort.static.select("follow_up", "status")[rng.permutation(cohort.n_patients)]
    static = cohort.static.with_columns(outcomes.get_columns())
    return Cohort(static, cohort.visits, schema=cohort.schema, drop_after_event=True)


def twenty_repeated(cohort: Cohort, rng: np.random.Generator) -> Cohort:
    """Twenty patients, again and again."""
    ids = cohort.static["patient_id"].gather(rng.permutation(cohort.n_patients)[:20])
    times = -(-cohort.n_patients // 20)
    copies = [
        tuple(part.with_columns(pl.col("patient_id") + f"-{k}") for part in (few.static, few.visits))
        for k in range(times)
        for few in [cohort.select(ids.to_list())]
    ]
    static, visits = (pl.concat(parts) for parts in zip(*copies, strict=True))
    whole = Cohort(static, visits, schema=cohort.schema)
    return whole.select(whole.static["patient_id"][: cohort.n_patients].to_list())


def missing_at_random(cohort: Cohort, rng: np.random.Generator) -> Cohort:
    """Values as in another sample where albumin is as often missing, but whatever its value and severity."""
    rate = cohort.visits["albumin"].null_count() / cohort.n_visits
    complete = simulate_cohort(cohort.n_patients, int(rng.integers(2**31)), replace(TRUTH, albumin_seen=9.0))
    hidden = pl.Series(rng.random(complete.n_visits) < rate)
    albumin = pl.when(hidden).then(None).otherwise("albumin").alias("albumin")
    return Cohort(complete.static, complete.visits.with_columns(albumin), schema=cohort.schema)


def _with_values(cohort: Cohort, values: pl.DataFrame) -> Cohort:
    visits = pl.concat([cohort.visits.select("patient_id", "day"), values], how="horizontal")
    return Cohort(cohort.static, visits, schema=cohort.schema)


@dataclass(frozen=True)
class Damage:
    """What is done to the cohort, the metrics that must see it, and those whose values it must leave alone."""

    apply: Callable[[Cohort, np.random.Generator], Cohort]
    seen_by: tuple[str, ...]
    unseen_by: tuple[str, ...]


MARGINS = ("ks", "tv", "wasserstein", "missing_rate")
OUTCOME = ("km_distance", "censoring_distance", "rmst_difference", "log_hazard_ratio", "treatment_log_hazard_ratio")
VISITS = ("visit_count", "visit_span", "visit_gap", "visit_gap_by_event", "time_since_last_visit")
ORDER = ("autocorrelation", "autocorrelation_within", "variogram", "visit_change", "transition")

DAMAGES = {
    "visit order shuffled": Damage(
        shuffled,
        ("autocorrelation", "autocorrelation_within", "visit_change", "transition", "detect_patient"),
        (*MARGINS, *OUTCOME, *VISITS, "icc", "between_sd", "within_sd", "association_patient_mean",
         "association_within_patient", "outside_range"),
    ),
    "visits dealt across patients": Damage(
        dealt,
        ("icc", "autocorrelation", "variogram", "detect_patient", "association_static_trajectory"),
        (*MARGINS, *OUTCOME, *VISITS),
    ),
    "columns permuted": Damage(
        columns_permuted,
        ("association_first_visit", "association_patient_mean", "association_within_patient", "detect_patient"),
        (*MARGINS, *OUTCOME, *VISITS),
    ),
    "gaps equalised": Damage(
        gaps_equalised,
        ("visit_gap",),
        (*MARGINS, *OUTCOME, "visit_count", "visit_span", "icc", "autocorrelation", "association_first_visit"),
    ),
    "times doubled": Damage(
        times_doubled,
        ("visit_gap", "visit_span", "variogram", "slope_distribution", "km_distance", "outside_range"),
        ("tv", "missing_rate", "visit_count", "icc", "autocorrelation", "association_first_visit", "log_hazard_ratio"),
    ),
    "last visits dropped for those with events": Damage(
        last_visits_dropped,
        ("time_since_last_visit", "visit_count_by_event"),
        (*OUTCOME, "association_first_visit", "association_static"),
    ),
    "missing at random": Damage(
        missing_at_random,
        ("missing_on_values",),
        ("missing_rate", "visit_count", "visit_gap", "km_distance", "icc"),
    ),
    "arms swapped": Damage(
        arms_swapped,
        ("treatment_log_hazard_ratio", "treatment_rmst", "slope_arm_effect"),
        (*VISITS, *ORDER, "ks", "wasserstein", "missing_rate", "km_distance", "censoring_distance", "icc",
         "outside_range"),
    ),
    "event times permuted": Damage(
        event_times_permuted,
        ("log_hazard_ratio", "time_varying_log_hazard_ratio", "association_static_trajectory"),
        ("km_distance", "censoring_distance", "association_first_visit", "association_static", "icc"),
    ),
    "20 patients repeated": Damage(
        twenty_repeated, ("coverage", "recall"), ("rule_violations", "visits_after_end")
    ),
}  # fmt: skip

SHUFFLED, DEALT, COLUMNS, GAPS, DOUBLED, DROPPED, _, SWAPPED, PERMUTED, REPEATED = DAMAGES
SEES = {
    "alignment_mmd": (DOUBLED,),
    "association_static_trajectory": (COLUMNS,),
    "between_sd": (DEALT,),
    "brier_tstr": (PERMUTED, SWAPPED),
    "calibration": (DOUBLED, SWAPPED),
    "change_correlation": (COLUMNS,),
    "cindex_tstr": (PERMUTED, SWAPPED),
    "coverage": (DEALT, COLUMNS, DOUBLED),
    "cross_lag": (SHUFFLED,),
    "density": (DEALT, COLUMNS, DOUBLED),
    "detect_patient": (GAPS, PERMUTED),
    "detect_sequence": (SHUFFLED, DEALT, DOUBLED),
    "detect_transition": (DEALT, COLUMNS, GAPS),
    "dtw_neighbour": (DEALT, COLUMNS, DOUBLED, REPEATED),
    "forecast_skill": (SHUFFLED, DEALT, COLUMNS),
    "ks": (DOUBLED,),
    "mmd": (DEALT, COLUMNS, DOUBLED, PERMUTED, REPEATED),
    "precision": (DEALT, COLUMNS, DOUBLED),
    "recall": (DOUBLED,),
    "rmst_relative": (DOUBLED,),
    "signature_mmd": (REPEATED,),
    "slope_by_arm": (SWAPPED,),
    "soft_dtw_divergence": (DOUBLED, PERMUTED),
    "time_since_last_visit": (PERMUTED,),
    "time_varying_log_hazard_ratio": (DEALT,),
    "transition": (DEALT, DOUBLED),
    "treatment_decision": (SWAPPED,),
    "treatment_log_hazard_ratio": (PERMUTED,),
    "variogram": (SHUFFLED,),
    "visit_change": (DEALT,),
    "visit_count_by_event": (PERMUTED,),
    "visit_gap_by_event": (GAPS, DOUBLED),
    "wasserstein": (DOUBLED,),
    "within_sd": (DEALT,),
}
"""What else metrics say they see in their docstrings; what they see weakly or hardly is left out."""
