"""Distance between cohorts of trajectories that are aligned in time: a kernel two-sample statistic."""

from __future__ import annotations

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.alignment import alignment_kernel, paired_points, squared_discrepancy
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.tslearn_lazily import tslearn
from longsynth.seeding import child_seed, stream

MOST_PATIENTS = 100
MOST_VISITS = 30


@metric(
    block="distance", level="trajectory", title="Distance of aligned trajectories (GAK)",
    most_patients=MOST_PATIENTS, most_visits=MOST_VISITS,
)  # fmt: skip
def alignment_mmd(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return the squared maximum mean discrepancy between trajectories under the global alignment kernel.

    ``mean_{i != j} k(s_i, s_j) + mean_{i != j} k(r_i, r_j) - 2 mean_ij k(s_i, r_j)``, unbiased; k sums over all ways to
    align two patients' visits, a soft form of dynamic time warping that is positive definite.

    Sees: times stretched. Weakly: patients repeated. Hardly: visits dealt across patients, visit order shuffled.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Seeds the sub-sample and the bandwidth.

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
    At most 100 patients a side, records of more than 30 visits thinned to 30. Visit times are one of the columns, since
    alignment itself ignores them; missing values are carried forward, the reference's median before the first one, and
    the share of channels observed at each visit is a column too: `longsynth.evaluation.paths.Paths`. The bandwidth is
    tslearn's, from the reference.

    References
    ----------
    Cuturi (2011), Fast global alignment kernels, ICML. Gretton et al. (2012), A kernel two-sample test, JMLR 13,
    723-773. Tavenard et al. (2020), Tslearn, JMLR 21(118).
    """
    rng = stream(setting.seed, "alignment_mmd")
    points, length, n = paired_points(sample, reference, rng, MOST_PATIENTS, MOST_VISITS)
    seed = child_seed(setting.seed, "alignment_mmd", "sigma")
    sigma = float(tslearn("metrics").sigma_gak(points[n:], random_state=seed))
    return {WHOLE: squared_discrepancy(alignment_kernel(points, length, sigma if sigma > 0 else 1.0), n)}
