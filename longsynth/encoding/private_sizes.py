"""The first release of a private fit: how many patients there are, and how long their records.

Patients are counted by number of visits and by length of follow-up, on powers of two. What one patient adds is a vector
of bounded length; the caller adds the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.cohort_encoder import CohortTables
from longsynth.schema.types import Schema

N_VISIT_POWERS = 13
_LONGEST_YEARS = 150.0
_A_YEAR = {"minutes": 525_960, "hours": 8766, "days": 365.25, "weeks": 52.2, "months": 12, "years": 1}
SIZE_SENSITIVITY = float(np.sqrt(3.0))
_REST_OF_VISITS, _REST_OF_TIMES = 0.02, 0.002
_STANDS_OUT = 4.0


@dataclass(frozen=True)
class Sizes:
    """What the first release says.

    Attributes
    ----------
    n_patients : float
        Noisy number of patients, at least 1.
    max_visits : int
        Contribution bound: visits of a patient that are used.
    longest : float
        End of the range of times, in the schema's time unit.
    usual_visits : int
        The power of two that half of the patients stay within, at most half the bound.
    """

    n_patients: float
    max_visits: int
    longest: float
    usual_visits: int = 1


def size_sums(cohort: Cohort) -> np.ndarray:
    """Sums of the first release: patients; by number of visits; by end of follow-up in recordable steps.

    One patient adds 1 to one entry of each part: a vector of length ``SIZE_SENSITIVITY``. There are 1, then
    ``N_VISIT_POWERS``, then as many sums as powers of two of steps in the longest life.
    """
    tables, n_powers = CohortTables(cohort), _n_time_powers(cohort.schema)
    steps = np.nan_to_num(tables.duration) / recordable_step(cohort.schema)
    visits = _by_power(np.diff(tables.offsets), N_VISIT_POWERS)
    return np.concatenate([[cohort.n_patients], visits, _by_power(steps, n_powers)])


def read_sizes(noisy: np.ndarray, sd: float, schema: Schema, max_visits: int | None) -> Sizes:
    """Read number of patients, contribution bound and range of times off the noisy sums of the first release.

    Parameters
    ----------
    noisy : ndarray
        Noisy :func:`size_sums`.
    sd : float
        Standard deviation of the noise.
    schema : Schema
        Of the cohort.
    max_visits : int or None
        The declared contribution bound; None: the power of two that all but a few patients stay within.
    """
    visits, ends = np.split(noisy[1:], [N_VISIT_POWERS])
    n_patients = max(float(noisy[0]), 1.0)
    found = 2 ** _last_power(visits, sd, _REST_OF_VISITS * n_patients)
    chosen = found if max_visits is None else min(max_visits, 2 * found)  # a far larger bound would only add noise
    usual = min(2 ** _last_power(visits, sd, n_patients / 2), (chosen + 1) // 2)
    longest = 2.0 ** _last_power(ends, sd, _REST_OF_TIMES * n_patients) * recordable_step(schema)
    return Sizes(n_patients, chosen, longest, usual)


def _by_power(values: np.ndarray, n_powers: int) -> np.ndarray:
    """Number of patients by the smallest power of two that their value does not exceed, shape (n_powers,)."""
    power = np.ceil(np.log2(np.clip(values, 1.0, 2.0 ** (n_powers - 1)))).astype(int)
    return np.bincount(power, minlength=n_powers).astype(float)


def _last_power(noisy: np.ndarray, sd: float, rest: float) -> int:
    """Smallest power such that no more than ``rest`` patients, or noise, lie above it; the most common at least."""
    above = np.where(noisy > _STANDS_OUT * sd, noisy, 0.0)
    last = next(power for power in range(len(noisy)) if above[power + 1 :].sum() <= rest)
    return max(last, int(noisy.argmax()))


def _n_time_powers(schema: Schema) -> int:
    """Powers of two, that of 1 included, up to the recordable steps of the longest life; known from the schema."""
    return int(np.ceil(np.log2(_LONGEST_YEARS * _A_YEAR[schema.time_unit] / recordable_step(schema)))) + 1


def recordable_step(schema: Schema) -> float:
    """Recordable step of times, in the schema's time unit."""
    parts = [part for part in (schema.visit_time, schema.terminal_event) if part is not None]
    return float(10.0 ** -max((part.decimals or 0 for part in parts), default=0))
