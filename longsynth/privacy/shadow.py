"""Whether a synthesizer gives a patient away: fitted many times, with and without that patient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import ConfigError
from longsynth.privacy.base import Outcome, Release, Trials
from longsynth.privacy.judge import adjusted, judged
from longsynth.privacy.records import records_of
from longsynth.privacy.results import AttackResult
from longsynth.privacy.space import nearest, standardised
from longsynth.privacy.worst_case import worst_cases
from longsynth.seeding import child_seed, stream

FitAndSample = Callable[[Cohort, int, int], Cohort]
Floats = NDArray[np.float64]

FEWEST_SHADOWS = 8
_TINY = 1e-6
_KNOWN = "the whole record, the code that fits the synthesizer, and other patients of the same population"


def shadow_membership(
    fit_and_sample: FitAndSample, train: Cohort, n_targets: int = 5, n_shadows: int = 32, seed: int = 0
) -> AttackResult:
    """Learn from shadow synthesizers how a release looks with and without each of a few worst-case patients.

    Each shadow is fitted to a random half of the patients, in which each target is by a coin flip. For target i and
    shadow b the statistic is ``t = log d_k(i, S_b)``, the mean log distance to the five nearest synthetic patients; the
    score of a shadow is the log ratio of normal densities of t with and without i, estimated on the other shadows.
    Members are the pairs of target and shadow in which the target was fitted, control the others.

    Parameters
    ----------
    fit_and_sample : callable
        Of a cohort to fit, a number of patients to draw, and a seed; returns the synthetic cohort.
    train : Cohort
        The patients to draw halves of; the targets are the most isolated of them.
    n_targets : int
        How many.
    n_shadows : int
        How often to fit, at least 8.
    seed : int
        Halves, and the seeds given to ``fit_and_sample``.

    Returns
    -------
    AttackResult
        Membership by scores, for the subset "isolated". It says how much the procedure of fitting gives away, not a
        release at hand. ``n_members`` and ``n_control`` count pairs of target and shadow.

    Raises
    ------
    ConfigError
        If there are fewer than 8 shadows, no target, or fewer than 20 patients.

    References
    ----------
    Carlini et al. (2022), Membership inference attacks from first principles, doi:10.1109/SP46214.2022.9833649. Stadler
    et al. (2022), Synthetic data: anonymisation groundhog day, https://www.usenix.org/conference/usenixsecurity22.
    """
    if n_shadows < FEWEST_SHADOWS or n_targets < 1 or train.n_patients < 20:
        raise ConfigError(f"shadow models need {FEWEST_SHADOWS} shadows, a target and 20 patients or more")
    records = records_of(train)
    targets = _most_isolated(Release((records,), records, records), n_targets, seed)
    inside = stream(seed, "shadow", "inside").random((n_shadows, n_targets)) < 0.5
    statistic = np.array(
        [
            _closeness(fit_and_sample, train, records.rows, targets, inside[shadow], child_seed(seed, "shadow", shadow))
            for shadow in range(n_shadows)
        ]
    )
    scores = np.column_stack([_scores(statistic[:, i], inside[:, i]) for i in range(n_targets)])
    about = AttackResult(
        "shadow_membership", "membership", "A patient's membership told by synthesizers fitted with and without them",
        "", "shadow", _KNOWN, "isolated", risk=0.0,
    )  # fmt: skip
    outcome = Outcome("", _trials(scores[inside]), _trials(scores[~inside]), n_shadows * n_targets, measure="score")
    return adjusted([judged(outcome, about, stream(seed, "shadow", "judge"))])[0]


def _most_isolated(release: Release, n: int, seed: int) -> NDArray[np.int64]:
    points = standardised(release.train, release.train)
    isolated = worst_cases(release, seed)["isolated"].member_targets
    candidates = np.arange(len(points)) if isolated is None else isolated
    distances = nearest(points[candidates], points, 1, own=candidates)[:, 0]
    return candidates[np.argsort(-distances, kind="stable")[:n]]


def _closeness(
    fit_and_sample: FitAndSample,
    train: Cohort,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    inside: NDArray[np.bool_],
    seed: int,
) -> Floats:
    """Return how close the release of one shadow comes to each target, shape (targets,)."""
    others = np.setdiff1d(np.arange(train.n_patients), targets)
    half = stream(seed, "half").permutation(others)[: train.n_patients // 2 - int(inside.sum())]
    chosen = rows[np.concatenate([half, targets[inside]])]
    fitted = train.select(train.static[train.schema.patient_id].gather(pl.Series(np.sort(chosen))))
    made = records_of(fit_and_sample(fitted, fitted.n_patients, seed))
    points = standardised(records_of(train), made)[targets]
    distances = nearest(points, standardised(made, made), min(5, made.n_patients))
    return np.asarray(np.log(distances + _TINY).mean(axis=1))


def _scores(statistic: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return for each shadow the log ratio of densities with and without the target, from the other shadows."""
    scores = np.zeros(len(statistic))
    for shadow in range(len(statistic)):
        others = np.arange(len(statistic)) != shadow
        groups = [statistic[others & inside], statistic[others & ~inside]]
        if min(map(len, groups)) < 2:
            continue
        spread = float(np.sqrt(np.mean([group.var(ddof=1) for group in groups]))) + _TINY
        with_it, without = (float(norm.logpdf(statistic[shadow], group.mean(), spread)) for group in groups)
        scores[shadow] = with_it - without
    return scores


def _trials(scores: Floats) -> Trials:
    return Trials(scores, np.arange(len(scores)), np.zeros(len(scores), dtype=np.int64))
