"""The report: one HTML file that needs nothing else, for a screen, a phone and paper."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from longsynth.budget import HEADS
from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.results import Evaluation
from longsynth.exceptions import ConfigError
from longsynth.report import sections
from longsynth.report.comparison import Comparison
from longsynth.report.figures import (
    draw_correlations,
    draw_forest,
    draw_lag_correlations,
    draw_quality_privacy,
    draw_survival,
    draw_trajectories,
    draw_visits,
    image,
)
from longsynth.report.profiles import Verdict, accepted
from longsynth.report.sections import Texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SINGLE = "synthetic"
FIGURES_OF_MOST = 3
RIBBONS = (
    "Trajectories by time since baseline. Line: median; ribbon: 10 % to 90 % of the values seen in a time bin; bins "
    "with fewer than ten values are left out."
)
CURVES = "Kaplan-Meier curves, every event type counted as the event; below, how many patients are still followed."
VISITS = "How many visits, how far apart, and how often each channel is observed."
CORRELATIONS = (
    "Spearman correlations between channels: of the patients' means (above) and of the deviations from them (below). "
    "Numbers below 0.05 are left out."
)
LAG = "Spearman correlations of a channel (row) with the channels at the next visit (column)."
FOREST = (
    "{}: distance from two real samples. Grey: where 95 % of real samples lie. Filled marker: differs. "
    "Black tick: limit of the use case."
)
PLANE = "Quality and privacy of each cohort. There is no best point: what to give up for what is for the user to say."


def write_report(
    results: Comparison | Evaluation,
    path: str | Path,
    *,
    synthetic: Cohort | Mapping[str, Cohort],
    train: Cohort,
    holdout: Cohort | None = None,
) -> Path:
    """Write a report on one or several synthetic cohorts: one HTML file that loads nothing from anywhere.

    Parameters
    ----------
    results : Comparison or Evaluation
        What is reported; with a verdict if it is a comparison made for a use case, and with attacks if it has privacy
        assessments.
    path : str or Path
        File to write; its folder exists. An existing file is replaced.
    synthetic : Cohort or mapping of str to Cohort
        What was evaluated, for a comparison by the same names.
    train, holdout : Cohort
        The real patients they were evaluated against; ``holdout`` is None if there was none.

    Returns
    -------
    Path
        The file. The same arguments give the same bytes.

    Raises
    ------
    ConfigError
        If the names of the cohorts are not those of the comparison.
    """
    if isinstance(results, Evaluation):
        results = Comparison({SINGLE: results})
    cohorts = {SINGLE: synthetic} if isinstance(synthetic, Cohort) else dict(synthetic)
    if set(results.evaluations) != set(cohorts):
        raise ConfigError(f"the results are of {', '.join(results.evaluations)}; the cohorts are {', '.join(cohorts)}")
    path = Path(path)
    path.write_text(_page(results, cohorts, train, holdout), encoding="utf-8")
    return path


def _page(results: Comparison, synthetic: Mapping[str, Cohort], train: Cohort, holdout: Cohort | None) -> str:
    evaluations, privacy = results.evaluations, results.privacy
    verdict = None if results.use_case is None else results.verdict()
    first = next(iter(evaluations.values())).provenance
    real = {"real, held out": holdout} if holdout is not None else {"real, train": train}
    everyone = {"real, train": train} | real | dict(synthetic)
    environment = Environment(
        loader=PackageLoader("longsynth", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        title="Synthetic patients beside real ones",
        contents=_contents(verdict is not None),
        several=len(evaluations) > 1,
        compared=sections.compared(evaluations, everyone),
        verdict=None if verdict is None else sections.judged(verdict, evaluations),
        blocks=[_with_forest(block, evaluations, verdict) for block in sections.blocks(evaluations)],
        pictures=list(_pictures(next(iter(real.items())), synthetic, first.arm)),
        repairs={
            name: sections.repairs(cohort, next(iter(real.values())), first.seed) for name, cohort in synthetic.items()
        },
        quantiles=sections.quantiles(real | dict(synthetic)),
        ledgers=results.ledgers,
        ledger_heads=HEADS,
        privacy={name: sections.attacked(frame) for name, frame in privacy.items()},
        plane=_drawn(lambda: draw_quality_privacy(evaluations, privacy), PLANE) if privacy else None,
        not_tested=sections.not_tested(evaluations, privacy),
    )


def _contents(with_verdict: bool) -> list[tuple[str, str]]:
    heads = {
        "compared": "What was compared",
        "verdict": "Verdict",
        "results": "Results",
        "pictures": "Pictures",
        "repairs": "Repair list",
        "quantiles": "Quantiles",
        "privacy": "Privacy",
        "untested": "What was not tested",
    }
    return [(id, head) for id, head in heads.items() if with_verdict or id != "verdict"]


def _with_forest(block: Texts, evaluations: Mapping[str, Evaluation], verdict: Verdict | None) -> Texts:
    limits = {} if verdict is None else _limits(verdict, evaluations)
    drawn = _drawn(lambda: draw_forest(evaluations, block=block["name"], limits=limits), FOREST.format(block["title"]))
    return block | {"forest": drawn}


def _limits(verdict: Verdict, evaluations: Mapping[str, Evaluation]) -> dict[str, list[float]]:
    """Return by metric the finite limits of the use case; a band is drawn anyway."""
    found: dict[str, list[float]] = {}
    for check in verdict.profile.checks.values():
        for evaluation in evaluations.values() if check.rule in ("excess", "value") else ():
            for result in evaluation.results:
                if result.metric in check.metrics and not result.part and not result.stratum:
                    found[result.metric] = [limit for limit in accepted(check, result) if math.isfinite(limit)]
    return found


def _pictures(real: tuple[str, Cohort], synthetic: Mapping[str, Cohort], arm: str | None) -> Iterator[Texts]:
    """Yield every picture that these cohorts allow."""
    side = dict([real, *list(synthetic.items())[:FIGURES_OF_MOST]])
    drawings: list[tuple[Callable[[], Figure], str]] = [
        (lambda: draw_trajectories(side, by=arm), RIBBONS),
        (lambda: draw_survival(side, by=arm), CURVES),
        (lambda: draw_visits(side), VISITS),
    ]
    for name in list(synthetic)[:FIGURES_OF_MOST]:
        pair = real[1], synthetic[name]
        drawings.append((partial(draw_correlations, *pair), f"{name}. {CORRELATIONS}"))
        drawings.append((partial(draw_lag_correlations, *pair), f"{name}. {LAG}"))
    for draw, caption in drawings:
        drawn = _drawn(draw, caption)
        if drawn is not None:
            yield drawn


def _drawn(draw: Callable[[], Figure], caption: str) -> Texts | None:
    """Return a picture inside the page, or None if there is nothing to draw."""
    try:
        kind, content = image(draw())
    except ConfigError:
        return None
    return {"source": f"data:{kind};base64,{b64encode(content).decode()}", "caption": caption}
