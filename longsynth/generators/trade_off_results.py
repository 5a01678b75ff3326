"""What a trade-off study found: quality and attack risk by arm and seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from longsynth.budget import SMALLER_IS_STRONGER
from longsynth.findings import findings_text, html_table, read_findings, results_frame

PRIVATE, CLIP_ONLY, NO_PRIVACY, MARGINS = "private", "clip only", "no privacy", "margins only"


@dataclass(frozen=True)
class Measure:
    """One measure: what it is called, whether it is quality or risk, which way is better, and its best value."""

    title: str
    side: Literal["quality", "risk"]
    better: Literal["lower", "higher"]
    best: float | None


MEASURES = {
    "likelihood_gain": Measure("Held-out log-likelihood over exact margins, nats a patient", "quality", "higher", None),
    "detect_patient": Measure("Patients told from real ones, AUC", "quality", "lower", 0.5),
    "detect_transition": Measure("Pairs of visits told from real ones, AUC", "quality", "lower", 0.5),
    "auto_lag1": Measure("Error of autocorrelation", "quality", "lower", 0.0),
    "corr_lag1": Measure("Error of correlation with the visit before", "quality", "lower", 0.0),
    "km_area": Measure("Area between Kaplan-Meier curves", "quality", "lower", 0.0),
    "mia_auc": Measure("Members told by the nearest synthetic patient, AUC", "risk", "lower", 0.5),
    "linkage_risk": Measure("Risk that two parts of a record are linked", "risk", "lower", 0.0),
}
COLUMNS: dict[str, Any] = {
    "arm": pl.String,
    "epsilon": pl.Float64,
    "seed": pl.Int64,
    "measure": pl.String,
    "value": pl.Float64,
}


@dataclass(frozen=True)
class TradeOffRow:
    """One measure of one fit.

    Attributes
    ----------
    arm : {"private", "clip only", "no privacy", "margins only"}
        "clip only" has clipping without noise, "no privacy" neither, "margins only" the exact margins and no training.
    epsilon : float or None
        Of the private arm. Smaller epsilon is stronger privacy.
    seed : int
        Of starting weights and draws; noise and samples differ anyway.
    measure : str
        A name in `MEASURES`.
    value : float or None
        None where it cannot be computed for these cohorts.
    """

    arm: str
    epsilon: float | None
    seed: int
    measure: str
    value: float | None


@dataclass(frozen=True)
class TradeOff:
    """What quality and what attack risk each epsilon gives, on the real patients at hand.

    Attributes
    ----------
    rows : tuple of TradeOffRow
        One a fit and measure.
    delta : float
        Of all private fits.
    n_train, n_holdout : int
        Patients fitted, and held out for the measures.
    version : str
        Of longsynth.
    """

    rows: tuple[TradeOffRow, ...]
    delta: float
    n_train: int
    n_holdout: int
    version: str

    @property
    def epsilon_spent(self) -> float:
        """What the private fits cost together: the sum of their epsilons. The other arms have no guarantee at all."""
        return float(sum(epsilon for epsilon, _ in self._private_fits))

    @property
    def delta_spent(self) -> float:
        """The sum of the deltas of the private fits, which belongs to that of their epsilons."""
        return self.delta * len(self._private_fits)

    @property
    def _private_fits(self) -> set[tuple[float, int]]:
        return {(row.epsilon, row.seed) for row in self.rows if row.epsilon is not None}

    def __repr__(self) -> str:
        epsilons = sorted({row.epsilon for row in self.rows if row.epsilon is not None})
        seeds = len({row.seed for row in self.rows})
        return f"TradeOff(epsilon {', '.join(f'{one:g}' for one in epsilons)}; {seeds} seeds)"

    def frame(self) -> pl.DataFrame:
        """Return one row a fit and measure: the attributes of `TradeOffRow`."""
        return results_frame(self.rows, COLUMNS)

    def summary(self) -> pl.DataFrame:
        """Return mean and standard deviation over seeds.

        Returns
        -------
        polars.DataFrame
            ``arm``, ``epsilon``, ``measure``, ``mean``, ``sd`` (null for one seed), ``n_seeds``, and of the measure
            ``title``, ``side`` (quality or risk), ``better`` (lower or higher) and ``best`` (null: none).
        """
        about = pl.DataFrame(
            [(name, one.title, one.side, one.better, one.best) for name, one in MEASURES.items()],
            schema={
                "measure": pl.String,
                "title": pl.String,
                "side": pl.String,
                "better": pl.String,
                "best": pl.Float64,
            },
            orient="row",
        )
        value = pl.col("value")
        grouped = self.frame().group_by("arm", "epsilon", "measure", maintain_order=True)
        found = grouped.agg(mean=value.mean(), sd=value.std(), n_seeds=value.count())
        return found.join(about, on="measure", how="left", maintain_order="left")

    def to_json(self) -> str:
        """Return the study as a JSON text, the same for the same study."""
        return findings_text(self)

    @classmethod
    def from_json(cls, text: str) -> TradeOff:
        """Return the study that `to_json` wrote.

        Raises
        ------
        ConfigError
            If the text is no such JSON, or of another format.
        """

        def build(document: dict[str, Any]) -> TradeOff:
            rows = tuple(TradeOffRow(**row) for row in document.pop("rows"))
            document.pop("format")
            return cls(rows=rows, **document)

        return read_findings(text, "trade-off", build)

    def warning(self) -> str:
        """Return what must be said beside every number of the study."""
        return (
            "Internal: these numbers are computed on real patients and are outside any guarantee. The private fits "
            f"together cost epsilon = {self.epsilon_spent:g} and delta = {self.delta_spent:g}, their sums; the other "
            "arms have no guarantee at all. An epsilon that is chosen by looking at them was chosen by looking at the "
            "patients. "
            f"{SMALLER_IS_STRONGER}"
        )

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return heads and rows of texts: one row an arm, mean and standard deviation of every measure."""
        found = self.summary()
        names = [name for name in MEASURES if name in set(found["measure"])]
        arms = found.select("arm", "epsilon").unique(maintain_order=True).rows()
        cells = {(row["arm"], row["epsilon"], row["measure"]): row for row in found.iter_rows(named=True)}
        rows = [[_name(*arm), *(_text(cells.get((*arm, name))) for name in names)] for arm in arms]
        return ["arm", *names], rows

    def _repr_html_(self) -> str:
        heads, rows = self.table()
        return html_table(heads, rows, [self.warning()])


def _name(arm: str, epsilon: float | None) -> str:
    return arm if epsilon is None else f"epsilon {epsilon:g}"


def _text(cell: dict[str, Any] | None) -> str:
    if cell is None or cell["mean"] is None:
        return "-"
    spread = "" if cell["sd"] is None or math.isnan(cell["sd"]) else f" ({cell['sd']:.3f})"
    return f"{cell['mean']:.3f}{spread}"
