"""All attacks on one release: who is attacked, by whom, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import longsynth.privacy.attacks  # noqa: F401  (registers the attacks)
from longsynth import __version__
from longsynth.cohort.alike import check_disjoint, n_shared_ids, under_schema
from longsynth.cohort.cohort import Cohort
from longsynth.cohort.columns import counted
from longsynth.exceptions import CohortError, ConfigError, NotComputableError
from longsynth.privacy.base import ATTACKS, Attack, Release, prepare_release, targets_for
from longsynth.privacy.exposure import exposure
from longsynth.privacy.judge import adjusted, judged, unassessed
from longsynth.privacy.knowledge import PRESETS, Knowledge, preset
from longsynth.privacy.nearest_records import nearest_records
from longsynth.privacy.records import Records
from longsynth.privacy.results import AttackResult, PrivacyAssessment, Provenance
from longsynth.privacy.worst_case import worst_cases
from longsynth.schema.types import Schema
from longsynth.seeding import stream

NO_HOLDOUT = (
    "no holdout was given: without patients who were not in train a leak cannot be told from what any attacker would "
    "guess; hold patients out before fitting (`longsynth split`)"
)
WHOLE_RECORD = ("membership", "duplicates")
ALL = "all"
N_WORKERS = 2


class Job(NamedTuple):
    """One attack by one attacker on one group of patients; no release: there is nobody to compare with."""

    attack: Attack
    knowledge: Knowledge
    subset: str
    release: Release | None


def assess_privacy(
    synthetic: Cohort | Sequence[Cohort],
    train: Cohort,
    holdout: Cohort | None = None,
    *,
    attacks: Sequence[str] | None = None,
    knowledge: str | Knowledge | Sequence[str | Knowledge] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> PrivacyAssessment:
    """Attack a synthetic cohort as someone would who wants to learn about the real patients behind it.

    Every attack is tried on members (train) and on control patients (holdout); what it achieves on members beyond the
    control is the risk. All attacks are repeated on the worst cases: isolated patients and those with rare levels.

    Parameters
    ----------
    synthetic : Cohort or sequence of Cohort
        Made from ``train``, by any tool; several draws of one synthesizer give the risk of a further draw.
    train : Cohort
        Members: the real patients it was made from. Their schema counts.
    holdout : Cohort, optional
        Control: real patients of the same population who were not used in any way to make ``synthetic``. None: nothing
        is assessed, since nothing could be concluded.
    attacks : sequence of str, optional
        Names of attacks. None: all but the slow ones.
    knowledge : str, Knowledge or sequence of them, optional
        What the attackers know beforehand: presets ("glance", "relative", "lab_feed", "full") or your own. None: all
        four presets. Attacks on membership and duplicates hold the whole record whatever is given: they use the first
        attacker who knows it, else "full".
    seed : int
        The same seed gives the same assessment, whatever the ids and the order of rows.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    PrivacyAssessment
        One result per attack, part, attacker and group of patients: "not assessed" with a reason wherever nothing can
        be concluded.

    Raises
    ------
    CohortError
        If a cohort does not fit the schema of ``train``, or train and holdout have patients in common, by id or data.
    ConfigError
        If there is no such attack or preset, or no synthetic cohort.

    Notes
    -----
    At most 1,000 patients a side and group are attacked, drawn at random, and fewer (down to 200) where a draw has more
    than 300,000 visits; duplicates look at all. A result without a
    flag says what could have been found (``minimum_detectable_risk``) and against whom; it does not say that a release
    is free of risk, or what the law makes of it. What was not tried is in ``notes``.

    References
    ----------
    Article 29 Working Party (2014), Opinion 05/2014 (WP216). Giomi et al. (2023), doi:10.56553/popets-2023-0055.
    """
    made, held_out = _checked(synthetic, train, holdout)
    chosen = chosen_attacks(attacks)
    attackers = _attackers(knowledge, train.schema)
    release = None if held_out is None else prepare_release(made, train, held_out, targets_for(made))
    if release is not None:
        _check_other_patients(release)
    jobs = list(_jobs(chosen, attackers, release, seed))
    results = _run_all(jobs, seed, progress)
    provenance = Provenance(
        n_synthetic=tuple(cohort.n_patients for cohort in made),
        n_train=train.n_patients,
        n_holdout=None if held_out is None else held_out.n_patients,
        attacks=tuple(attack.name for attack in chosen),
        knowledge={job.knowledge.name: job.knowledge.describe() for job in jobs},
        n_targets=targets_for(made),
        seed=seed,
        version=__version__,
    )
    return PrivacyAssessment(
        results=adjusted(results),
        provenance=provenance,
        exposure=_exposure(train, seed),
        diagnostics={} if release is None else nearest_records(release, seed),
        notes=tuple(_notes(made, train, held_out, chosen)),
    )


def chosen_attacks(names: Sequence[str] | None) -> list[Attack]:
    """Return the attacks of some names, each once; None: all but the slow ones.

    Raises
    ------
    ConfigError
        If there is no such attack, or no name.
    """
    if names is None:
        return [ATTACKS[name] for name in ATTACKS if not ATTACKS[name].is_slow]
    if isinstance(names, str):
        names = [names]
    if not names:
        raise ConfigError(f"there is no attack to try; choose from {', '.join(ATTACKS)}")
    return [ATTACKS[name] for name in dict.fromkeys(names)]


def _checked(
    synthetic: Cohort | Sequence[Cohort], train: Cohort, holdout: Cohort | None
) -> tuple[list[Cohort], Cohort | None]:
    """Return the draws and the holdout under the schema of train."""
    draws = [synthetic] if isinstance(synthetic, Cohort) else list(synthetic)
    if not draws:
        raise ConfigError("there is no synthetic cohort; give one, or several draws")
    names = ["synthetic"] if len(draws) == 1 else [f"synthetic draw {i + 1}" for i in range(len(draws))]
    made = [under_schema(draw, train.schema, name) for draw, name in zip(draws, names, strict=True)]
    if holdout is None:
        return made, None
    holdout = under_schema(holdout, train.schema, "holdout")
    check_disjoint(train, holdout)
    return made, holdout


def _check_other_patients(release: Release) -> None:
    """Raise if more records of the holdout stand in train than records of train do twice."""
    train, holdout = (_as_bytes(records) for records in (release.train, release.holdout))
    twins = 1 - len(set(train)) / len(train)
    members = set(train)
    n_shared = sum(record in members for record in holdout)
    if n_shared > 2 + 3 * twins * len(holdout):
        raise CohortError(
            f"holdout: {counted(n_shared, 'patient')} whose whole record is that of a train patient under another id; "
            "hold out other patients than those of train, before fitting"
        )


def _attackers(given: str | Knowledge | Sequence[str | Knowledge] | None, schema: Schema) -> list[Knowledge]:
    if given is None:
        given = PRESETS
    listed = [given] if isinstance(given, str | Knowledge) else list(given)
    if not listed:
        raise ConfigError(f"there is no attacker; choose from {', '.join(PRESETS)}")
    found = [preset(one, schema) if isinstance(one, str) else one for one in listed]
    if len({one.name for one in found}) < len(found):
        raise ConfigError(
            "two attackers have the same name; give each preset once, and each Knowledge a `name` of its own"
        )
    for one in found:
        one.known_channels(schema)
        one.known_static(schema)
    return found


def _jobs(attacks: list[Attack], attackers: list[Knowledge], release: Release | None, seed: int) -> Iterator[Job]:
    """Return what to try: all patients first, then the worst cases."""
    schema = None if release is None else release.train.cohort.schema
    groups: dict[str, Release | None] = {ALL: release}
    if release is not None:
        groups |= worst_cases(release, seed)
    whole = next((one for one in attackers if one.which == "all"), None)
    if whole is None:
        whole = preset("full", schema) if schema is not None else Knowledge(which="all", name="full")
    for subset, group in groups.items():
        for attack in attacks:
            for one in [whole] if attack.criterion in WHOLE_RECORD else attackers:
                yield Job(attack, one, subset, group)


def _run_all(jobs: list[Job], seed: int, progress: bool) -> list[AttackResult]:
    """Return the results of all jobs in their order; two run at a time, each in a thread that nothing else shares."""
    results: list[AttackResult] = []
    pool = ThreadPoolExecutor(N_WORKERS)
    try:
        with threadpool_limits(1), _counting(len(jobs), progress) as advance:
            for found in pool.map(partial(_run, seed=seed), jobs):
                results += found
                advance()
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def _run(job: Job, seed: int) -> list[AttackResult]:
    """Return the results of one job, one a part."""
    attack, one = job.attack, job.knowledge
    about = AttackResult(
        attack.name, attack.criterion, attack.title, "", one.name, one.describe(), job.subset, risk=0.0
    )
    if job.release is None:
        return [unassessed(about, NO_HOLDOUT)]
    try:
        with threadpool_limits(1):  # of this thread: sums of several threads differ in the last digit
            outcomes = attack.function(job.release, one, seed)
    except NotComputableError as error:
        return [unassessed(about, str(error))]
    path = ("judge", attack.name, one.name, job.subset)
    return [judged(outcome, about, stream(seed, *path, outcome.part)) for outcome in outcomes]


def _exposure(train: Cohort, seed: int) -> tuple[dict[str, Any], ...]:
    return tuple(exposure(train, seed=seed).to_dicts()) if train.schema.channels else ()


def _notes(made: list[Cohort], train: Cohort, holdout: Cohort | None, attacks: list[Attack]) -> Iterator[str]:
    if holdout is None:
        yield NO_HOLDOUT
    if len(made) == 1:
        yield "one synthetic cohort was attacked: another draw of the same synthesizer may leak more or less"
    largest = max(train.n_patients, 0 if holdout is None else holdout.n_patients)
    if largest > targets_for(made):
        yield f"at most {targets_for(made):,} patients a side were attacked, drawn at random; duplicates look at all"
    n_shared = sum(n_shared_ids(draw, real) for draw in made for real in (train, holdout) if real is not None)
    if n_shared:
        yield (
            f"{counted(n_shared, 'synthetic patient')} with the id of a real patient; ids were not used here, but a "
            "release should not carry them"
        )
    left = [name for name in ATTACKS if ATTACKS[name] not in attacks]
    if left:
        yield f"not tried: {', '.join(left)}"
    yield (
        "not tried: attackers who know the synthesizer or its training code, who train it again with and without a "
        "patient, or who know how often values occur in the population; a further training seed"
    )


@contextmanager
def _counting(total: int, progress: bool) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        task = bar.add_task("Attacking", total=total)
        yield lambda: bar.advance(task)


def _as_bytes(records: Records) -> list[bytes]:
    """Return the static row and the visits of each patient as bytes."""
    visits = np.column_stack([records.time, records.values])
    start = records.start
    return [records.static[i].tobytes() + visits[start[i] : start[i + 1]].tobytes() for i in range(records.n_patients)]
