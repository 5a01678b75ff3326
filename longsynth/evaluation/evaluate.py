"""The judge: one or several synthetic cohorts against a real population, every number beside its ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console
from rich.progress import Progress

from longsynth import __version__
from longsynth.cohort.cohort import Cohort
from longsynth.evaluation import metrics as _registered  # noqa: F401  (importing it registers the metrics)
from longsynth.evaluation.base import METRICS, Metric, Setting
from longsynth.evaluation.entry import Sources, check_arm, check_cohorts, prepare_sources
from longsynth.evaluation.measuring import Advance, Job, Row, run
from longsynth.evaluation.results import Evaluation, MetricResult, Provenance
from longsynth.evaluation.splits import CHEAP, COSTLY, STRATUM, TAIL, Effort
from longsynth.evaluation.strata import holm, members, strata_names, stratum_masks
from longsynth.exceptions import ConfigError

CHANCE = (
    "Rows are flagged one by one: of those that can only be worse in one direction about 1 in 40 is flagged by chance "
    "alone, of the others 1 in 20. Strata are flagged after Holm's adjustment."
)


def evaluate(
    synthetic: Cohort,
    *,
    train: Cohort,
    holdout: Cohort | None = None,
    metrics: Sequence[str | Metric] | None = None,
    arm: str | None = None,
    strata: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Judge whether a synthetic cohort is as good as a fresh sample of the real population.

    For each metric: its value between synthetic patients and the holdout, the same between two samples of real
    patients (the ceiling), and the distance of the two in standard deviations of the latter.

    Parameters
    ----------
    synthetic : Cohort
        Made by any tool; under the schema of ``train`` or one that agrees with it.
    train : Cohort
        Real patients that the synthetic ones were made from.
    holdout : Cohort, optional
        Other real patients. None: reference and ceiling come from ``train``, so that a copy of it looks perfect; the
        evaluation says so.
    metrics : sequence of str or Metric, optional
        Names, or metrics of your own. None: all registered ones.
    arm : str, optional
        Static attribute with the treatment arm. None: metrics by arm are not assessed.
    strata : sequence of str, optional
        Static attributes within whose levels the metrics that allow it are computed as well; numbers are cut into
        thirds. None: all binary and categorical ones of at most 10 levels. Levels with fewer than 30 patients in one of
        the cohorts are not assessed.
    seed : int
        Of all sub-samples and metrics.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Evaluation
        One result a metric, part and stratum.

    Raises
    ------
    CohortError
        If the cohorts do not fit together, the holdout shares patients with train, or the synthetic patients are the
        real ones.
    ConfigError
        If what is given is no cohort, or a metric, arm or stratum does not exist.

    Notes
    -----
    The value compares equal numbers of patients: n is the smallest of the synthetic cohort, the holdout, half of all
    real patients, and 1,000 (5,000 for most metrics of survival and trials, 400 or fewer for those that train a
    detector or compare all pairs, 500 in strata). Where a cohort has more, the value is the mean over several random
    sub-samples. The ceiling is the same statistic over random splits of all real patients into two samples of n: were
    the synthetic cohort a fresh real sample, its value would lie beyond the 95 % band on each side in 2.5 % of cases or
    fewer. The interval of the value comes from half-samples of the patients. Results depend on the patients' data and
    the seed, not on ids, the order of rows, units, or the number of threads.

    References
    ----------
    Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, doi:10.48550/arXiv.1610.06545, for judging a
    sample by what tells it from a real one; Shao and Wu (1989), doi:10.1214/aos/1176347263, for the interval.
    """
    options = {"metrics": metrics, "arm": arm, "strata": strata, "seed": seed, "progress": progress}
    return evaluate_all({"": synthetic}, train=train, holdout=holdout, **options)[""]  # type: ignore[arg-type]


def evaluate_all(
    synthetic: Mapping[str, Cohort],
    *,
    train: Cohort,
    holdout: Cohort | None = None,
    metrics: Sequence[str | Metric] | None = None,
    arm: str | None = None,
    strata: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Evaluation]:
    """Judge several synthetic cohorts at once; cohorts of equal size share one ceiling.

    Parameters
    ----------
    synthetic : mapping of str to Cohort
        By name; everything else as in `evaluate`.
    """
    check_cohorts([*synthetic.items(), ("train", train), *([] if holdout is None else [("holdout", holdout)])])
    check_arm(train, arm)
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be at least 0")
    chosen = _chosen(metrics)
    names = strata_names(train.schema, strata)
    sources = prepare_sources(synthetic, train, holdout)
    jobs = [*_whole(sources, chosen), *_by_stratum(sources, chosen, names)]
    setting = Setting(seed, arm)
    rows: dict[str, list[Row]] = {name: [] for name in synthetic}
    with _counting(sum(job.n_calls for job in jobs), progress) as advance:
        for job in jobs:
            for name, found in run(job, setting, advance).items():
                rows[name] += found
    order = {metric.name: place for place, metric in enumerate(chosen)}
    has = {"visits": train.schema.visit_time, "terminal event": train.schema.terminal_event, "arm": arm}
    holds = tuple(part for part, value in has.items() if value is not None)
    made = Provenance(0, train.n_patients, None, arm, tuple(order), names, holds, seed, __version__)
    if holdout is not None:
        made = replace(made, n_holdout=holdout.n_patients)
    return {
        name: Evaluation(
            tuple(sorted(_adjusted(rows[name]), key=lambda result: (order[result.metric], result.stratum != ""))),
            replace(made, n_synthetic=cohort.n_patients),
            (*sources.notes[name], *_sampling_notes(rows[name]), CHANCE),
        )
        for name, cohort in synthetic.items()
    }


def effort_of(metric: Metric) -> Effort:
    """Return what is spent on a metric of whole cohorts."""
    effort = COSTLY if metric.is_costly else CHEAP
    n_patients, n_draws = metric.most_patients or effort.n_patients, metric.n_draws or effort.n_draws
    return replace(effort, n_patients=n_patients, n_draws=n_draws)


def _chosen(metrics: Sequence[str | Metric] | None) -> list[Metric]:
    """Return the metrics that were asked for, each once; raise `ConfigError` if there are none, or two of one name."""
    asked: Iterable[str | Metric] = METRICS if metrics is None else metrics
    if isinstance(metrics, str):
        asked = [metrics]
    found: dict[str, Metric] = {}
    for one in asked:
        metric = METRICS[one] if isinstance(one, str) else one
        if found.setdefault(metric.name, metric) != metric:
            raise ConfigError(f"metrics: two of them are called {metric.name!r}; give each a name of its own")
    if not found:
        raise ConfigError("metrics: none is named; name at least one, or leave the argument out for all")
    return list(found.values())


def _whole(sources: Sources, metrics: Sequence[Metric]) -> Iterator[Job]:
    """Yield a job for each effort that some of the metrics take."""
    groups: dict[Effort, list[Metric]] = {}
    for metric in metrics:
        groups.setdefault(effort_of(metric), []).append(metric)
    for effort, chosen in groups.items():
        cohorts = (sources.synthetic, sources.reference, sources.pool)
        yield Job("", sources.pool.schema, *cohorts, chosen, effort)


def _by_stratum(sources: Sources, metrics: Sequence[Metric], names: Sequence[str]) -> Iterator[Job]:
    chosen = [metric for metric in metrics if metric.by_stratum]
    if not chosen or not names:
        return
    real = sources.pool
    of_pool, of_reference = (stratum_masks(cohort, names, real) for cohort in (real, sources.reference))
    of_synthetic = {name: stratum_masks(cohort, names, real) for name, cohort in sources.synthetic.items()}
    for stratum in of_pool:
        synthetic = {name: members(cohort, of_synthetic[name][stratum]) for name, cohort in sources.synthetic.items()}
        reference, pool = members(sources.reference, of_reference[stratum]), members(real, of_pool[stratum])
        yield Job(stratum, real.schema, synthetic, reference, pool, chosen, STRATUM)


def _adjusted(rows: Sequence[Row]) -> list[MetricResult]:
    """Return the results, with the flags of a metric's strata adjusted for how many there are."""
    families: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        if row.result.stratum and row.result.value is not None:
            families.setdefault((row.result.metric, row.result.part), []).append(place)
    results = [row.result for row in rows]
    for places in families.values():
        level = 2 * TAIL if results[places[0]].worse == "both" else TAIL
        for place, is_rejected in zip(places, holm([rows[place].p_value for place in places], level), strict=True):
            results[place] = replace(results[place], flagged=is_rejected)
    return results


def _sampling_notes(rows: Sequence[Row]) -> Iterator[str]:
    """Say where sub-samples were compared instead of whole cohorts."""
    sampled: dict[tuple[int, int], dict[str, None]] = {}
    for row in rows:
        if row.result.n_draws > 1 and not row.result.stratum and row.result.n is not None:
            sampled.setdefault((row.result.n, row.result.n_draws), {})[row.result.metric] = None
    for (n, n_draws), metrics in sampled.items():
        yield f"sub-sampled: {n:,} patients a side, mean of {n_draws} draws, for {', '.join(metrics)}"


@contextmanager
def _counting(total: int, is_shown: bool) -> Iterator[Advance]:
    """Show a progress bar on standard error if asked to."""
    with Progress(console=Console(stderr=True), transient=True, disable=not is_shown) as progress:
        bar = progress.add_task("Comparing", total=total)
        yield lambda: progress.advance(bar)
