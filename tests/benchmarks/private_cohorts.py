"""The cohorts of the private benchmarks, with schemas that declare everything: nothing is read off the patients."""

from __future__ import annotations

import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.simulate import simulate_cohort
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime
from tests.benchmarks.data import load_benchmark

MINUTES_A_DAY, ICU_PATIENTS = 1440, 5594
ICU_TYPES = ("cardiac_surgery", "coronary", "medical", "surgical")
ICU_STATIC = {"age": (15, 90, 0), "height": (100, 230, 1), "saps1": (0, 40, 0), "sofa": (0, 24, 0)}
ICU_CHANNELS = {
    "ALP": (5, 2500, 0),
    "ALT": (1, 20000, 0),
    "AST": (1, 20000, 0),
    "Albumin": (0.5, 6, 1),
    "BUN": (1, 250, 0),
    "Bilirubin": (0.1, 80, 1),
    "Cholesterol": (20, 500, 0),
    "Creatinine": (0.1, 25, 1),
    "DiasABP": (10, 250, 0),
    "FiO2": (0.21, 1, 2),
    "GCS": (3, 15, 0),
    "Glucose": (10, 1500, 0),
    "HCO3": (3, 60, 0),
    "HCT": (5, 70, 1),
    "HR": (10, 300, 0),
    "K": (1, 15, 1),
    "Lactate": (0.1, 35, 1),
    "MAP": (10, 300, 0),
    "Mg": (0.3, 25, 1),
    "NIDiasABP": (10, 250, 0),
    "NIMAP": (10, 250, 0),
    "NISysABP": (20, 300, 0),
    "Na": (95, 185, 0),
    "PaCO2": (8, 120, 0),
    "PaO2": (15, 600, 0),
    "Platelets": (2, 2500, 0),
    "RespRate": (1, 100, 0),
    "SaO2": (20, 100, 0),
    "SysABP": (20, 300, 0),
    "Temp": (25, 44, 1),
    "TroponinI": (0.1, 60, 1),
    "TroponinT": (0.01, 30, 2),
    "Urine": (0, 12000, 0),
    "WBC": (0.1, 500, 1),
    "Weight": (20, 350, 1),
    "pH": (6.5, 8, 2),
}
"""Lower bound, upper bound and decimal places: what an analyser or a chart can show, not what these patients had."""


def icu_schema() -> Schema:
    """The schema of physionet2012, declared: times in minutes."""
    static: dict[str, StaticColumn] = {name: _number(StaticColumn, *facts) for name, facts in ICU_STATIC.items()}
    static |= {
        "male": StaticColumn(kind="binary", levels=(0, 1)),
        "icu_type": StaticColumn(kind="categorical", levels=ICU_TYPES),
    }
    channels: dict[str, Channel] = {name: _number(Channel, *facts) for name, facts in ICU_CHANNELS.items()}
    return Schema(
        time_unit="minutes",
        visit_time=VisitTime(column="time", decimals=0),
        terminal_event=TerminalEvent(duration="futime", event="status", event_types={1: "death"}, decimals=0),
        static=static,
        channels=channels | {"MechVent": Channel(kind="binary", levels=(0, 1))},
    )


def load_icu(data: str) -> tuple[Cohort, Cohort]:
    """Train and holdout of physionet2012 under the declared schema, values at their declared precision and bounds."""
    schema = icu_schema()
    train, holdout = (_declare(part, schema) for part in load_benchmark("physionet2012", data))
    return train, holdout


def simulated(n_patients: int, seed: int) -> tuple[Cohort, Cohort]:
    """Train of ``n_patients`` and a holdout of 3,000 from the simulator with known truth."""
    return simulate_cohort(n_patients, seed), simulate_cohort(3000, seed + 1000)


def _declare(cohort: Cohort, schema: Schema) -> Cohort:
    def within(facts: dict[str, tuple[float, float, int]]) -> list[pl.Expr]:
        return [pl.col(name).clip(low, high).round(places) for name, (low, high, places) in facts.items()]

    minutes = [(pl.col(name) * MINUTES_A_DAY).round() for name in ("time", "futime")]
    visits = cohort.visits.with_columns(minutes[0], *within(ICU_CHANNELS))
    visits = visits.unique(["patient_id", "time"], keep="first", maintain_order=True)
    static = cohort.static.with_columns(minutes[1], *within(ICU_STATIC))
    return Cohort(static, visits, schema=schema)


def _number(of: type, lower: float, upper: float, decimals: int) -> StaticColumn | Channel:
    column: StaticColumn | Channel = of(kind="continuous", bounds=(lower, upper), decimals=decimals)
    return column
