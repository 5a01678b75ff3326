"""Metrics over many pairs of samples, and what becomes of their values: a row with interval and ceiling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import COLUMN_UNIT, TIME_UNIT, WHOLE, Metric, Setting
from longsynth.evaluation.results import MetricResult
from longsynth.evaluation.splits import (
    FEWEST_PATIENTS,
    TAIL,
    Comparison,
    Effort,
    Pair,
    band,
    compared,
    half_sample_sd,
    halves,
    real_splits,
    synthetic_draws,
)
from longsynth.exceptions import NotComputableError
from longsynth.schema.types import Column, Schema

FEW_PATIENTS = 50
ROUNDING = 1e-12
TOO_FEW = "too few patients: 10 on each side are needed, and 30 in each cohort for a stratum"
Advance = Callable[[], None]
Array = NDArray[np.float64]


@dataclass
class Measured:
    """The values of one metric over some pairs of samples: one mapping of parts a pair, and why others have none."""

    values: list[Mapping[str, float]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def of(self, part: str) -> Array:
        """Return the finite values of a part, at most one a pair."""
        found = np.array([values[part] for values in self.values if part in values], dtype=np.float64)
        return found[np.isfinite(found)]

    @property
    def parts(self) -> list[str]:
        """All parts, in the order in which they first come up."""
        return list(dict.fromkeys(part for values in self.values for part in values))

    @property
    def n_pairs(self) -> int:
        """Number of pairs, with and without a value."""
        return len(self.values) + len(self.reasons)

    @property
    def reason(self) -> str:
        """Why a pair had no value."""
        return self.reasons[0] if self.reasons else "these samples hold too little for it, or give no finite value"


@dataclass(frozen=True)
class Job:
    """Some metrics of some synthetic cohorts against one real population.

    Attributes
    ----------
    stratum : str
        Empty for all patients.
    schema : Schema
        Of all cohorts.
    synthetic : mapping of str to Cohort or None
        By name; None, here and below, for a stratum without enough patients.
    reference, pool : Cohort or None
        As in `Sources`.
    metrics : sequence of Metric
        To compute.
    effort : Effort
        What to spend.
    """

    stratum: str
    schema: Schema
    synthetic: Mapping[str, Cohort | None]
    reference: Cohort | None
    pool: Cohort | None
    metrics: Sequence[Metric]
    effort: Effort

    def comparison(self, name: str) -> Comparison | None:
        """Return what a synthetic cohort is compared with; None if there are too few patients."""
        synthetic = self.synthetic[name]
        if synthetic is None or self.reference is None or self.pool is None:
            return None
        found = compared(synthetic, self.reference, self.pool, self.effort)
        return found if found.n >= FEWEST_PATIENTS else None

    @property
    def n_calls(self) -> int:
        """How often metrics are computed."""
        found = [one for one in map(self.comparison, self.synthetic) if one is not None]
        ceilings = len({one.n for one in found}) * self.effort.n_splits
        return (ceilings + sum(one.n_draws + self.effort.n_halves for one in found)) * len(self.metrics)


@dataclass(frozen=True)
class Row:
    """A result, and how likely a fresh real sample would be as far off; 1 where there is no value."""

    result: MetricResult
    p_value: float = 1.0


def run(job: Job, setting: Setting, advance: Advance) -> dict[str, list[Row]]:
    """Measure everything a job asks for.

    Parameters
    ----------
    job : Job
        What to do; cohorts of equal size share one ceiling.
    setting : Setting
        For the metrics; its seed also draws the samples.
    advance : callable
        Called after each computation of a metric.

    Returns
    -------
    dict of str to list of Row
        By name of the synthetic cohort, in the order of the metrics.
    """
    ceilings: dict[int, dict[str, Measured]] = {}
    found: dict[str, list[Row]] = {}
    seed, effort = setting.seed, job.effort
    for name in job.synthetic:
        comparison = job.comparison(name)
        if comparison is None:
            found[name] = [Row(_no_value(metric, WHOLE, job, TOO_FEW)) for metric in job.metrics]
            continue
        n = comparison.n
        if n not in ceilings:
            splits = real_splits(comparison.pool, n, effort.n_splits, seed)
            ceilings[n] = _over(job.metrics, splits, setting, advance)
        pairs = list(synthetic_draws(comparison, seed))
        drawn = _over(job.metrics, pairs, setting, advance)
        halved = _over(job.metrics, halves(pairs[0], effort.n_halves, seed), setting, advance)
        found[name] = [
            row
            for metric in job.metrics
            for row in _rows(metric, job, n, drawn[metric.name], halved[metric.name], ceilings[n][metric.name])
        ]
    return found


def _over(metrics: Sequence[Metric], pairs: Iterable[Pair], setting: Setting, advance: Advance) -> dict[str, Measured]:
    found = {metric.name: Measured() for metric in metrics}
    for sample, reference in pairs:
        for metric in metrics:
            try:
                found[metric.name].values.append(metric.function(sample, reference, setting))
            except NotComputableError as error:
                found[metric.name].reasons.append(str(error))
            advance()
    return found


def _rows(metric: Metric, job: Job, n: int, drawn: Measured, halved: Measured, ceilings: Measured) -> list[Row]:
    """Return a row for each part; a single one with the reason if the metric has no value at all."""
    if not drawn.values or not ceilings.values:
        whose = "" if not drawn.values else "between two real samples: "
        reason = whose + (ceilings.reason if drawn.values else drawn.reason)
        return [Row(_no_value(metric, WHOLE, job, reason, n))]
    parts = list(dict.fromkeys([*drawn.parts, *ceilings.parts]))
    return [_row(metric, part, job, n, drawn, halved, ceilings) for part in parts]


def _row(metric: Metric, part: str, job: Job, n: int, drawn: Measured, halved: Measured, ceilings: Measured) -> Row:
    values, parted, real = drawn.of(part), halved.of(part), ceilings.of(part)
    enough = job.effort.n_splits // 2
    if not values.size:
        reason = f"no value of the synthetic cohort beside real patients: {drawn.reason}"
        return Row(_no_value(metric, part, job, reason, n))
    if len(real) < enough:
        reason = f"no ceiling: {len(real)} of {job.effort.n_splits} pairs of real samples give a value"
        return Row(_no_value(metric, part, job, reason, n))
    value, ceiling, spread = float(values.mean()), float(real.mean()), float(real.std(ddof=1))
    lower, upper = band(real)
    notes = [] if n >= FEW_PATIENTS else [f"only {n} patients: the band is wide, and being inside it says little"]
    if len(real) < job.effort.n_splits:
        notes.append(f"{len(real)} of {job.effort.n_splits} pairs of real samples give a value")
    if len(values) < drawn.n_pairs:
        notes.append(f"{len(values)} of {drawn.n_pairs} samples of the synthetic cohort give a value")
    if metric.n_draws is not None and drawn.n_pairs < metric.n_draws:
        notes.append(f"one sample of the synthetic cohort: give one of more than {n} patients for {metric.n_draws}")
    reach = None
    if len(parted) >= job.effort.n_halves // 2:
        reach = student.ppf(1 - TAIL, len(parted) - 1) * half_sample_sd(parted, n, metric.is_standardised)
    else:
        notes.append("no interval, as half of the patients are too few")
    notes += _caps(metric, job, n)
    least, most = (0.0, 1.0) if metric.is_share else (-math.inf, math.inf)
    result = replace(
        _no_value(metric, part, job, ""),
        reason=None,
        value=value,
        lo=None if reach is None else max(least, float(value - reach)),
        hi=None if reach is None else min(most, float(value + reach)),
        ceiling=ceiling,
        ceiling_lo=lower,
        ceiling_hi=upper,
        ceiling_sd=spread,
        z=(value - ceiling) / spread if spread > _rounding(metric, real) else None,
        flagged=_is_worse(metric, value, lower, upper, _rounding(metric, real)),
        n=n,
        n_splits=len(real),
        n_draws=len(values),
        note="; ".join(notes) or None,
    )
    return Row(result, _p_value(metric, value, real))


def _caps(metric: Metric, job: Job, n: int) -> Iterator[str]:
    """Say where a metric leaves out visits of the longest or largest of the cohorts."""
    cohorts = [cohort for cohort in (*job.synthetic.values(), job.pool) if cohort is not None]
    if metric.most_visits is not None and max(map(_longest_record, cohorts)) > metric.most_visits:
        yield f"records of more than {metric.most_visits:,} visits are thinned to as many"
    n_pairs = max((cohort.n_visits / cohort.n_patients - 1) * n for cohort in cohorts)
    if metric.most_pairs is not None and n_pairs > metric.most_pairs:
        yield f"at most {metric.most_pairs:,} pairs of consecutive visits a side, drawn at random"


def _longest_record(cohort: Cohort) -> int:
    """Return the visits of the patient with most of them."""
    counts = cohort.visits[cohort.schema.patient_id].value_counts()["count"]
    return int(counts.max() or 0)  # type: ignore[arg-type]


def _no_value(metric: Metric, part: str, job: Job, reason: str, n: int | None = None) -> MetricResult:
    about = (metric.block, metric.level, metric.name, metric.title, part, job.stratum, metric.best, metric.worse)
    return MetricResult(*about, unit=_unit(metric, part, job.schema), n=n, reason=reason)


def _unit(metric: Metric, part: str, schema: Schema) -> str | None:
    """Return the unit of a value: the metric's own, that of the column the part names, or that of time."""
    if metric.unit == TIME_UNIT or (metric.unit == COLUMN_UNIT and part == "event.duration"):
        return schema.time_unit
    if metric.unit != COLUMN_UNIT:
        return metric.unit
    table, _, name = part.partition(".")
    columns: Mapping[str, Column] = schema.channels if table == "visits" else schema.static
    return columns[name].unit if name in columns else None


def _rounding(metric: Metric, real: Array) -> float:
    """Return up to what size a difference may be a rounding error: relative to the values if they have a unit."""
    size = float(np.abs(real).max())
    return ROUNDING * (size if metric.unit in (COLUMN_UNIT, TIME_UNIT) else max(1.0, size))


def _is_worse(metric: Metric, value: float, lower: float, upper: float, slack: float) -> bool:
    over, under = value > upper + slack, value < lower - slack
    return (over and metric.worse != "lower") or (under and metric.worse != "higher")


def _p_value(metric: Metric, value: float, real: Array) -> float:
    """Return the probability that a fresh real sample is as far off on a worse side, were the ceiling normal."""
    spread = real.std(ddof=1)
    slack = _rounding(metric, real)
    if spread <= slack:
        return 0.0 if _is_worse(metric, value, float(real.min()), float(real.max()), slack) else 1.0
    distance = (value - real.mean()) / (spread * np.sqrt(1 + 1 / len(real)))
    above = float(student.sf(distance, len(real) - 1))
    return {"higher": above, "lower": 1 - above, "both": 2 * min(above, 1 - above)}[metric.worse]
