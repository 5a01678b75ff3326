"""A second opinion on detection: a classifier that reads whole sequences instead of summaries of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.paths import Paths, paired_paths
from longsynth.evaluation.visit_arrays import Array
from longsynth.seeding import stream

MOST_PATIENTS = 200
MOST_VISITS = 100
N_SEEDS = 5
N_FOLDS = 5
N_FILTERS = 200
WIDTHS = (1, 2, 3)
ROUNDING = 1e-9
PENALTIES = tuple(float(10**power) for power in range(0, 6))


@metric(
    block="detection", level="trajectory", title="Detection by sequences (random convolutions)", best=0.5,
    is_share=True, is_costly=True, most_patients=MOST_PATIENTS, most_visits=MOST_VISITS,
)  # fmt: skip
def detect_sequence(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return how well patients of the sample are told from those of the reference by their sequences of visits.

    Cross-fitted AUC of a ridge classifier on random convolutions: each of 200 filters takes a random weighted sum of
    some columns of 1 to 3 consecutive visits; its mean, its largest value and the share of visits where it is positive
    describe a patient. Columns are the channels and the time of `longsynth.evaluation.paths.Paths`, which channels
    were observed, and the time since the visit before. The mean over 5 sets of filters and folds.

    Sees: visit order shuffled, visits dealt across patients, times stretched. Hardly: gaps made equal. Not: static
    attributes and how follow-up ended.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Seeds the sub-samples, filters and folds.

    Returns
    -------
    dict of str to float
        The whole, in [0, 1]: 0.5 cannot be told apart, 1 always told apart. Lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no channel, or one of the cohorts fewer than 10 patients with visits.

    Notes
    -----
    At most 200 patients a side and 100 visits a patient are used. A small network trained anew for every seed would
    see as much with more luck: random filters need no training and no deep learning library, and only the linear
    classifier is fitted. All visits of a patient are one row, so folds never share a patient.

    References
    ----------
    Dempster, Petitjean and Webb (2020), ROCKET: exceptionally fast and accurate time series classification using random
    convolutional kernels, doi:10.1007/s10618-020-00701-z. Lopez-Paz and Oquab (2017), Revisiting classifier two-sample
    tests, doi:10.48550/arXiv.1610.06545.
    """
    rng = stream(setting.seed, "detect_sequence")
    made, real = paired_paths(sample, reference, rng, MOST_PATIENTS, MOST_VISITS)
    with threadpool_limits(1):  # around all fits, as it takes milliseconds every time
        found = [_auc(made, real, stream(setting.seed, "detect_sequence", number)) for number in range(N_SEEDS)]
    return {WHOLE: float(np.mean(found))}


def _auc(made: Paths, real: Paths, rng: np.random.Generator) -> float:
    features = _features([made, real], rng)
    n = len(made.length)
    labels = np.repeat([1, 0], n)
    folds = np.concatenate([rng.permutation(np.arange(n) % N_FOLDS) for _ in range(2)])
    scores = np.empty(2 * n)
    for fold in range(N_FOLDS):
        out = folds == fold
        mean, spread = features[~out].mean(axis=0), features[~out].std(axis=0)
        scaled = (features - mean) / np.where(spread > 1e-9, spread, np.inf)
        model = RidgeClassifierCV(alphas=PENALTIES).fit(scaled[~out], labels[~out])
        scores[out] = model.decision_function(scaled[out])
    return float(roc_auc_score(labels, scores))


def _features(both: list[Paths], rng: np.random.Generator) -> Array:
    """Return mean, largest value and share of positive ones of each filter for each patient, shape (2 N, 3 filters)."""
    inputs = [_inputs(paths) for paths in both]
    weights = _filters(inputs[0].shape[2], rng)
    outputs = [_convolved(one, weights) for one in inputs]
    visits = np.concatenate([output[paths.inside] for output, paths in zip(outputs, both, strict=True)])
    places = rng.random(N_FILTERS)
    thresholds = np.array([np.quantile(visits[:, f], place) for f, place in enumerate(places)])
    return np.concatenate([_pooled(output - thresholds, paths) for output, paths in zip(outputs, both, strict=True)])


def _inputs(paths: Paths) -> Array:
    """Return what filters see of each visit, shape (N, L, columns); 0 beyond a patient's visits."""
    time = paths.points[:, :, -1:]
    gap = np.diff(time, axis=1, prepend=time[:, :1])
    columns = np.concatenate([paths.points, paths.observed - 0.5, np.cbrt(gap)], axis=2)
    return np.where(paths.inside[:, :, None], columns, 0.0)


def _filters(n_columns: int, rng: np.random.Generator) -> Array:
    """Return random weights of a few columns at the last visits, shape (widest, columns, filters)."""
    weights = rng.normal(size=(max(WIDTHS), n_columns, N_FILTERS))
    widths = rng.choice(WIDTHS, N_FILTERS)
    weights *= np.arange(max(WIDTHS))[:, None, None] < widths
    share = 2.0 ** rng.uniform(0, np.log2(n_columns + 1), N_FILTERS) / n_columns
    return weights * (rng.random((n_columns, N_FILTERS)) < share)


def _convolved(inputs: Array, weights: Array) -> Array:
    """Return each filter at each visit and those before it, shape (N, L, filters)."""
    output = inputs @ weights[0]
    for back in range(1, len(weights)):
        output[:, back:] += inputs[:, :-back] @ weights[back]
    return output


def _pooled(output: Array, paths: Paths) -> Array:
    inside: NDArray[np.bool_] = paths.inside[:, :, None]
    length = paths.length[:, None]
    mean = np.where(inside, np.tanh(output), 0.0).sum(axis=1) / length
    largest = np.where(inside, output, -np.inf).max(axis=1)
    positive = (inside & (output > ROUNDING)).sum(axis=1) / length  # visits alike are often exactly at the threshold
    return np.concatenate([mean, largest, positive], axis=1)
