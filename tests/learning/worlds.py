"""Toy cohorts that hold one law each, with a score that says whether a cohort obeys it.

A generator fitted on a world must draw cohorts that pass. Scores are higher the better the law is kept; thresholds lie
between what a fresh draw of the world scores (99.9 % of 300-patient draws pass) and what a copy without the law scores.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from lifelines import CoxPHFitter

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import patient_features, transition_features
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime

DAYS_PER_YEAR = 365.25
MOST_VISITS = 8


@dataclass(frozen=True)
class World:
    """A law: how to draw cohorts that obey it, how to score a cohort, and what passes."""

    make: Callable[[int, int], Cohort]
    score: Callable[[Cohort], float]
    threshold: float
    reason: str

    def is_learned(self, cohort: Cohort) -> bool:
        return self.score(cohort) >= self.threshold


def alternating_state(n: int, seed: int) -> Cohort:
    """A binary channel that flips at 98 of 100 visits; 3 to 8 visits, about a month apart; no terminal event."""
    rng = np.random.default_rng(seed)
    patient, place, day = _regular_visits(rng, rng.integers(3, MOST_VISITS + 1, n), gaps=(25, 36))
    first = rng.integers(0, 2, n)[patient]
    n_holds = _running_sum(rng.random(len(patient)) < 0.02, place)
    visits = pl.DataFrame({"patient_id": patient, "day": day, "state": (first + place + n_holds) % 2})
    schema = Schema(visit_time=VisitTime(column="day"), channels={"state": Channel(kind="binary", levels=(0, 1))})
    return Cohort(pl.DataFrame({"patient_id": np.arange(n)}), visits, schema=schema)


def alternation(cohort: Cohort) -> float:
    """Share of consecutive visits between which the state flips."""
    pairs = transition_features(cohort)
    return float((pairs["before.state"] != pairs["after.state"]).mean())


def slope_by_arm(n: int, seed: int) -> Cohort:
    """A biomarker that rises by 1 a year in arm 1 and falls by 1 a year in arm 0; starts differ between patients."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, 2, n)
    patient, _, day = _regular_visits(rng, rng.integers(4, MOST_VISITS + 1, n), gaps=(150, 211))
    start = rng.normal(10, 1, n)[patient]
    value = start + np.where(arm == 1, 1, -1)[patient] * day / DAYS_PER_YEAR + rng.normal(0, 0.2, len(patient))
    schema = Schema(
        visit_time=VisitTime(column="day"),
        static={"arm": StaticColumn(kind="binary", levels=(0, 1))},
        channels={"biomarker": Channel(kind="continuous", decimals=2)},
    )
    static = pl.DataFrame({"patient_id": np.arange(n), "arm": arm})
    return Cohort(static, pl.DataFrame({"patient_id": patient, "day": day, "biomarker": value.round(2)}), schema=schema)


def slope_difference(cohort: Cohort) -> float:
    """2 minus the error of the difference of mean slopes a year between the arms, which is 2 in truth."""
    features = patient_features(cohort).drop_nulls("biomarker.slope")
    means = [features.filter(pl.col("static.arm") == arm)["biomarker.slope"].mean() for arm in (0, 1)]
    return 2 - abs((means[1] - means[0]) * DAYS_PER_YEAR - 2)


def hazard_by_biomarker(n: int, seed: int) -> Cohort:
    """A biomarker (standard deviation 1) that multiplies the hazard of death by e per unit; two years of follow-up."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0, 1, n)
    death = np.ceil(rng.exponential(400 * np.exp(-level)))
    end, died = np.minimum(death, 730), (death <= 730).astype(int)
    patient, _, day = _regular_visits(rng, np.full(n, MOST_VISITS), gaps=(80, 101))
    seen = day <= end[patient]
    patient, day = patient[seen], day[seen]
    value = level[patient] + np.where(day == 0, 0, rng.normal(0, 0.3, len(patient)))
    schema = Schema(
        visit_time=VisitTime(column="day"),
        terminal_event=TerminalEvent(duration="end", event="died", event_types={1: "death"}),
        channels={"biomarker": Channel(kind="continuous", decimals=2)},
    )
    static = pl.DataFrame({"patient_id": np.arange(n), "end": end, "died": died})
    return Cohort(static, pl.DataFrame({"patient_id": patient, "day": day, "biomarker": value.round(2)}), schema=schema)


def log_hazard_ratio(cohort: Cohort) -> float:
    """1 minus the error of the Cox log hazard ratio of the first biomarker value, which is 1 in truth."""
    columns = {"biomarker.first": "biomarker", "event.duration": "duration", "event.type": "event"}
    table = patient_features(cohort).select(*columns).rename(columns).drop_nulls()
    if table["biomarker"].std() == 0 or table["event"].n_unique() < 2:
        return 0.0
    fitted = CoxPHFitter(penalizer=1e-4).fit(table.to_pandas(), "duration", "event")
    return 1 - abs(fitted.params_["biomarker"] - 1)


def shortening_gaps(n: int, seed: int) -> Cohort:
    """Visits that come closer before death (a gap is about 30 % of the time left) and stay regular before censoring."""
    rng = np.random.default_rng(seed)
    end, died = rng.integers(400, 1001, n), (rng.random(n) < 0.7).astype(int)
    n_visits = rng.integers(5, MOST_VISITS + 1, n)
    rows, day, here = [], np.zeros(n), np.arange(n)
    for place in range(MOST_VISITS):
        rows.append(np.column_stack([here, day]))
        left = end[here] - day
        usual = np.where(died[here] == 1, 0.3 * left, end[here] / 8)
        gap = np.maximum(1, (usual * rng.uniform(0.7, 1.3, len(here))).round())
        stays = (gap < left) & (place + 1 < n_visits[here])
        here, day = here[stays], (day + gap)[stays]
    patient, day = np.concatenate(rows).astype(int).T
    visits = pl.DataFrame({"patient_id": patient, "day": day, "pain": rng.poisson(2, len(patient))})
    schema = Schema(
        visit_time=VisitTime(column="day"),
        terminal_event=TerminalEvent(duration="end", event="died", event_types={1: "death"}),
        channels={"pain": Channel(kind="count")},
    )
    return Cohort(pl.DataFrame({"patient_id": np.arange(n), "end": end, "died": died}), visits, schema=schema)


def gap_follows_time_left(cohort: Cohort) -> float:
    """Rank correlation, within patients who die, of a gap with the time left at its start; 0 if they have no gaps."""
    time, (duration, event) = cohort.schema.visit_time.column, cohort.schema.event_columns
    dying = cohort.visits.join(cohort.static.filter(pl.col(event) == 1), on=cohort.schema.patient_id)
    pairs = dying.sort(cohort.schema.patient_id, time).select(
        pl.col(cohort.schema.patient_id).alias("patient"),
        (pl.col(time).shift(-1) - pl.col(time)).over(cohort.schema.patient_id).alias("gap"),
        (pl.col(duration) - pl.col(time)).alias("left"),
    )
    pairs = pairs.drop_nulls().filter(pl.len().over("patient") > 2)
    correlation = pairs.group_by("patient").agg(r=pl.corr("gap", "left", method="spearman"))["r"].fill_nan(0).mean()
    return 0.0 if correlation is None else float(correlation)


WORLDS = {
    "alternating_state": World(
        alternating_state, alternation, 0.9, "the truth is 0.98; drawing the state at random gives 0.5"
    ),
    "slope_by_arm": World(
        slope_by_arm, slope_difference, 1.4, "30 % of the true difference of 2 may be lost or added; no effect gives 0"
    ),
    "hazard_by_biomarker": World(
        hazard_by_biomarker, log_hazard_ratio, 0.6, "40 % of the true log ratio of 1 may be lost or added; none gives 0"
    ),
    "shortening_gaps": World(
        shortening_gaps, gap_follows_time_left, 0.7, "the truth is 0.9 or more; gaps in any other order give about 0"
    ),
}


def shuffled_values(cohort: Cohort, seed: int) -> Cohort:
    """The same visits with all values of the channels dealt to other visits of the cohort."""
    order = np.random.default_rng(seed).permutation(cohort.n_visits)
    values = cohort.visits.select(cohort.schema.channels.keys())[order]
    return Cohort(cohort.static, cohort.visits.with_columns(values.get_columns()), schema=cohort.schema)


def shuffled_gaps(cohort: Cohort, seed: int) -> Cohort:
    """The same patients and values with each patient's gaps in another order."""
    time = cohort.schema.visit_time.column
    patient = cohort.visits[cohort.schema.patient_id].to_numpy()
    day = cohort.visits[time].to_numpy()
    is_first = np.r_[True, patient[1:] != patient[:-1]]
    gap = np.where(is_first, day, np.diff(day, prepend=0))
    order = np.lexsort((np.random.default_rng(seed).random(len(gap)), ~is_first, patient))
    moved = _running_sum(gap[order], np.where(is_first, 0, 1))
    return Cohort(cohort.static, cohort.visits.with_columns(pl.Series(time, moved)), schema=cohort.schema)


def _regular_visits(
    rng: np.random.Generator, n_visits: np.ndarray, gaps: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patient, place from 0 and day of each visit; gaps are whole days drawn evenly from a range."""
    patient = np.repeat(np.arange(len(n_visits)), n_visits)
    place = np.concatenate([np.arange(k) for k in n_visits])
    gap = np.where(place == 0, 0, rng.integers(*gaps, len(place)))
    return patient, place, _running_sum(gap, place)


def _running_sum(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Sum of the values so far within a patient, whose first visit has place 0."""
    total = np.cumsum(values)
    before = np.where(place == 0, total - values, 0)
    return total - np.maximum.accumulate(before)
