"""Which patients are compared: real ones among themselves for the ceiling, synthetic with real ones for the value.

All samples have equal numbers of patients, drawn without replacement from numbered cohorts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.numbered import take
from longsynth.seeding import stream

FEWEST_PATIENTS = 10
FEWEST_FOR_QUANTILES = 39
TAIL = 0.025
Pair = tuple[Cohort, Cohort]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """How much is spent on a metric.

    Attributes
    ----------
    n_patients : int
        Most patients in each of two samples.
    n_splits : int
        Splits of the real patients, for the ceiling.
    n_halves : int
        Half-samples, for the interval of the value.
    n_draws : int
        Samples behind the value, where a cohort has more patients than are compared.
    """

    n_patients: int
    n_splits: int
    n_halves: int
    n_draws: int


CHEAP = Effort(n_patients=1000, n_splits=39, n_halves=40, n_draws=5)
COSTLY = Effort(n_patients=400, n_splits=15, n_halves=6, n_draws=3)
STRATUM = Effort(n_patients=500, n_splits=39, n_halves=20, n_draws=3)


@dataclass(frozen=True)
class Comparison:
    """A synthetic cohort, the real ones it is compared with, and how.

    Attributes
    ----------
    synthetic, reference, pool : Cohort
        Numbered; as in `longsynth.evaluation.entry.Sources`.
    n : int
        Patients in each sample.
    n_draws : int
        Pairs of samples behind a value; one if there is nothing to choose.
    """

    synthetic: Cohort
    reference: Cohort
    pool: Cohort
    n: int
    n_draws: int


def compared(synthetic: Cohort, reference: Cohort, pool: Cohort, effort: Effort) -> Comparison:
    """Return the comparison of as many patients as the smallest source allows, and no more than the effort."""
    n = min(synthetic.n_patients, reference.n_patients, pool.n_patients // 2, effort.n_patients)
    n_draws = 1 if synthetic.n_patients == reference.n_patients == n else effort.n_draws
    return Comparison(synthetic, reference, pool, n, n_draws)


def real_splits(pool: Cohort, n: int, n_splits: int, seed: int) -> Iterator[Pair]:
    """Yield pairs of samples of ``n`` patients each from one pool, with no patient in both.

    Parameters
    ----------
    pool : Cohort
        Real patients, numbered.
    n : int
        At most half as many as there are.
    n_splits : int
        Number of pairs.
    seed : int
        The same seed and patients give the same pairs.
    """
    for number in range(n_splits):
        order = stream(seed, "ceiling", number).permutation(pool.n_patients)
        yield take(pool, order[:n]), take(pool, order[n : 2 * n])


def synthetic_draws(comparison: Comparison, seed: int) -> Iterator[Pair]:
    """Yield pairs of ``n`` patients of the synthetic cohort and of the reference."""
    sides = (comparison.synthetic, comparison.reference)
    for draw in range(comparison.n_draws):
        orders = [stream(seed, "value", draw, side).permutation(sides[side].n_patients) for side in (0, 1)]
        yield take(sides[0], orders[0][: comparison.n]), take(sides[1], orders[1][: comparison.n])


def halves(pair: Pair, number: int, seed: int) -> Iterator[Pair]:
    """Yield ``number`` pairs of a random half of both cohorts of a pair."""
    for half in range(number):
        orders = [stream(seed, "half", half, side).permutation(pair[side].n_patients) for side in (0, 1)]
        first, second = (take(pair[side], orders[side][: len(orders[side]) // 2]) for side in (0, 1))
        yield first, second


def half_sample_sd(values: Array, n: int, is_standardised: bool = False) -> float:
    """Return the standard deviation of a statistic of ``n`` patients from its values on halves of them.

    Parameters
    ----------
    values : array, shape (number of halves,)
        The statistic on ``n // 2`` patients drawn without replacement.
    n : int
        Patients in the whole sample.
    is_standardised : bool
        Whether the statistic is in units of its own standard error.

    Returns
    -------
    float
        ``sd(values) * sqrt(m / (n - m))`` with ``m = n // 2``: given the sample, a statistic of m of n patients varies
        by ``(1/m - 1/n)`` where the statistic of all n varies by ``1/n``. If it is standardised, that is by
        ``m (1/m - 1/n)`` where all n vary by 1: ``sd(values) * sqrt(n / (n - m))``.

    Notes
    -----
    A delete-half jackknife: unlike a bootstrap it repeats no patient, which would be taken for a copy by metrics that
    look at neighbours or train a classifier.

    References
    ----------
    Shao and Wu (1989), A general theory for jackknife variance estimation, doi:10.1214/aos/1176347263.
    """
    m = n // 2
    return float(values.std(ddof=1) * np.sqrt((n if is_standardised else m) / (n - m)))


def band(values: Array) -> tuple[float, float]:
    """Return limits that one more value of the same distribution exceeds with probability 2.5 % on each side.

    Parameters
    ----------
    values : array, shape (B,)
        At least two.

    Returns
    -------
    lower, upper : float
        With 39 values or more, the order statistics number ``0.025 (B + 1)`` from both ends, which is exact whatever
        the distribution. With fewer, ``mean -+ t(B - 1, 0.975) sd sqrt(1 + 1/B)``, which is exact for normal values.
    """
    if len(values) >= FEWEST_FOR_QUANTILES:
        lower, upper = np.quantile(values, [TAIL, 1 - TAIL], method="weibull")
        return float(lower), float(upper)
    reach = student.ppf(1 - TAIL, len(values) - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / len(values))
    return float(values.mean() - reach), float(values.mean() + reach)
