"""Whether the kinds of courses that real patients take are as common in the sample."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.paths import Paths, paired_paths
from longsynth.evaluation.visit_arrays import Array
from longsynth.seeding import child_seed, stream

MOST_PATIENTS = 400
MOST_VISITS = 100
N_POINTS = 8
N_CLUSTERS = 5
N_STARTS = 3


@metric(
    block="distance", level="trajectory", title="Shares of clusters of trajectories",
    most_patients=MOST_PATIENTS, most_visits=MOST_VISITS, is_share=True,
)  # fmt: skip
def cluster_shares(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return the total variation distance between the shares of clusters of trajectories, ``sum_k |p_k - q_k| / 2``.

    The reference's trajectories, brought to 8 points at even times between first and last visit, are put into 5
    clusters by k-means; the sample's are put into the nearest one.

    Sees: kinds of patients that are too rare or missing; in most samples of 200 patients, patients repeated. Weakly:
    visits dealt across patients (no one is extreme any more). Not: what happens within a kind; the order of visits
    hardly.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Seeds the sub-sample and the clusters.

    Returns
    -------
    dict of str to float
        The whole, and ``cluster <k>`` in the order of their share in the reference: by how much its
        share is wrong. In [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no channel, or one of the cohorts fewer than 10 patients with visits.

    Notes
    -----
    At most 400 patients a side. Values as in `longsynth.evaluation.paths.Paths`; a record of one visit is a constant.
    On even points of one number k-means of time series is k-means of rows, which scikit-learn does.

    References
    ----------
    Genolini and Falissard (2010), KmL: k-means for longitudinal data, doi:10.1007/s00180-009-0178-4.
    """
    rng = stream(setting.seed, "cluster_shares")
    made, real = paired_paths(sample, reference, rng, MOST_PATIENTS, MOST_VISITS)
    seed = child_seed(setting.seed, "cluster_shares", "start")
    courses = _resampled(made), _resampled(real)
    n_clusters = min(N_CLUSTERS, len(np.unique(courses[1], axis=0)))
    model = KMeans(n_clusters, n_init=N_STARTS, random_state=seed)
    with threadpool_limits(1):
        clusters = model.fit_predict(courses[1]), model.predict(courses[0])
    shares = [np.bincount(of, minlength=N_CLUSTERS) / len(of) for of in clusters]
    order = np.argsort(-shares[0], kind="stable")
    differences = np.abs(shares[1] - shares[0])[order]
    parts = {f"cluster {number}": float(difference) for number, difference in enumerate(differences, start=1)}
    return {WHOLE: float(differences.sum() / 2), **parts}


def _resampled(paths: Paths) -> Array:
    """Return each column at even times between first and last visit, shape (N, points x D)."""
    resampled = np.empty((len(paths.length), N_POINTS, paths.points.shape[2]))
    for patient in range(len(paths.length)):
        points = paths.of(patient)
        time = points[:, -1]
        grid = np.linspace(time[0], time[-1], N_POINTS)
        resampled[patient] = np.column_stack([np.interp(grid, time, column) for column in points.T])
    return resampled.reshape(len(resampled), -1)
