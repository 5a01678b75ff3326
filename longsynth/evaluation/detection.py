"""Whether a classifier can tell synthetic patients from real ones."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import patient_features, transition_features
from longsynth.evaluation.visit_process import GAP_DIGITS
from longsynth.exceptions import NotComputableError
from longsynth.seeding import child_seed, stream

N_FOLDS = 5
FEWEST_PATIENTS = 2 * N_FOLDS
MOST_ROWS = 20_000
MOST_REPEATS = 3
PATIENTS_PER_REPEAT = 1_000

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


def detect_patient(synthetic: Cohort, holdout: Cohort, seed: int = 0, n_repeats: int | None = None) -> float:
    """Return how well synthetic patients are told from holdout patients by summaries of whole patients.

    Cross-fitted AUC of gradient boosting on `patient_features`, one row a patient.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema. The larger one is sub-sampled to as many patients as the smaller one has.
    seed : int
        Of the sub-samples, the folds and the classifier.
    n_repeats : int or None
        Number of sub-samples and folds to average over. None: as in the notes.

    Returns
    -------
    float
        In [0, 1]; 0.5 is best (a fresh real cohort gives about 0.5), 1 means always told apart. Small cohorts also
        give values a little below 0.5 by chance.

    Raises
    ------
    NotComputableError
        If a cohort has fewer than 10 patients.

    Notes
    -----
    Five folds; the AUC is of all out-of-fold predictions together. Below 1,000 patients the mean of up to 3 repeats
    with other sub-samples and folds is returned, which takes away the chance of the split, not that of the patients.
    Gaps are taken to four digits, as in `longsynth.evaluation.visit_process.gaps`.

    References
    ----------
    Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, doi:10.48550/arXiv.1610.06545.
    """
    tables = [_features_by_patient(cohort) for cohort in (holdout, synthetic)]
    return _cross_fitted_auc(tables, tables, seed, n_repeats)


def detect_transition(synthetic: Cohort, holdout: Cohort, seed: int = 0) -> float:
    """Return how well synthetic patients are told from holdout patients by pairs of consecutive visits.

    Cross-fitted AUC of gradient boosting on `transition_features`, one row a pair; all pairs of a patient lie in one
    fold, since otherwise a patient is recognised and not the difference.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema. The larger one is sub-sampled to as many patients as the smaller one has, and both to about
        20,000 pairs.
    seed : int
        Of the sub-samples, the folds and the classifier.

    Returns
    -------
    float
        In [0, 1]; as `detect_patient`.

    Raises
    ------
    NotComputableError
        If the schema has no visit time, or a cohort fewer than 10 patients with two visits.
    """
    if holdout.schema.visit_time is None:
        raise NotComputableError("it needs visits, and the schema has no visit time")
    patients, pairs = [], []
    for cohort in (holdout, synthetic):
        pairs.append(transition_features(cohort).with_columns(pl.col("gap").round_sig_figs(GAP_DIGITS)))
        features = _features_by_patient(cohort)
        patients.append(features.join(pairs[-1], on=features.columns[0], how="semi", maintain_order="left"))
    return _cross_fitted_auc(patients, pairs, seed)


def _features_by_patient(cohort: Cohort) -> pl.DataFrame:
    """Return `patient_features` in an order that depends on the features alone, not on the patients' ids."""
    features = patient_features(cohort)
    if cohort.schema.visit_time is not None:
        mean, sd = pl.col("visits.gap_mean"), pl.col("visits.gap_sd")
        sd = pl.when(sd < mean * 10.0**-GAP_DIGITS).then(0.0).otherwise(sd)
        features = features.with_columns(sd.alias("visits.gap_sd"))
        features = features.with_columns(
            pl.col("visits.span", "visits.gap_mean", "visits.gap_sd").round_sig_figs(GAP_DIGITS)
        )
    return features.sort(features.columns[1:])


def _cross_fitted_auc(
    patients: list[pl.DataFrame], rows: list[pl.DataFrame], seed: int, n_repeats: int | None = None
) -> float:
    """Return the mean AUC over repeats; ``patients`` and ``rows`` of the holdout, then of the synthetic cohort."""
    fewest = min(table.height for table in patients)
    if fewest < FEWEST_PATIENTS:
        raise NotComputableError(f"one of the two cohorts has {fewest} usable patients; it needs {FEWEST_PATIENTS}")
    rows_per_patient = max(table.height / len(ids) for table, ids in zip(rows, patients, strict=True))
    n_patients = max(FEWEST_PATIENTS, min(fewest, int(MOST_ROWS / rows_per_patient)))
    n_repeats = n_repeats or int(np.clip(PATIENTS_PER_REPEAT // n_patients, 1, MOST_REPEATS))
    return float(np.mean([_one_auc(patients, rows, n_patients, seed, repeat) for repeat in range(n_repeats)]))


def _one_auc(patients: list[pl.DataFrame], rows: list[pl.DataFrame], n_patients: int, seed: int, repeat: int) -> float:
    features, labels, folds = [], [], []
    for label, (ids, table) in enumerate(zip(patients, rows, strict=True)):
        chosen = stream(seed, "detection", repeat, label).permutation(ids.height)[:n_patients]
        places = ids[:, :1][chosen].with_columns(pl.Series("(fold)", np.arange(n_patients) % N_FOLDS))
        placed = places.join(table, on=ids.columns[0], how="inner", maintain_order="left_right")
        features.append(placed.drop(ids.columns[0], "(fold)").to_numpy())
        folds.append(placed["(fold)"].to_numpy())
        labels.append(np.full(placed.height, label))
    return _auc(np.concatenate(features), np.concatenate(labels), np.concatenate(folds), child_seed(seed, repeat))


def _auc(features: Rows, labels: Labels, folds: Labels, seed: int) -> float:
    """Return the AUC of predictions that are each made by a classifier which has not seen the fold."""
    predicted = np.empty(len(labels))
    for fold in range(N_FOLDS):
        out = folds == fold
        known = ~np.isnan(features[~out]).all(axis=0)
        model = HistGradientBoostingClassifier(random_state=seed)
        with threadpool_limits(1, "openmp"):  # on so few rows more threads only wait for each other
            model.fit(features[~out][:, known], labels[~out])
            predicted[out] = model.predict_proba(features[out][:, known])[:, 1]
    return float(roc_auc_score(labels, predicted))
