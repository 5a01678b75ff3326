"""Whether the synthetic cohort yields descriptions that fit exactly one real patient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from longsynth.exceptions import NotComputableError
from longsynth.privacy.base import SIDES, Outcome, Release, Side, Trials, attack, joined
from longsynth.privacy.coded import NOT_OBSERVED, Coded
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.predicates import Term, all_fitting, fitting, patients_of, terms_of
from longsynth.privacy.windows import chosen_starts
from longsynth.seeding import stream

SMALLEST_INVERSE_WEIGHT = 2
PARTS = ("descriptions of one patient", "patients described alone")


@dataclass(frozen=True, eq=False)
class Predicate:
    """A description read off one synthetic patient.

    Attributes
    ----------
    source : int
        The synthetic patient.
    terms : list of Term
        All must hold in one stretch of visits.
    """

    source: int
    terms: list[Term]


@attack(criterion="singling_out", title="Descriptions from the synthetic cohort that fit one real patient only")
def singling_out(release: Release, knowledge: Knowledge, seed: int) -> tuple[Outcome, ...]:
    """Single out real patients by descriptions taken from synthetic ones.

    A description is a conjunction over one stretch of k visits of a synthetic patient: values within 5 % of the
    channel's range (levels equal), gaps, static attributes. Its conditions are added in random order until it fits no
    other synthetic patient, and further until its estimated weight ``w = 1 / (n_s + 1) * prod_j p_j`` is at most
    ``1 / (2 n)``, with ``p_j`` the share of synthetic patients who fulfil the j-th further condition and n the number
    of patients among whom it must single out one. Both sides are compared at the same n, the size of the smaller one:
    for each description a random population of n patients is drawn from the larger.

    - Descriptions of one patient: success is a description that fits exactly one patient of the population. Naive:
      descriptions of the same shape with each value from another random synthetic visit, tried on the control.
    - Patients described alone: success is a patient who is the only one that some description fits, among n.

    Parameters
    ----------
    release : Release
        Draws, members and control. With restricted targets, singling out any other patient is no success.
    knowledge : Knowledge
        Which channels, static attributes and times a description may use.
    seed : int
        Sources, order of conditions and populations.

    Returns
    -------
    tuple of Outcome
        Two parts; higher success rates of members than of the control are leaks.

    Raises
    ------
    NotComputableError
        If no description could be made.

    Notes
    -----
    A description of weight w singles out one of n patients by luck at the rate ``n w (1 - w)^(n - 1)``, at most 0.3
    for ``w <= 1 / (2 n)``: the control shows how often. A verbatim copy of members is singled out at a rate of at most
    n over the number of members. The estimate of w takes further conditions as independent of the earlier ones.
    Synthetic patients whose stretch equals the source's in all that the attacker knows count as one with it.

    References
    ----------
    Cohen and Nissim (2020), Towards formalizing the GDPR's notion of singling out, doi:10.1073/pnas.1914598117.
    Article 29 Working Party (2014), Opinion 05/2014 on anonymisation techniques.
    """
    trials: dict[tuple[str, Side], list[Trials]] = {(part, side): [] for part in PARTS for side in SIDES}
    naive: list[float] = []
    size = min(release.train.n_patients, release.holdout.n_patients)
    n_before = 0
    for draw, synthetic in enumerate(release.coded_synthetic):
        key = ("singling out", knowledge, draw, seed)
        rng = stream(seed, "singling out", draw)
        make = partial(_predicates, synthetic, knowledge, release.n_targets, size, rng)
        predicates = release.once((*key, "predicates"), make)
        source = np.array([predicate.source for predicate in predicates], dtype=np.int64)
        for side in SIDES if predicates else ():
            rng = stream(seed, "singling out", draw, side)
            fits = release.once((*key, side), partial(_fits, release.coded_real[side], predicates, knowledge))
            hits = _hits(fits, release, side, size, rng)
            trials[PARTS[0], side].append(Trials(hits, n_before + source, np.full(len(source), draw)))
            alone = _alone(fits, release, side, size, rng)
            rows = release.targets(side, np.ones(len(alone), dtype=bool), stream(seed, "singling out", side))
            trials[PARTS[1], side].append(Trials(alone[rows], rows, np.full(len(rows), draw)))
        if predicates:
            rng = stream(seed, "singling out", draw, "naive")
            mixed = _mixed(synthetic, predicates, rng)
            fits = release.once((*key, "naive"), partial(_fits, release.coded_real["control"], mixed, knowledge))
            naive.append(float(_hits(fits, release, "control", size, rng).mean()))
        n_before += synthetic.records.n_patients
    if not naive:
        raise NotComputableError(
            f"no synthetic patient has {knowledge.k} visits with enough values for a description rare enough to single "
            f"out one of {size:,} patients"
        )
    requested = release.n_targets * len(release.synthetic)
    return tuple(
        Outcome(part, joined(trials[part, "members"]), joined(trials[part, "control"]), requested, baseline)
        for part, baseline in zip(PARTS, (float(np.mean(naive)), None), strict=True)
    )


def _predicates(synthetic: Coded, knowledge: Knowledge, n: int, size: int, rng: np.random.Generator) -> list[Predicate]:
    """Return up to n descriptions, of one stretch each of as many synthetic patients as there are."""
    schema = synthetic.records.cohort.schema
    static = np.array([list(schema.static).index(name) for name in knowledge.known_static(schema)], dtype=np.int64)
    patient, first = chosen_starts(synthetic.records.n_visits, knowledge.k, knowledge.which, rng)
    starts = synthetic.records.start[patient] + first
    predicates = []
    for i in np.sort(rng.permutation(len(starts))[:n]):
        terms = terms_of(synthetic, starts[i], knowledge, static)
        terms = [terms[j] for j in rng.permutation(len(terms))]
        n_terms = _enough(synthetic, knowledge.k, terms, size)
        if n_terms:
            predicates.append(Predicate(int(patient[i]), terms[:n_terms]))
    return predicates


def _enough(synthetic: Coded, k: int, terms: list[Term], size: int) -> int:
    """Return how many of the conditions make a description rare enough; 0 if all of them do not."""
    n = synthetic.records.n_patients
    fit, weight = np.zeros(0, np.int64), 1.0
    for n_terms, term in enumerate(terms, start=1):
        if weight == 1.0:
            fit = all_fitting(synthetic, k, [term]) if n_terms == 1 else fitting(synthetic, fit, [term])
            if len(patients_of(synthetic, fit)) > 1 and not (
                n_terms == len(terms) and _are_equal(synthetic, fit, terms)
            ):
                continue
            weight = 1 / (n + 1)
        else:
            weight *= len(patients_of(synthetic, all_fitting(synthetic, k, [term]))) / n
        if weight <= 1 / (SMALLEST_INVERSE_WEIGHT * size):
            return n_terms
    return 0


def _are_equal(synthetic: Coded, fit: NDArray[np.int64], terms: list[Term]) -> bool:
    """Return whether stretches are the same in everything that the conditions are about."""
    return all((term.x(synthetic, fit) == np.float32(term.value)).all() for term in terms)


def _mixed(synthetic: Coded, predicates: list[Predicate], rng: np.random.Generator) -> list[Predicate]:
    """Return descriptions of the same shape, each value taken from another random visit where there is one."""
    mixed = []
    for predicate in predicates:
        terms = []
        for term in predicate.terms:
            values = term._replace(visit=0).x(synthetic, rng.integers(len(synthetic.time), size=8))
            observed = values[values != np.float32(NOT_OBSERVED)]
            terms.append(term._replace(value=float(observed[0])) if observed.size else term)
        mixed.append(Predicate(predicate.source, terms))
    return mixed


def _fits(real: Coded, predicates: list[Predicate], knowledge: Knowledge) -> list[NDArray[np.int64]]:
    """Return for each description the patients that it fits."""
    return [patients_of(real, all_fitting(real, knowledge.k, predicate.terms)) for predicate in predicates]


def _hits(
    fits: list[NDArray[np.int64]], release: Release, side: Side, size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return 1 for each description that fits one patient of a random population, if that one is a target."""
    n, allowed = release.side(side).n_patients, release.allowed(side)
    hits = np.zeros(len(fits))
    for i, rows in enumerate(fits):
        if rows.size and rng.hypergeometric(len(rows), n - len(rows), size) == 1:
            hits[i] = allowed[rng.choice(rows)]
    return hits


def _alone(
    fits: list[NDArray[np.int64]], release: Release, side: Side, size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return 1 for each patient whom some description fits, and nobody else of a random population with him in it."""
    n = release.side(side).n_patients
    alone = np.zeros(n)
    for rows in fits:
        if rows.size:
            chance = hypergeom.pmf(0, n - 1, len(rows) - 1, size - 1)
            alone[rows] = np.maximum(alone[rows], rng.random(len(rows)) < chance)
    return alone
