"""An audit of the guarantee: canaries planted by the toss of a coin, one private fit, and guesses at the coins."""

from __future__ import annotations

import numpy as np

from longsynth import __version__
from longsynth.budget import PrivacyBudget
from longsynth.cohort.cohort import Cohort
from longsynth.encoding.declared import check_declared
from longsynth.encoding.private import cell_encoder
from longsynth.encoding.private_counts import cell_sums
from longsynth.encoding.private_sizes import read_sizes
from longsynth.exceptions import ConfigError
from longsynth.generators.audit_results import Audit, AuditBound
from longsynth.generators.canaries import make_canaries, plant
from longsynth.generators.internal_fit import InternalFit, fit_internally
from longsynth.generators.likelihood import log_likelihood
from longsynth.generators.model import Model
from longsynth.privacy.one_run import epsilon_at_least, right_guesses
from longsynth.privacy.records import records_of
from longsynth.privacy.space import nearest, standardised
from longsynth.seeding import child_seed, stream
from longsynth.training.noise import SecretRandomness

LEVEL = 0.05
FEWEST_CANARIES = 20
_COIN_VARIANCE, _LEAST_RIDGE = 0.25, 1e-6
_DRAWS_A_PATIENT, _FEWEST_DRAWN, _MOST_DRAWN = 2, 2000, 20_000
SEES = {
    "likelihood": "the fitted networks: how likely they find a canary's whole record",
    "sums": "the noisy sums that give the encoder: which canaries explain them best, all real patients known",
    "output": "synthetic patients alone: how near the nearest one comes to a canary",
}


def audit(
    train: Cohort,
    privacy: PrivacyBudget,
    *,
    n_canaries: int = 200,
    n_guesses: int | None = None,
    seed: int = 0,
    progress: bool = False,
    randomness: SecretRandomness | None = None,
) -> Audit:
    """Try to refute a claim of differential privacy, by one private fit with planted patients.

    Each canary, a made-up patient unlike the others, is fitted or not by the toss of a coin. Attackers score the
    canaries, guess the highest to be in and the lowest to be out, and the number of right guesses proves a lower bound
    on epsilon. A bound above the claim shows a fault; one below it proves nothing.

    Parameters
    ----------
    train : Cohort
        The patients; the schema must be declared in full.
    privacy : PrivacyBudget
        The claim. The fit with canaries **costs this budget once more**, and neither it nor what it draws may leave.
    n_canaries : int
        At least 20. More of them can prove a larger epsilon: 50, 100, 200 guesses that are all right prove 2.5, 3.2 and
        3.9, and canaries get in each other's way.
    n_guesses : int or None
        Even; the highest and the lowest half of it are guessed. None: half of the canaries.
    seed : int
        Of canaries, coins and starting weights.
    progress : bool
        Show progress bars.
    randomness : SecretRandomness or None
        Noise and samples of the fit. Only tests give another one than the operating system's.

    Returns
    -------
    Audit
        One bound an attacker, to be read as "epsilon is at least"; together they hold with 95 % confidence. Smaller
        epsilon is stronger privacy.

    Raises
    ------
    PrivacyError
        If the schema leaves facts open, or delta is too large for the number of patients.
    ConfigError
        If there are too few canaries or too many guesses.

    Notes
    -----
    The bound holds whatever the canaries, as long as the coins are fair and independent. It is far from tight: it does
    not say that a fit without a refuted claim is private.

    References
    ----------
    Steinke, Nasr and Jagielski, Privacy auditing with one (1) training run, 2023, doi:10.48550/arXiv.2305.08846.

    Examples
    --------
    >>> import longsynth as ls
    >>> ls.audit(ls.simulate_cohort(400), ls.PrivacyBudget(1, 1e-5))  # doctest: +SKIP
    Audit(epsilon at least 0.00, claimed at most 1)
    """
    n_guesses = _checked(n_canaries, n_guesses)
    check_declared(train.schema)
    canaries = make_canaries(train, n_canaries, seed)
    included = stream(seed, "coins").random(n_canaries) < 0.5
    planted = plant(train, canaries, included)
    fitted = fit_internally(planted, privacy, seed, randomness or SecretRandomness(), progress)
    scores = {
        "likelihood": log_likelihood(fitted.model, canaries),
        "sums": _sums_score(train, canaries, fitted),
        "output": _output_score(fitted.model, canaries, planted.n_patients, seed),
    }
    level = LEVEL / len(scores)

    def bound(name: str) -> AuditBound:
        right = right_guesses(scores[name], included, n_guesses)
        least = epsilon_at_least(n_canaries, n_guesses, right, privacy.allowed_delta, level)
        return AuditBound(name, SEES[name], n_canaries, int(included.sum()), n_guesses, right, round(least, 6))

    bounds = tuple(bound(name) for name in scores)
    return Audit(privacy.epsilon, privacy.allowed_delta, bounds, LEVEL, train.n_patients, seed, __version__)


def _checked(n_canaries: int, n_guesses: int | None) -> int:
    if n_canaries < FEWEST_CANARIES:
        raise ConfigError(f"{n_canaries} canaries prove next to nothing; plant {FEWEST_CANARIES} or more")
    wanted = n_canaries // 4 * 2 if n_guesses is None else n_guesses
    if wanted % 2 or not 2 <= wanted <= n_canaries:
        raise ConfigError(f"n_guesses is {wanted}; it must be even, 2 or more, and no more than the canaries")
    return wanted


def _sums_score(train: Cohort, canaries: Cohort, fitted: InternalFit) -> np.ndarray:
    """Ridge estimate (M,) of who is in the noisy sums, given the sums of everybody else.

    The noise is estimated from what no set of canaries explains, so that less of it than claimed is made use of.
    """
    first, bound = fitted.ledger.spends[0], fitted.ledger.budget.max_visits
    read = read_sizes(fitted.sizes, first.noise_multiplier * first.sensitivity, train.schema, bound)
    encoder = cell_encoder(train.schema, read)
    coded = encoder.transform(canaries)
    parts = np.stack([cell_sums(encoder, coded.take(np.array([i])), read) for i in range(coded.n_patients)])
    rest = fitted.cells - cell_sums(encoder, encoder.transform(train), read) - parts.sum(0) / 2
    explained, _, rank, _ = np.linalg.lstsq(parts.T, rest, rcond=None)
    unexplained = float(np.square(rest - explained @ parts).sum()) / max(len(rest) - int(rank), 1)
    ridge = unexplained / _COIN_VARIANCE + _LEAST_RIDGE
    return np.asarray(np.linalg.solve(parts @ parts.T + ridge * np.eye(len(parts)), parts @ rest))


def _output_score(model: Model, canaries: Cohort, n_patients: int, seed: int) -> np.ndarray:
    """Minus the distance (M,) to the nearest of so many synthetic patients, on their scale."""
    n = int(np.clip(_DRAWS_A_PATIENT * n_patients, _FEWEST_DRAWN, _MOST_DRAWN))
    drawn = model.sample(n, child_seed(seed, "audit"))
    made = records_of(model.encoder.inverse_transform(drawn, [str(row) for row in range(n)]))
    targets = records_of(canaries)
    score = np.zeros(targets.n_patients)
    score[targets.rows] = -nearest(standardised(targets, made), standardised(made, made), 1)[:, 0]
    return score
