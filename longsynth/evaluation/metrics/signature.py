"""Distance between cohorts of trajectories by signatures: which way, and in which order, channels move."""

from __future__ import annotations

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.paths import Paths, paired_paths
from longsynth.evaluation.visit_arrays import Array
from longsynth.seeding import stream

MOST_PATIENTS = 1000
MOST_VISITS = 100


@metric(
    block="distance", level="trajectory", title="Distance of expected signatures", most_patients=MOST_PATIENTS,
    most_visits=MOST_VISITS,
)  # fmt: skip
def signature_mmd(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return the squared distance between the expected signatures of trajectories, up to its second level.

    ``|mean f(s_i) - mean f(r_i)|^2 / F``, estimated without bias by leaving out i = j, as a maximum mean discrepancy.
    f holds, of a path x(t) from 0, the D end points and the D^2 iterated integrals ``int x_a dx_b``, which tell in
    which order a and b move; each in the reference's standard deviations and through tanh, F = D + D^2.

    Sees: patients repeated; visit order shuffled and visits dealt across patients where channels drift. Weakly, where
    they do not: visits dealt, columns permuted. Not: marginal distributions as such, the spacing of visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Seeds the sub-sample.

    Returns
    -------
    dict of str to float
        The whole; 0 on average for a fresh real sample (a little below or above by chance), lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no channel, or one of the cohorts fewer than 10 patients with visits.

    Notes
    -----
    Values, time and carrying forward as in `longsynth.evaluation.paths.Paths`; at most 1,000 patients a side, records
    of more than 100 visits thinned to 100. With many channels most integrals are noise.

    References
    ----------
    Chevyrev and Oberhauser (2022), Signature moments to characterize laws of stochastic processes, JMLR 23(176).
    Gretton et al. (2012), A kernel two-sample test, JMLR 13, 723-773.
    """
    rng = stream(setting.seed, "signature_mmd")
    made, real = (_signatures(paths) for paths in paired_paths(sample, reference, rng, MOST_PATIENTS, MOST_VISITS))
    centre, spread = real.mean(axis=0), real.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return {WHOLE: _mean_distance(np.tanh((made - centre) / spread), np.tanh((real - centre) / spread))}


def _signatures(paths: Paths) -> Array:
    """Return the first two levels of each path's signature, shape (N, D + D^2)."""
    steps = np.diff(paths.points, axis=1, prepend=0.0)
    steps = np.where(paths.inside[:, :, None], steps, 0.0)
    middle = np.cumsum(steps, axis=1) - steps / 2
    integrals = np.einsum("nla,nlb->nab", middle, steps, optimize=True)
    return np.concatenate([steps.sum(axis=1), integrals.reshape(len(steps), -1)], axis=1)


def _mean_distance(made: Array, real: Array) -> float:
    """Return the unbiased squared distance between two mean vectors, in shares of their length."""
    own = [((of.sum(axis=0) ** 2).sum() - (of**2).sum()) / (len(of) * (len(of) - 1)) for of in (made, real)]
    return float((own[0] + own[1] - 2 * made.mean(axis=0) @ real.mean(axis=0)) / made.shape[1])
