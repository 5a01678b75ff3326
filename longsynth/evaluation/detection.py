"""Whether a classifier can tell synthetic patients from real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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
MOST_PAIRS = 20_000
MOST_REPEATS = 3
PATIENTS_OF_REPEATS = 999
MOST_EXPLAINED = 1_000
N_TREES = 100
N_PERMUTATIONS = 3
VISIT_FEATURES = ("visits.count", "visits.span", "visits.gap_mean", "visits.gap_sd")

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


def detect_patient(
    synthetic: Cohort, holdout: Cohort, seed: int = 0, n_repeats: int | None = None, n_trees: int | None = None
) -> float:
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
    n_trees : int or None
        Trees of a classifier. None: 100.

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
    Five folds; the AUC is of all out-of-fold predictions together. Below 500 patients the mean of 2, below 334 of 3
    repeats with other sub-samples and folds is returned, which takes away the chance of the split, not that of the
    patients.
    Gaps are taken to four digits, as in `longsynth.evaluation.visit_process.gaps`.

    References
    ----------
    Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, doi:10.48550/arXiv.1610.06545.
    """
    tables = [_features_by_patient(cohort) for cohort in (holdout, synthetic)]
    return _cross_fitted_auc(tables, tables, seed, n_repeats, n_trees)


def detect_transition(synthetic: Cohort, holdout: Cohort, seed: int = 0, n_repeats: int | None = None) -> float:
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
    n_repeats : int or None
        As in `detect_patient`.

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
    return _cross_fitted_auc(patients, pairs, seed, n_repeats)


def explain_detection(synthetic: Cohort, holdout: Cohort, seed: int = 0) -> pl.DataFrame:
    """Return what gives synthetic patients away, the most telling first: a repair list for `detect_patient`.

    The importance of a feature is its permutation importance for the cross-fitted classifier of `detect_patient`,
    ``AUC - AUC(its values permuted among the patients of a fold)``, mean of three permutations.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema. Both are sub-sampled to as many patients as the smaller one has, at most 1,000.
    seed : int
        Of the sub-samples, the folds, the classifier and the permutations.

    Returns
    -------
    polars.DataFrame
        One row a feature of `patient_features`: ``feature``, ``column`` it is made of (``visits.<channel>``,
        ``static.<attribute>``, ``event.duration``, ``event.type``, or ``visits`` for visit counts and times),
        ``column_importance`` (all features of the column permuted together), ``importance``, and the medians
        ``synthetic_median`` and ``real_median``, null where no patient has the feature. Sorted by the importance of
        the column, then of the feature.

    Raises
    ------
    NotComputableError
        If a cohort has fewer than 10 patients, or there is no feature.

    Notes
    -----
    Features of one channel know of each other, so that permuting just one of them may cost nothing: read the column
    first. Importances near 0, also negative ones, are noise, and so is the whole list where the AUC is no higher than
    that of a fresh real cohort.

    References
    ----------
    Breiman (2001), Random forests, doi:10.1023/A:1010933404324.
    """
    tables = [_features_by_patient(cohort) for cohort in (holdout, synthetic)]
    names = tables[0].columns[1:]
    if not names:
        raise NotComputableError("it needs a feature, and the schema has no column")
    table = _stack(tables, tables, min(_fewest(tables), MOST_EXPLAINED), seed, 0)
    columns = [_column_of(name, holdout) for name in names]
    distinct = list(dict.fromkeys(columns))
    groups = [[i for i, of in enumerate(columns) if of == column] for column in distinct]
    with _one_thread():
        loss = _auc_losses(table, [*groups, *([i] for i in range(len(names)))], seed)
    by_column = dict(zip(distinct, loss, strict=False))
    medians = [table.select(names).median().row(0) for table in reversed(tables)]
    found = pl.DataFrame(
        {
            "feature": names,
            "column": columns,
            "column_importance": [by_column[column] for column in columns],
            "importance": loss[len(groups) :],
            "synthetic_median": pl.Series(medians[0], dtype=pl.Float64),
            "real_median": pl.Series(medians[1], dtype=pl.Float64),
        }
    )
    return found.sort("column_importance", "column", "importance", descending=[True, False, True], maintain_order=True)


def _column_of(feature: str, cohort: Cohort) -> str:
    """Return the column that a feature of `patient_features` is made of."""
    if feature.startswith(("static.", "event.")) or feature in VISIT_FEATURES:
        return feature if feature not in VISIT_FEATURES else "visits"
    return "visits." + max((name for name in cohort.schema.channels if feature.startswith(f"{name}.")), key=len)


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
    patients: list[pl.DataFrame],
    rows: list[pl.DataFrame],
    seed: int,
    n_repeats: int | None = None,
    n_trees: int | None = None,
) -> float:
    """Return the mean AUC over repeats; ``patients`` and ``rows`` of the holdout, then of the synthetic cohort."""
    fewest = _fewest(patients)
    rows_per_patient = max(table.height / len(ids) for table, ids in zip(rows, patients, strict=True))
    n_patients = max(FEWEST_PATIENTS, min(fewest, int(MOST_PAIRS / rows_per_patient)))
    n_repeats = n_repeats or int(np.clip(PATIENTS_OF_REPEATS // n_patients, 1, MOST_REPEATS))
    with _one_thread():
        aucs = [_one_auc(patients, rows, n_patients, seed, repeat, n_trees) for repeat in range(n_repeats)]
    return float(np.mean(aucs))


def _one_thread() -> threadpool_limits:
    """Hold what fits and predicts to one thread: on so few rows more of them only wait for each other.

    Around all fits of a call, not each of them: looking for the libraries to hold takes milliseconds every time.
    """
    return threadpool_limits(1, "openmp")


def _fewest(patients: list[pl.DataFrame]) -> int:
    fewest = min(table.height for table in patients)
    if fewest < FEWEST_PATIENTS:
        raise NotComputableError(f"one of the two cohorts has {fewest} usable patients; it needs {FEWEST_PATIENTS}")
    return fewest


class _Stacked(NamedTuple):
    """Rows of both cohorts under each other: features, whether synthetic (1), and the fold of the row's patient."""

    features: Rows
    labels: Labels
    folds: Labels


def _one_auc(
    patients: list[pl.DataFrame],
    rows: list[pl.DataFrame],
    n_patients: int,
    seed: int,
    repeat: int,
    n_trees: int | None,
) -> float:
    table = _stack(patients, rows, n_patients, seed, repeat)
    predicted = np.empty(len(table.labels))
    for out, model, known in _fitted_folds(table, child_seed(seed, repeat), n_trees):
        predicted[out] = _predict(model, table.features[out][:, known])
    return float(roc_auc_score(table.labels, predicted))


def _stack(patients: list[pl.DataFrame], rows: list[pl.DataFrame], n_patients: int, seed: int, repeat: int) -> _Stacked:
    features, labels, folds = [], [], []
    for label, (ids, table) in enumerate(zip(patients, rows, strict=True)):
        chosen = stream(seed, "detection", repeat, label).permutation(ids.height)[:n_patients]
        places = ids[:, :1][chosen].with_columns(pl.Series("(fold)", np.arange(n_patients) % N_FOLDS))
        placed = places.join(table, on=ids.columns[0], how="inner", maintain_order="left_right")
        features.append(placed.drop(ids.columns[0], "(fold)").to_numpy())
        folds.append(placed["(fold)"].to_numpy())
        labels.append(np.full(placed.height, label))
    return _Stacked(np.concatenate(features), np.concatenate(labels), np.concatenate(folds))


def _fitted_folds(
    table: _Stacked, seed: int, n_trees: int | None = None
) -> Iterator[tuple[NDArray[np.bool_], HistGradientBoostingClassifier, NDArray[np.bool_]]]:
    """Yield for each fold its rows, a classifier that has not seen them, and the features that it uses."""
    for fold in range(N_FOLDS):
        out = table.folds == fold
        known = ~np.isnan(table.features[~out]).all(axis=0)
        model = HistGradientBoostingClassifier(max_iter=n_trees or N_TREES, random_state=seed)
        model.fit(table.features[~out][:, known], table.labels[~out])
        yield out, model, known


def _predict(model: HistGradientBoostingClassifier, features: Rows) -> NDArray[np.float64]:
    return np.asarray(model.predict_proba(features)[:, 1])


def _auc_losses(table: _Stacked, groups: list[list[int]], seed: int) -> NDArray[np.float64]:
    """Return the mean loss of AUC when the values of a group of features are permuted among rows, for each group."""
    predicted = np.empty((1 + len(groups) * N_PERMUTATIONS, len(table.labels)))
    for out, model, known in _fitted_folds(table, child_seed(seed, 0)):
        versions = [table.features[out]]
        for number, group in enumerate(groups):
            for repeat in range(N_PERMUTATIONS):
                order = stream(seed, "permutation", number, repeat).permutation(out.sum())
                versions.append(versions[0].copy())
                versions[-1][:, group] = versions[0][order][:, group]
        scores = _predict(model, np.concatenate(versions)[:, known])
        predicted[:, out] = scores.reshape(len(versions), -1)
    aucs = np.array([roc_auc_score(table.labels, scores) for scores in predicted])
    return np.asarray(aucs[0] - aucs[1:].reshape(-1, N_PERMUTATIONS).mean(axis=1))
