"""What quality and what attack risk each epsilon gives: private fits beside fits without noise, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from longsynth import __version__
from longsynth.budget import PrivacyBudget
from longsynth.cohort.alike import check_disjoint
from longsynth.cohort.cohort import Cohort
from longsynth.encoding.declared import check_declared
from longsynth.evaluation.detection import detect_patient, detect_transition
from longsynth.evaluation.survival import km_area
from longsynth.evaluation.temporal import auto_lag1, corr_lag1
from longsynth.exceptions import ConfigError, NotComputableError
from longsynth.generators.internal_fit import fit_internally
from longsynth.generators.likelihood import margins_alone, record_log_likelihood
from longsynth.generators.model import Model
from longsynth.generators.trade_off_results import CLIP_ONLY, MARGINS, NO_PRIVACY, PRIVATE, TradeOff, TradeOffRow
from longsynth.generators.without_noise import fit_without_noise
from longsynth.privacy.assess import assess_privacy
from longsynth.privacy.membership import mia_auc
from longsynth.seeding import child_seed
from longsynth.training.noise import SecretRandomness

Arm = tuple[str, float | None]
_INFINITE = float("inf")


def trade_off(
    train: Cohort,
    holdout: Cohort,
    epsilons: Sequence[float],
    delta: float,
    *,
    max_visits: int | None = None,
    n_seeds: int = 3,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> TradeOff:
    """Measure quality and attack risk at each epsilon, beside arms that show where the quality goes.

    Arms: a private fit an epsilon; ``clip only``, the same network with clipping and without noise; ``no privacy``,
    with neither, if infinity is among the epsilons; ``margins only``, the exact margins without training. The study is
    **internal**: it looks at train and holdout, and its fits cost the sum of their epsilons.

    Parameters
    ----------
    train : Cohort
        The patients to fit; the schema must be declared in full.
    holdout : Cohort
        Patients of the same population, for the measures.
    epsilons : sequence of float
        Above 0; infinity for the arm without privacy. Smaller epsilon is stronger privacy.
    delta : float
        Of every private fit: at most 1 / (10 n) for n patients.
    max_visits : int or None
        Visits of a patient that are used; None: paid for.
    n_seeds : int
        Fits an arm, for the error bars. They share train and holdout, so that the bars show the scatter of noise,
        samples and draws, not that of patients.
    seed : int
        The first seed.
    on_progress : callable or None
        Called with the number of arms done, of `n_arms` in all.

    Returns
    -------
    TradeOff
        Every measure of every fit.

    Raises
    ------
    ConfigError
        If there is no epsilon, or no seed.
    CohortError
        If train and holdout share patients.
    PrivacyError
        If an epsilon or delta is out of range, or the schema leaves facts open.

    Notes
    -----
    A study without the ``clip only`` arm misleads: clipping bias can cost more than noise, and then more noise may look
    better. ``likelihood_gain`` is the mean log-likelihood of held-out patients over that of the exact margins, the arm
    ``margins only``, the same for all arms; below 0 where noisy margins lose more than the training gains.
    ``linkage_risk`` is the mean risk over the parts of the linkage attack by an attacker who knows the full record.
    """
    if not epsilons or n_seeds < 1:
        raise ConfigError("name one epsilon or more, and one seed or more")
    check_declared(train.schema)
    check_disjoint(train, holdout)
    budgets = {one: PrivacyBudget(one, delta, max_visits) for one in sorted(set(epsilons)) if one != _INFINITE}
    rows: list[TradeOffRow] = []
    done = 0
    for number in range(seed, seed + n_seeds):
        base = np.zeros(holdout.n_patients)
        for arm, model in _fits(train, budgets, max_visits, _INFINITE in epsilons, number):
            if arm == (MARGINS, None):
                base = record_log_likelihood(model, holdout)
            values = _measured(model, base, train, holdout, number)
            rows += [TradeOffRow(*arm, number, name, value) for name, value in values.items()]
            done += 1
            if on_progress is not None:
                on_progress(done)
    order = [*((PRIVATE, one) for one in budgets), (CLIP_ONLY, None), (NO_PRIVACY, None), (MARGINS, None)]
    rows.sort(key=lambda row: order.index((row.arm, row.epsilon)))
    return TradeOff(tuple(rows), delta, train.n_patients, holdout.n_patients, __version__)


def n_arms(epsilons: Sequence[float], n_seeds: int) -> int:
    """Return how many arms a study measures, over all seeds."""
    return (len(set(epsilons)) + 2) * n_seeds


def _fits(
    train: Cohort, budgets: dict[float, PrivacyBudget], max_visits: int | None, without_privacy: bool, seed: int
) -> Iterator[tuple[Arm, Model]]:
    """Every arm of a seed; first the margins that the others' likelihood is compared with."""
    clipped = fit_without_noise(train, max_visits, clip=True, seed=seed, randomness=SecretRandomness())
    yield (MARGINS, None), margins_alone(clipped)
    yield (CLIP_ONLY, None), clipped
    for epsilon, budget in budgets.items():
        yield (PRIVATE, epsilon), fit_internally(train, budget, seed, SecretRandomness()).model
    if without_privacy:
        free = fit_without_noise(train, max_visits, clip=False, seed=seed, randomness=SecretRandomness())
        yield (NO_PRIVACY, None), free


def _measured(model: Model, base: np.ndarray, train: Cohort, holdout: Cohort, seed: int) -> dict[str, float | None]:
    """Every measure of a model, by name; None where it cannot be computed."""
    n = train.n_patients
    drawn = model.sample(n, child_seed(seed, "trade-off"))
    synthetic = model.encoder.inverse_transform(drawn, [f"synthetic-{row:07d}" for row in range(n)])
    measures: dict[str, Callable[[], float]] = {
        "likelihood_gain": partial(_gain, model, base, holdout),
        "detect_patient": partial(detect_patient, synthetic, holdout, seed),
        "detect_transition": partial(detect_transition, synthetic, holdout, seed),
        "auto_lag1": partial(auto_lag1, synthetic, holdout),
        "corr_lag1": partial(corr_lag1, synthetic, holdout),
        "km_area": partial(km_area, synthetic, holdout),
        "mia_auc": partial(mia_auc, synthetic, train, holdout),
        "linkage_risk": partial(_linkage_risk, synthetic, train, holdout, seed),
    }
    values: dict[str, float | None] = {}
    for name, measure in measures.items():
        try:
            values[name] = measure()
        except NotComputableError:
            values[name] = None
    return values


def _gain(model: Model, base: np.ndarray, holdout: Cohort) -> float:
    return float((record_log_likelihood(model, holdout) - base).mean())


def _linkage_risk(synthetic: Cohort, train: Cohort, holdout: Cohort, seed: int) -> float:
    found = assess_privacy(synthetic, train, holdout, attacks=["linkage"], knowledge="full", seed=seed)
    risks = [one.risk for one in found.results if one.subset == "all" and one.risk is not None]
    if not risks:
        raise NotComputableError("no part of the attack could be assessed")
    return float(np.mean(risks))
