"""A simulated cohort whose truth is known, for tests, examples and power calculations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import expit, ndtr

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import ConfigError
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime
from longsynth.seeding import stream

DAYS_PER_YEAR = 365.25
MOST_CRP, MOST_FLARES = 10_000, 50
CARE = ("home", "outpatient", "hospital")


@dataclass(frozen=True)
class SimulationTruth:
    """The parameters behind `simulate_cohort`.

    Notes
    -----
    The **severity** of a patient at time t (in years) is the logarithm of the recorded CRP, up to rounding:
    ``intercept + stage_effect * (stage - 1) + age_effect * (age - 60) / 10 + u + (slope + arm_slope * arm + v) * t +
    e(t)`` with ``u ~ N(0, intercept_sd)``, ``v ~ N(0, slope_sd)`` and an Ornstein-Uhlenbeck process e of standard
    deviation ``noise_sd`` and correlation ``exp(-days / noise_days)``.

    Written x for severity minus ``intercept``, at each visit, independently given x:

    - gap to the next visit in days: log-normal, ``log(gap_days) + gap_severity * x`` and ``gap_log_sd``;
    - hazard of death a year until the next visit: ``hazard * exp(hazard_severity * x + hazard_arm * arm)``;
    - flares: Poisson with log mean ``flares + flares_severity * x``;
    - ascites: logit ``ascites + ascites_severity * x + ascites_before * (ascites at the visit before)``;
    - performance: ``logit P(level <= j) = performance_cuts[j] - performance_severity * x``; missing at random;
    - care: as at the visit before with probability ``care_stays``, else drawn with weights
      ``exp(care[j] + care_severity[j] * x)``;
    - albumin: normal, ``albumin + albumin_severity * x`` and ``albumin_sd``, **not** missing at random: measured with
      probability ``Phi(albumin_seen + albumin_seen_low * (albumin - value) / albumin_sd)``, the lower the likelier.

    Censoring is independent: at ``follow_up_years``, or before by drop-out at a constant rate.
    """

    age_mean: float = 60.0
    age_sd: float = 10.0
    female_rate: float = 0.55
    stage_rates: tuple[float, ...] = (0.2, 0.35, 0.3, 0.15)
    intercept: float = 3.0
    stage_effect: float = 0.25
    age_effect: float = 0.1
    intercept_sd: float = 0.5
    slope: float = 0.15
    arm_slope: float = -0.2
    slope_sd: float = 0.15
    noise_sd: float = 0.3
    noise_days: float = 180.0
    gap_days: float = 270.0
    gap_severity: float = -0.3
    gap_log_sd: float = 0.35
    hazard: float = 0.06
    hazard_severity: float = 0.8
    hazard_arm: float = -0.4
    dropout_rate: float = 0.04
    follow_up_years: float = 6.0
    flares: float = -0.5
    flares_severity: float = 0.6
    ascites: float = -2.0
    ascites_severity: float = 0.8
    ascites_before: float = 2.0
    performance_cuts: tuple[float, ...] = (0.0, 1.5, 3.0)
    performance_severity: float = 1.0
    performance_missing_rate: float = 0.1
    care: tuple[float, ...] = (0.0, -0.5, -2.0)
    care_severity: tuple[float, ...] = (0.0, 0.5, 1.2)
    care_stays: float = 0.6
    albumin: float = 38.0
    albumin_severity: float = -2.0
    albumin_sd: float = 4.0
    albumin_seen: float = 0.5
    albumin_seen_low: float = 0.6


SCHEMA = Schema(
    visit_time=VisitTime(column="day", decimals=0),
    terminal_event=TerminalEvent(duration="follow_up", event="status", event_types={1: "death"}, decimals=0),
    static={
        "age": StaticColumn(kind="continuous", unit="years", bounds=(18, 100), decimals=1),
        "sex": StaticColumn(kind="binary", levels=("female", "male")),
        "arm": StaticColumn(kind="binary", levels=(0, 1)),
        "stage": StaticColumn(kind="ordinal", levels=(1, 2, 3, 4)),
    },
    channels={
        "crp": Channel(kind="continuous", unit="mg/L", bounds=(0, MOST_CRP), decimals=1),
        "albumin": Channel(kind="continuous", unit="g/L", bounds=(0, 100), decimals=0),
        "flares": Channel(kind="count", bounds=(0, MOST_FLARES)),
        "ascites": Channel(kind="binary", levels=(0, 1)),
        "performance": Channel(kind="ordinal", levels=(0, 1, 2, 3)),
        "care": Channel(kind="categorical", levels=CARE),
    },
)


def simulate_cohort(n: int, seed: int = 0, truth: SimulationTruth = SimulationTruth()) -> Cohort:
    """Simulate a two-arm trial with long follow-up, every kind of column, and known parameters.

    Parameters
    ----------
    n : int
        Number of patients, at least 1.
    seed : int
        Random seed.
    truth : SimulationTruth
        The parameters; see there for the model.

    Returns
    -------
    Cohort
        Real by origin. With the default truth about 7 visits a patient; a third of the patients die.

    Raises
    ------
    ConfigError
        If n is less than 1.

    Examples
    --------
    >>> cohort = simulate_cohort(100, seed=1)
    >>> cohort.n_patients, list(cohort.schema.channels)
    (100, ['crp', 'albumin', 'flares', 'ascites', 'performance', 'care'])
    """
    if n < 1:
        raise ConfigError(f"n is {n}; a cohort needs at least one patient")
    rng = stream(seed, "simulate")
    static = _baseline(n, truth, rng)
    visits, end, died = _follow(static, truth, rng)
    names = pl.Series([f"sim-{number:07d}" for number in range(n)])
    static_table = pl.DataFrame(
        {
            "patient_id": names,
            "age": static["age"],
            "sex": np.where(static["female"], "female", "male"),
            "arm": static["arm"],
            "stage": static["stage"],
            "follow_up": end,
            "status": died.astype(int),
        }
    )
    visit_table = visits.select(pl.lit(names).gather("patient").alias("patient_id"), pl.exclude("patient"))
    return Cohort(static_table, visit_table, schema=SCHEMA)


def _baseline(n: int, truth: SimulationTruth, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the static attributes (N,), and the patients' own start and slope of severity."""
    age = rng.normal(truth.age_mean, truth.age_sd, n).clip(18, 100).round(1)
    arm = rng.integers(0, 2, n)
    stage = rng.choice(4, n, p=truth.stage_rates) + 1
    start = truth.intercept + truth.stage_effect * (stage - 1) + truth.age_effect * (age - 60) / 10
    return {
        "age": age,
        "female": rng.random(n) < truth.female_rate,
        "arm": arm,
        "stage": stage,
        "start": start + rng.normal(0, truth.intercept_sd, n),
        "slope": truth.slope + truth.arm_slope * arm + rng.normal(0, truth.slope_sd, n),
    }


def _follow(
    static: dict[str, np.ndarray], truth: SimulationTruth, rng: np.random.Generator
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Follow all patients from visit to visit; return the visits, the end of follow-up in days and who died."""
    n = len(static["age"])
    dropout = np.ceil(rng.exponential(DAYS_PER_YEAR / truth.dropout_rate, n))
    end = np.minimum(dropout, np.floor(truth.follow_up_years * DAYS_PER_YEAR)).astype(int)
    died = np.zeros(n, dtype=bool)
    rounds = []
    here = np.arange(n)
    day = np.zeros(n, dtype=int)
    noise = rng.normal(0, truth.noise_sd, n)
    ascites, care = np.zeros(n, dtype=int), np.full(n, -1)
    while len(here):
        severity = static["start"][here] + static["slope"][here] * day / DAYS_PER_YEAR + noise
        x = severity - truth.intercept
        ascites, care = _ascites(x, ascites, truth, rng), _care(x, care, truth, rng)
        measured = _other_channels(severity, x, truth, rng)
        rounds.append({"patient": here, "day": day, **measured, "ascites": ascites, "care": care})
        gap_log_mean = np.log(truth.gap_days) + truth.gap_severity * x
        gap = np.exp(rng.normal(gap_log_mean, truth.gap_log_sd)).round().clip(1).astype(int)
        hazard = truth.hazard * np.exp(truth.hazard_severity * x + truth.hazard_arm * static["arm"][here])
        death = day + rng.exponential(DAYS_PER_YEAR / hazard)
        dies = death < np.minimum(end[here], day + gap)
        died[here[dies]] = True
        end[here[dies]] = np.ceil(death[dies]).astype(int)
        stays = ~dies & (day + gap <= end[here])
        kept = np.exp(-gap / truth.noise_days)
        noise = kept * noise + rng.normal(0, truth.noise_sd * np.sqrt(1 - kept**2))
        here, day, noise, ascites, care = here[stays], (day + gap)[stays], noise[stays], ascites[stays], care[stays]
    visits = {name: np.concatenate([one[name] for one in rounds]) for name in rounds[0]}
    levels = pl.Series(np.array(CARE)[visits["care"]])
    table = pl.DataFrame(visits).with_columns(care=levels).fill_nan(None).cast({"performance": pl.Int64})
    return table.select("patient", "day", *SCHEMA.channels), end, died


def _other_channels(
    severity: np.ndarray, x: np.ndarray, truth: SimulationTruth, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw the channels that do not depend on the visit before; NaN = missing."""
    albumin = rng.normal(truth.albumin + truth.albumin_severity * x, truth.albumin_sd)
    seen = ndtr(truth.albumin_seen + truth.albumin_seen_low * (truth.albumin - albumin) / truth.albumin_sd)
    above = expit(truth.performance_severity * x[:, None] - np.array(truth.performance_cuts))
    performance = (rng.random((len(x), 1)) < above).sum(axis=1).astype(float)
    return {
        "crp": np.exp(severity).round(1).clip(0.1, MOST_CRP),
        "albumin": np.where(rng.random(len(x)) < seen, albumin.round().clip(0, 100), np.nan),
        "flares": rng.poisson(np.exp(truth.flares + truth.flares_severity * x)).clip(max=MOST_FLARES),
        "performance": np.where(rng.random(len(x)) < truth.performance_missing_rate, np.nan, performance),
    }


def _ascites(x: np.ndarray, before: np.ndarray, truth: SimulationTruth, rng: np.random.Generator) -> np.ndarray:
    rate = expit(truth.ascites + truth.ascites_severity * x + truth.ascites_before * before)
    return (rng.random(len(x)) < rate).astype(int)


def _care(x: np.ndarray, before: np.ndarray, truth: SimulationTruth, rng: np.random.Generator) -> np.ndarray:
    """Draw positions in `CARE`; -1 in ``before`` = first visit."""
    weights = np.exp(np.array(truth.care) + np.outer(x, truth.care_severity))
    below = weights.cumsum(axis=1) / weights.sum(axis=1, keepdims=True)
    drawn = (rng.random((len(x), 1)) > below[:, :-1]).sum(axis=1)
    stays = (before >= 0) & (rng.random(len(x)) < truth.care_stays)
    return np.where(stays, before, drawn)
