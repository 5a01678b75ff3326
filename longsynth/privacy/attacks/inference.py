"""Whether the synthetic cohort tells more about its members than about other patients of the same population."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from longsynth.exceptions import NotComputableError
from longsynth.privacy.base import SIDES, Outcome, Release, Side, Trials, attack, joined, not_assessed
from longsynth.privacy.coded import Coded
from longsynth.privacy.guessing import learned, of_the_nearest_patient
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.secrets import Secret, secrets_of
from longsynth.privacy.windows import Windows, all_stretches, chosen_starts, windows_at
from longsynth.seeding import child_seed, stream

ATTACKERS = ("by the nearest patient", "by a model")


@attack(criterion="inference", title="Unknown values of a patient guessed from the synthetic cohort")
def inference(release: Release, knowledge: Knowledge, seed: int) -> tuple[Outcome, ...]:
    """Guess what an attacker does not know of a patient from what he knows and the synthetic cohort.

    Secrets, each with two attackers who see the synthetic cohort only:

    - the next value of a channel (up to five, those observed most) after k known visits;
    - a static attribute (up to five) from k visits and the other known static attributes;
    - whether an event comes within the median time that synthetic patients are followed after the known visits;
      patients censored before are left out.

    By the nearest patient: the secret of the synthetic stretch of k visits with the least distance
    (`patient_distances`), ties at random. By a model: gradient-boosted trees of the known values, fitted to synthetic
    stretches (the median for numbers, the most probable level otherwise). Success: the level is right, or the number
    within 10 % of the interquartile range of the synthetic cohort. Naive: the synthetic median or most common level.
    Direct: the patient's last known value of the channel.

    Parameters
    ----------
    release : Release
        Draws, members and control.
    knowledge : Knowledge
        A secret attribute is never part of what is known.
    seed : int
        Targets, places, noise, ties and models.

    Returns
    -------
    tuple of Outcome
        A part for each secret and attacker. Higher success rates of members than of the control are leaks; what the
        control has beyond the naive guess is learned from the population, which is what synthetic data are for.

    Raises
    ------
    NotComputableError
        If nothing can be guessed.

    Notes
    -----
    The nearest patient shows copies, which a model averages away; the model shows what can be learned at best, so
    both are reported and neither is chosen by how well it predicts synthetic patients. Numbers are judged by absolute
    differences, so their sign does not matter.

    References
    ----------
    Article 29 Working Party (2014), Opinion 05/2014 on anonymisation techniques. Giomi et al. (2023), A unified
    framework for quantifying privacy risk in synthetic data, doi:10.56553/popets-2023-0055.
    """
    if not knowledge.known_channels(release.train.cohort.schema):
        raise NotComputableError("the attacker knows no channel")
    outcomes: list[Outcome] = []
    for group in _groups(release, knowledge):
        try:
            outcomes.extend(_attack_group(group, release, knowledge, seed))
        except NotComputableError as error:
            parts = [f"{secret.name}, {how}" for secret in group.secrets for how in ATTACKERS]
            outcomes.extend(not_assessed(part, str(error)) for part in parts)
    if all(outcome.reason is not None for outcome in outcomes):
        raise NotComputableError("; ".join(f"{outcome.part}: {outcome.reason}" for outcome in outcomes))
    return tuple(outcomes)


@dataclass(frozen=True, eq=False)
class Group:
    """Secrets that are guessed from the same stretches of visits.

    Attributes
    ----------
    name : str
        For random streams.
    secrets : list of Secret
        One or more.
    static : ndarray of int
        Known static columns; a secret among them is not known to whom guesses it.
    length : int
        Consecutive visits a target must have.
    """

    name: str
    secrets: list[Secret]
    static: NDArray[np.int64]
    length: int


@dataclass(frozen=True, eq=False)
class Targets:
    """What is known of stretches of visits of one side, and the records behind it."""

    windows: Windows
    first: NDArray[np.int64]
    real: Coded


def _groups(release: Release, knowledge: Knowledge) -> list[Group]:
    schema = release.train.cohort.schema
    names = list(schema.static)
    known = np.array([names.index(name) for name in knowledge.known_static(schema)], dtype=np.int64)
    secrets = secrets_of(release.coded_synthetic, knowledge.k)
    following = [secret for secret in secrets if secret.table == "next"]
    beside = [secret for secret in secrets if secret.table != "next"]
    groups = [Group("following", following, known, knowledge.k + 1), Group("beside", beside, known, knowledge.k)]
    return [group for group in groups if group.secrets]


def _attack_group(group: Group, release: Release, knowledge: Knowledge, seed: int) -> list[Outcome]:
    targets = {side: _targets(group, release, side, knowledge, seed) for side in SIDES}
    found: dict[tuple[str, str, Side], list[Trials]] = defaultdict(list)
    for draw, synthetic in enumerate(release.coded_synthetic):
        stretches = all_stretches(synthetic, knowledge.k)
        having = [stretches[~np.isnan(one.values(synthetic, stretches, knowledge.k))] for one in group.secrets]
        there = [i for i, some in enumerate(having) if some.size]
        secrets, having = [group.secrets[i] for i in there], [having[i] for i in there]
        if not secrets:
            continue
        models = [
            release.once(
                ("inference", knowledge, secret.name, draw, seed),
                partial(learned, secret, some, group.static, synthetic, knowledge, child_seed(seed, secret.name, draw)),
            )
            for secret, some in zip(secrets, having, strict=True)
        ]
        for side, some in targets.items():
            ties = child_seed(seed, "inference", group.name, side, draw)
            nearest = of_the_nearest_patient(secrets, having, some.windows, synthetic, ties)
            for secret, guess, model in zip(secrets, nearest, models, strict=True):
                found[secret.name, ATTACKERS[0], side].append(_trials(secret, guess, some, draw))
                if model is not None:
                    found[secret.name, ATTACKERS[1], side].append(_trials(secret, model(some.windows), some, draw))
    requested = release.n_targets * len(release.synthetic)
    return [_outcome(one, how, found, targets, knowledge, requested) for one in group.secrets for how in ATTACKERS]


def _targets(group: Group, release: Release, side: Side, knowledge: Knowledge, seed: int) -> Targets:
    real, rng = release.coded_real[side], stream(seed, "inference", group.name, side)
    patient, first = chosen_starts(real.records.n_visits, group.length, knowledge.which, rng)
    windows = windows_at(real, patient, first, knowledge, rng, static=group.static)
    visit = real.records.start[patient] + first
    has_secret = [~np.isnan(secret.values(real, visit, knowledge.k)) for secret in group.secrets]
    usable = windows.has_value & np.any(has_secret, axis=0)
    eligible = np.zeros(real.records.n_patients, dtype=bool)
    eligible[patient[usable]] = True
    kept = np.flatnonzero(usable & np.isin(patient, release.targets(side, eligible, rng)))
    return Targets(windows.take(kept), visit[kept], real)


def _trials(secret: Secret, guess: NDArray[np.float64], targets: Targets, draw: int) -> Trials:
    """Return the trials on targets that have the secret."""
    truth = secret.values(targets.real, targets.first, targets.windows.values.shape[1])
    has = ~np.isnan(truth)
    patient = targets.windows.patient[has]
    return Trials(secret.is_right(guess[has], truth[has]), patient, np.full(len(patient), draw))


def _outcome(
    secret: Secret,
    how: str,
    found: Mapping[tuple[str, str, Side], list[Trials]],
    targets: Mapping[Side, Targets],
    knowledge: Knowledge,
    requested: int,
) -> Outcome:
    part = f"{secret.name}, {how}"
    members, control = (found.get((secret.name, how, side)) for side in SIDES)
    if members is None or control is None:
        return not_assessed(part, "no synthetic patient has it" if how == ATTACKERS[0] else "too many levels to learn")
    if not (sum(map(len, members)) and sum(map(len, control))):
        return not_assessed(part, "a side has no target with a known value")
    naive = [_trials(secret, np.full(len(some.first), secret.typical), some, 0).success for some in targets.values()]
    last = [_trials(secret, guess, some, 0).success for some, guess in _last_values(secret, targets, knowledge)]
    direct = float(np.concatenate(last).mean()) if last else None
    return Outcome(part, joined(members), joined(control), requested, float(np.concatenate(naive).mean()), direct)


def _last_values(
    secret: Secret, targets: Mapping[Side, Targets], knowledge: Knowledge
) -> list[tuple[Targets, NDArray[np.float64]]]:
    """Return each side's last known values of the channel, the typical one where there is none; [] if not known."""
    schema = targets["members"].real.records.cohort.schema
    if secret.table != "next" or list(schema.channels)[secret.column] not in knowledge.known_channels(schema):
        return []
    result = []
    for some in targets.values():
        guess = np.full(len(some.first), secret.typical)
        for visit in range(knowledge.k):
            value = some.real.records.values[some.first + visit, secret.column]
            guess = np.where(np.isnan(value), guess, value)
        result.append((some, guess))
    return result
