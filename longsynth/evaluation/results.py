"""What an evaluation found: every value with its interval and its ceiling, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from longsynth.exceptions import ConfigError
from longsynth.findings import findings_text, html_table, read_findings, results_frame, with_tuples

COLUMNS: dict[str, Any] = {
    "block": pl.String,
    "level": pl.String,
    "metric": pl.String,
    "title": pl.String,
    "part": pl.String,
    "stratum": pl.String,
    "value": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "ceiling": pl.Float64,
    "ceiling_lo": pl.Float64,
    "ceiling_hi": pl.Float64,
    "ceiling_sd": pl.Float64,
    "z": pl.Float64,
    "flagged": pl.Boolean,
    "best": pl.Float64,
    "worse": pl.String,
    "unit": pl.String,
    "n": pl.Int64,
    "n_splits": pl.Int64,
    "n_draws": pl.Int64,
    "reason": pl.String,
    "note": pl.String,
    "seed": pl.Int64,
    "version": pl.String,
}


@dataclass(frozen=True)
class MetricResult:
    """One number about a synthetic cohort, with what a fresh real sample of the same size scores.

    Attributes
    ----------
    block, level, metric, title : str
        As in `longsynth.evaluation.base.Metric`; ``metric`` is its name.
    part : str
        Empty for the whole cohort; else a column or another part of the metric.
    stratum : str
        Empty for all patients; else ``attribute=level``.
    value, lo, hi : float or None
        The value with its 95 % interval. None: not assessed, for the ``reason`` given; never a number in place of a
        failure.
    ceiling, ceiling_lo, ceiling_hi, ceiling_sd : float or None
        Mean, 95 % band and standard deviation of the same statistic between two real samples of ``n`` patients.
    z : float or None
        ``(value - ceiling) / ceiling_sd``; None also if the ceiling does not vary.
    flagged : bool or None
        Whether the value lies beyond the band on a side that is worse than a fresh real sample. Strata are flagged
        after adjustment for their number.
    best, worse, unit : float, str, str or None
        How to read the value, as in `Metric`.
    n : int or None
        Patients in each of the two samples that were compared.
    n_splits, n_draws : int
        Splits of real patients behind the ceiling; samples of the synthetic cohort behind the value.
    reason, note : str or None
        Why there is no value; when not to trust the row.
    """

    block: str
    level: str
    metric: str
    title: str
    part: str
    stratum: str
    best: float
    worse: str
    unit: str | None = None
    value: float | None = None
    lo: float | None = None
    hi: float | None = None
    ceiling: float | None = None
    ceiling_lo: float | None = None
    ceiling_hi: float | None = None
    ceiling_sd: float | None = None
    z: float | None = None
    flagged: bool | None = None
    n: int | None = None
    n_splits: int = 0
    n_draws: int = 0
    reason: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) != (self.reason is not None) or (self.value is not None and self.ceiling is None):
            raise ConfigError(f"{self.metric}: a value comes with its ceiling, and no value with the reason why")


@dataclass(frozen=True)
class Provenance:
    """What an evaluation was made from, enough to repeat it.

    Attributes
    ----------
    n_synthetic, n_train, n_holdout : int
        Patients; ``n_holdout`` is None if there was no holdout: reference and ceiling then come from train.
    arm : str or None
        Static attribute that holds the treatment arm.
    metrics, strata : tuple of str
        Names of the metrics, and of the static attributes whose levels are the strata.
    holds : tuple of str
        What the cohorts have of: visits, terminal event, arm.
    seed : int
        As given.
    version : str
        Of longsynth.
    """

    n_synthetic: int
    n_train: int
    n_holdout: int | None
    arm: str | None
    metrics: tuple[str, ...]
    strata: tuple[str, ...]
    holds: tuple[str, ...]
    seed: int
    version: str

    @property
    def ceiling_from(self) -> str:
        """Which real patients the ceiling comes from, in words."""
        return "train" if self.n_holdout is None else "train and holdout"


@dataclass(frozen=True)
class Evaluation:
    """How a synthetic cohort differs from the real population, beside how a fresh real sample would.

    Attributes
    ----------
    results : tuple of MetricResult
        In the order of the metrics; the whole cohort before its strata.
    provenance : Provenance
        What was compared.
    notes : tuple of str
        What a reader must know about the comparison as a whole.
    """

    results: tuple[MetricResult, ...]
    provenance: Provenance
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        n_values = sum(result.value is not None for result in self.results)
        n_flagged = sum(bool(result.flagged) for result in self.results)
        return f"Evaluation({n_values} values, {n_flagged} flagged, {len(self.results) - n_values} not assessed)"

    def frame(self) -> pl.DataFrame:
        """Return one row a result.

        Returns
        -------
        polars.DataFrame
            The attributes of `MetricResult`, and ``seed`` and ``version``; null where there is none.
        """
        return results_frame(self.results, COLUMNS, seed=self.provenance.seed, version=self.provenance.version)

    def to_json(self) -> str:
        """Return the evaluation as a JSON text, the same for the same evaluation."""
        return findings_text(self)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Return the evaluation that `to_json` wrote.

        Raises
        ------
        ConfigError
            If the text is no such JSON, or of another format.
        """

        def build(document: dict[str, Any]) -> Evaluation:
            results = tuple(MetricResult(**row) for row in document["results"])
            return cls(results, Provenance(**with_tuples(document["provenance"])), tuple(document["notes"]))

        return read_findings(text, "evaluation", build)

    def _repr_html_(self) -> str:
        return table_html({"": self})


def shown(result: MetricResult) -> tuple[str, str, str]:
    """Return a result as three texts: the value with its interval, its ceiling with its band, and what to make of it.

    Returns
    -------
    value, ceiling, reading : str
        A value is never shown without its ceiling.
    """
    if result.value is None:
        return "-", "-", f"not assessed: {result.reason}"
    unit = "" if result.unit is None else f" {result.unit}"
    interval = "no interval" if result.lo is None else f"{short(result.lo)} to {short(result.hi)}"
    value = f"{short(result.value)}{unit} ({interval})"
    ceiling = f"{short(result.ceiling)} ({short(result.ceiling_lo)} to {short(result.ceiling_hi)})"
    reading = "differs" if result.flagged else "as a fresh real sample"
    return value, ceiling, reading if result.note is None else f"{reading}; {result.note}"


def table_html(evaluations: dict[str, Evaluation]) -> str:
    """Return evaluations by title as one HTML table of whole cohorts, for notebooks; no title for a single one."""
    heads = ["", "metric", "value (95 % interval)", "two real samples (95 % band)", "reading"]
    rows = []
    for title, evaluation in evaluations.items():
        for result in headline(evaluation):
            name = result.title if not result.part else f"{result.title}: {result.part}"
            rows.append([title or result.block, name, *shown(result)])
    notes = {note: None for evaluation in evaluations.values() for note in evaluation.notes}
    return html_table(heads, rows, notes)


def headline(evaluation: Evaluation) -> list[MetricResult]:
    """Return the results for all patients: of the whole cohort, or by part for metrics that only have parts."""
    everyone = [result for result in evaluation.results if not result.stratum]
    with_whole = {result.metric for result in everyone if not result.part}
    return [result for result in everyone if not result.part or result.metric not in with_whole]


def short(value: float | None) -> str:
    """Return a number with three digits, or all before the point; "-" for None."""
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
