"""Whether synthetic patients fill the space of real ones: a kernel distance, and who has whom for a neighbour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.patient_space import Points, patient_points
from longsynth.exceptions import NotComputableError

MOST_PATIENTS = 400
N_NEIGHBOURS = 5
FEWEST_PATIENTS = 2 * N_NEIGHBOURS


@metric(block="distance", level="trajectory", title="Kernel distance between patients", most_patients=MOST_PATIENTS)
def mmd(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the squared maximum mean discrepancy between patients, unbiased, with a Gaussian kernel.

    ``MMD^2 = mean_{i!=j} k(x_i, x_j) + mean_{i!=j} k(y_i, y_j) - 2 mean k(x_i, y_j)`` with
    ``k(x, y) = exp(-|x - y|^2 / (2 s^2))``, s the median distance of all pairs, on `patient_points`.

    Sees: damage that moves many features of patients at once: visits dealt across patients, columns permuted, times
    doubled, patients repeated, event times permuted. Not: gaps made equal, one feature among many.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema, of n patients each; memory and time grow with n squared.

    Returns
    -------
    dict of str to float
        The whole; at most 2, about 0 and possibly negative for a fresh real sample; lower is better.

    Raises
    ------
    NotComputableError
        With fewer than 10 patients on either side, or a schema without columns.

    References
    ----------
    Gretton et al. (2012), A kernel two-sample test, https://jmlr.org/papers/v13/gretton12a.html.
    """
    x, y = _points(sample, reference)
    return {WHOLE: squared_mmd(x, y)}


@metric(
    block="distance",
    level="trajectory",
    title="Share of synthetic patients among real ones",
    best=1.0,
    worse="lower",
    most_patients=MOST_PATIENTS,
    is_share=True,
)
def precision(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the share of sample patients within reach of a reference patient.

    ``mean_j 1[exists i: |y_j - x_i| <= r_i]``: x are the reference patients, y those of the sample, as
    `patient_points`; the reach r_i of a patient is the distance to the 5th nearest other patient of the same cohort.

    Sees: patients unlike any real one: columns permuted, visits dealt across patients, times doubled. Not: patients
    repeated, gaps made equal.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema, of n patients each; memory and time grow with n squared.

    Returns
    -------
    dict of str to float
        The whole; in [0, 1], higher is better.

    Raises
    ------
    NotComputableError
        With fewer than 10 patients on either side, or a schema without columns.

    References
    ----------
    Kynkäänniemi et al. (2019), Improved precision and recall metric, doi:10.48550/arXiv.1904.06991.
    """
    return {WHOLE: float(_reached(sample, reference).any(axis=0).mean())}


@metric(
    block="distance",
    level="trajectory",
    title="Share of real patients among synthetic ones",
    best=1.0,
    worse="lower",
    most_patients=MOST_PATIENTS,
    is_share=True,
)
def recall(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the share of reference patients within reach of a sample patient: `precision` with the roles changed.

    Sees: patients repeated, kinds of patients left out, times doubled. Not: gaps made equal, some patients unlike any
    real one (they reach far).

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema, of n patients each; memory and time grow with n squared.

    Returns
    -------
    dict of str to float
        The whole; in [0, 1], higher is better.

    Raises
    ------
    NotComputableError
        With fewer than 10 patients on either side, or a schema without columns.

    References
    ----------
    Kynkäänniemi et al. (2019), Improved precision and recall metric, doi:10.48550/arXiv.1904.06991.
    """
    return {WHOLE: float(_reached(reference, sample).any(axis=0).mean())}


@metric(
    block="distance",
    level="trajectory",
    title="How many real patients reach a synthetic one",
    best=1.0,
    worse="both",
    most_patients=MOST_PATIENTS,
)
def density(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean number of reference patients that reach a sample patient, over 5.

    ``1/(5 M) sum_j sum_i 1[|y_j - x_i| <= r_i]``, x, y and r as in `precision`; one outlying reference patient counts
    little, other than there.

    Sees: columns permuted, visits dealt across patients, times doubled (patients where few real ones are: too low);
    patients crowded where most real ones are (too high). Not: patients repeated, gaps made equal.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema, of n patients each; memory and time grow with n squared.

    Returns
    -------
    dict of str to float
        The whole; at least 0, and 1 for a fresh real sample unless patients coincide.

    Raises
    ------
    NotComputableError
        With fewer than 10 patients on either side, or a schema without columns.

    References
    ----------
    Naeem et al. (2020), Reliable fidelity and diversity metrics, doi:10.48550/arXiv.2002.09797.
    """
    return {WHOLE: float(_reached(sample, reference).sum(axis=0).mean() / N_NEIGHBOURS)}


@metric(
    block="distance",
    level="trajectory",
    title="Share of real patients with a synthetic neighbour",
    best=1 - 0.5**N_NEIGHBOURS,
    worse="lower",
    most_patients=MOST_PATIENTS,
    is_share=True,
)
def coverage(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the share of reference patients that reach a sample patient: ``mean_i 1[exists j: |y_j - x_i| <= r_i]``.

    x, y and r as in `precision`.

    Sees: patients repeated, kinds of patients left out, columns permuted, visits dealt across patients, times doubled.
    Not: gaps made equal, a few unreal patients.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema, of n patients each; memory and time grow with n squared.

    Returns
    -------
    dict of str to float
        The whole; in [0, 1], higher is better. A fresh real sample gives ``1 - 2^-5 = 0.969`` for large n, in whatever
        space.

    Raises
    ------
    NotComputableError
        With fewer than 10 patients on either side, or a schema without columns.

    References
    ----------
    Naeem et al. (2020), Reliable fidelity and diversity metrics, doi:10.48550/arXiv.2002.09797.
    """
    return {WHOLE: float(_reached(sample, reference).any(axis=1).mean())}


def squared_mmd(x: Points, y: Points) -> float:
    """Return the unbiased squared maximum mean discrepancy of two sets of points; see `mmd`."""
    both = np.concatenate([x, y])
    distances = cdist(both, both)
    scale = np.median(distances[np.triu_indices(len(both), 1)]) or distances.mean() or 1.0
    kernel = np.exp(-((distances / scale) ** 2) / 2)
    n, m = len(x), len(y)
    within = (kernel[:n, :n].sum() - n) / (n * (n - 1)) + (kernel[n:, n:].sum() - m) / (m * (m - 1))
    return float(within - 2 * kernel[:n, n:].mean())


def _reached(sample: Cohort, reference: Cohort) -> NDArray[np.bool_]:
    """Return which reference patient (row) reaches which sample patient (column)."""
    y, x = _points(sample, reference)
    reach = np.partition(cdist(x, x), N_NEIGHBOURS, axis=1)[:, N_NEIGHBOURS]
    return np.asarray(cdist(x, y) <= reach[:, None])


def _points(sample: Cohort, reference: Cohort) -> tuple[Points, Points]:
    fewest = min(sample.n_patients, reference.n_patients)
    if fewest < FEWEST_PATIENTS:
        raise NotComputableError(f"one of the two cohorts has {fewest} patients; it needs {FEWEST_PATIENTS}")
    return patient_points(sample, reference)
