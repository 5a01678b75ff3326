"""From the trials of an attack to its result: rates, risk, power, and when there is nothing to conclude."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, norm

from longsynth.exceptions import NotComputableError
from longsynth.privacy import ranking, rates
from longsynth.privacy.base import Outcome, Trials
from longsynth.privacy.rates import Estimate
from longsynth.privacy.results import LEVEL, NOT_ASSESSED, AttackResult

Floats = NDArray[np.float64]

UNDERPOWERED = 0.2


def judged(outcome: Outcome, about: AttackResult, rng: np.random.Generator) -> AttackResult:
    """Return the result of an outcome.

    Parameters
    ----------
    outcome : Outcome
        What an attack, or a part of it, came to.
    about : AttackResult
        Says which attack, attacker and patients these are.
    rng : numpy.random.Generator
        Source of the patient bootstrap.

    Returns
    -------
    AttackResult
        Not assessed if the outcome has a reason, if there are no trials, or if the attack succeeds on every control
        patient; else with a p-value, also where there is little power: see `adjusted`.
    """
    about = replace(about, part=outcome.part, measure=outcome.measure, n_requested=outcome.n_requested)
    if outcome.reason is not None:
        return unassessed(about, outcome.reason)
    about = replace(
        about,
        n_members=len(np.unique(outcome.members.target)),
        n_control=len(np.unique(outcome.control.target)),
        n_draws=len(np.unique(outcome.members.draw)),
        naive_rate=outcome.naive,
        direct_rate=outcome.direct,
    )
    if not about.n_members or not about.n_control:
        return unassessed(about, "no member, or no control patient, could be attacked")
    try:
        values = {"rate": _of_rates, "score": _of_scores, "closeness": _of_closeness}[outcome.measure](outcome, rng)
    except NotComputableError as error:
        return unassessed(about, str(error))
    return replace(about, **values)


def unassessed(about: AttackResult, reason: str) -> AttackResult:
    """Return the result of an attack that tells nothing, and why."""
    nothing = dict.fromkeys(("risk", "risk_lo", "risk_hi", "p_value", "p_adjusted", "flagged"))
    return replace(about, state=NOT_ASSESSED, reason=reason, **nothing)  # type: ignore[arg-type]


def adjusted(results: Sequence[AttackResult]) -> tuple[AttackResult, ...]:
    """Return results with flags, their p-values adjusted by Holm for all that could have been flagged.

    Each attack has an equal share of the level, split equally among its results, so that one with many parts does not
    drown the others. A result without a flag is not assessed if a risk of 0.2 would not have been found with a chance
    of 80 %. It counts in the adjustment all the same: it would have been shown, had its p-value been small.
    """
    tested = [result for result in results if result.p_value is not None]
    n_results = Counter(result.attack for result in tested)
    weights = np.array([1 / n_results[result.attack] for result in tested])
    left = iter(rates.holm(np.array([result.p_value for result in tested]), weights).tolist())
    found = []
    for result in results:
        p = None if result.p_value is None else next(left)
        one = replace(result, p_adjusted=p, flagged=None if p is None else p <= LEVEL)
        found.append(one if one.flagged is not False else _without_power(one))
    return tuple(found)


def _of_rates(outcome: Outcome, rng: np.random.Generator) -> dict[str, Any]:
    members, control = _patients(outcome.members), _patients(outcome.control)
    found = rates.residual(members, control, rng)
    draws = [_risk_of_draw(outcome, draw) for draw in np.unique(outcome.members.draw)]
    risk = rates.pooled([Estimate(value, value, value) for value in draws], found.risk)
    return {
        **_named("attack", found.attack, "attack_rate"),
        **_named("control", found.control, "control_rate"),
        **_named("difference", rates.newcombe(found.attack, found.control)),
        **_named("risk", risk),
        "p_value": found.p_value,
        "minimum_detectable_risk": found.minimum_detectable_risk,
    }


def _of_scores(outcome: Outcome, rng: np.random.Generator) -> dict[str, Any]:
    draws = [
        _ranked(_patients(outcome.members, draw), _patients(outcome.control, draw), rng)
        for draw in np.unique(outcome.members.draw)
    ]
    area, tpr = (_mean_of([draw[name] for draw in draws]) for name in ("auc", "tpr"))
    n, m = len(_patients(outcome.members)), len(_patients(outcome.control))
    fpr = ranking.false_positive_rate(m)
    risk = Estimate(*(float(rates.excess(np.array(value), np.array(fpr))) for value in tpr))
    attack, control = rates.wilson(tpr.value, n), rates.wilson(fpr, m)
    return {
        **_named("auc", area),
        **_named("tpr", tpr),
        "fpr": fpr,
        **_named("attack", attack, "attack_rate"),
        **_named("control", control, "control_rate"),
        **_named("difference", rates.newcombe(attack, control)),
        **_named("risk", risk),
        "p_value": min(1.0, len(draws) * min(draw["p_value"] for draw in draws)),
        "minimum_detectable_risk": rates.minimum_detectable_risk(n, m, fpr),
    }


def _of_closeness(outcome: Outcome, rng: np.random.Generator) -> dict[str, Any]:
    """Return the share of patients whose p-value is small even among so many: copied, all of them, at 97.5 %."""
    n_draws = len(np.unique(outcome.members.draw))
    members, control = (_smallest(trials, n_draws) for trials in (outcome.members, outcome.control))
    found = [(rates.holm(side) <= LEVEL).astype(float) for side in (members, control)]
    if found[1].any():
        raise NotComputableError("control patients look copied too: patients are too alike to tell a single copy")
    result = rates.residual(found[0], found[1], rng)
    risk = Estimate(result.risk.value, result.risk.value, result.risk.high)
    return {
        **_named("attack", result.attack, "attack_rate"),
        **_named("control", result.control, "control_rate"),
        **_named("difference", rates.newcombe(result.attack, result.control)),
        **_named("risk", risk),
        "p_value": float(rates.holm(members).min()),
        "minimum_detectable_risk": 1 / len(members),
    }


def _ranked(members: Floats, control: Floats, rng: np.random.Generator) -> dict[str, Any]:
    """Return area and true-positive rate of the scores, and the p-value of the better of the two."""
    area = ranking.auc(members, control)
    spread = ranking.resampled_true_positive_rate(members, control, rng)
    tpr = rates.with_interval(ranking.true_positive_rate(members, control), spread)
    n, m = len(members), len(control)
    rank = max(1, int(ranking.false_positive_rate(m) * (m + 1) + 1e-9))
    n_above = int((members > np.sort(control)[-rank]).sum())
    at_top = float(betabinom.sf(n_above - 1, n, rank, m + 1 - rank))
    on_average = float(norm.sf((area.value - 0.5) / np.sqrt((n + m + 1) / (12 * n * m))))
    return {"auc": area, "tpr": tpr, "p_value": min(1.0, 2 * min(at_top, on_average))}


def _mean_of(draws: list[Estimate]) -> Estimate:
    """Return the mean over draws; patients are the same in each, so that their part of the error does not shrink."""
    return rates.pooled(draws, Estimate(*np.mean(draws, axis=0).tolist()))


def _risk_of_draw(outcome: Outcome, draw: int) -> float:
    means = [np.array(_patients(trials, draw).mean()) for trials in (outcome.members, outcome.control)]
    return float(rates.excess(means[0], np.minimum(means[1], 1 - 1e-9)))


def _patients(trials: Trials, draw: int | None = None) -> Floats:
    kept = slice(None) if draw is None else trials.draw == draw
    return rates.patient_means(trials.success[kept], trials.target[kept])


def _smallest(trials: Trials, n_draws: int) -> Floats:
    """Return each patient's smallest p-value, adjusted for the number of draws."""
    patients, rows = np.unique(trials.target, return_inverse=True)
    smallest = np.ones(len(patients))
    np.minimum.at(smallest, rows, trials.success)
    return np.minimum(smallest * n_draws, 1.0)


def _without_power(result: AttackResult) -> AttackResult:
    detectable = result.minimum_detectable_risk or 0.0
    if detectable <= UNDERPOWERED:
        return result
    needed = rates.patients_needed(UNDERPOWERED, min(result.control_rate or 0.0, 0.99))
    reason = (
        f"too few patients: a risk below {detectable:.2f} would go unnoticed; about {needed:,} members and as many "
        f"control patients would show a risk of {UNDERPOWERED:g}"
    )
    return replace(unassessed(result, reason), p_value=result.p_value, p_adjusted=result.p_adjusted)


def _named(name: str, estimate: Estimate, value: str | None = None) -> dict[str, float]:
    return {value or name: estimate.value, f"{name}_lo": estimate.low, f"{name}_hi": estimate.high}
