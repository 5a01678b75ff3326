"""Whether a classifier tells the sample from real patients; once a pair of samples, of which the judge takes many."""

from __future__ import annotations

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation import detection
from longsynth.evaluation.base import WHOLE, Setting, metric


@metric(
    block="detection",
    level="trajectory",
    title="How well a classifier tells patients from real ones by summaries of their trajectories",
    best=0.5,
    is_share=True,
    is_costly=True,
)
def detect_patient(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Cross-fitted AUC of gradient boosting on one row of summaries a patient.

    ``P(score of a sample patient > score of a reference patient)``, scores from classifiers that have not seen the
    patient; folds are made of patients. See `longsynth.evaluation.detection.detect_patient`.

    Sees: every planted damage that moves a summary of patients (visits dealt, order shuffled, gaps, columns, event).
    Does not see: that few patients are repeated exactly, if they are typical.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        The seed draws sub-samples and folds.

    Returns
    -------
    dict of str to float
        `WHOLE` in [0, 1]; 0.5 is best, 1 means always told apart.

    Raises
    ------
    NotComputableError
        With fewer than 10 patients on either side.

    References
    ----------
    Lopez-Paz and Oquab (2017), doi:10.48550/arXiv.1610.06545.
    """
    return {WHOLE: detection.detect_patient(sample, reference, setting.seed, n_repeats=1)}


@metric(
    block="detection",
    level="transition",
    title="How well a classifier tells pairs of consecutive visits from real ones",
    best=0.5,
    is_share=True,
    is_costly=True,
    most_pairs=detection.MOST_PAIRS,
)
def detect_transition(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Cross-fitted AUC of gradient boosting on one row a pair of consecutive visits.

    As `detect_patient`, with all pairs of a patient in one fold. See `longsynth.evaluation.detection`.

    Sees: visits dealt across patients, columns permuted, gaps changed. Weakly, in 150 patients: visit order shuffled.
    Does not see: what happens over more than two visits, the terminal event.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        The seed draws sub-samples and folds.

    Returns
    -------
    dict of str to float
        `WHOLE` in [0, 1]; 0.5 is best, 1 means always told apart.

    Raises
    ------
    NotComputableError
        Without visit times, or with fewer than 10 patients of two visits on either side.

    References
    ----------
    Lopez-Paz and Oquab (2017), doi:10.48550/arXiv.1610.06545.
    """
    return {WHOLE: detection.detect_transition(sample, reference, setting.seed, n_repeats=1)}
