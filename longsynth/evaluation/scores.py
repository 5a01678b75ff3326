"""All fidelity and utility metrics of one synthetic cohort."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.association import corr_static, corr_visit
from longsynth.evaluation.detection import detect_patient, detect_transition
from longsynth.evaluation.forecasting import r2_next_tstr
from longsynth.evaluation.marginal import ks_mean, missing_mean, tv_mean
from longsynth.evaluation.risk_model import cindex_tstr
from longsynth.evaluation.survival import cens_area, km_area
from longsynth.evaluation.temporal import auto_lag1, corr_change, corr_lag1, icc_diff, ks_slope
from longsynth.evaluation.visit_process import ks_gap, ks_visits, rows_after_end
from longsynth.exceptions import NotComputableError

FIDELITY_METRICS = (
    "detect_patient",
    "detect_transition",
    "ks_mean",
    "tv_mean",
    "missing_mean",
    "ks_visits",
    "ks_gap",
    "ks_slope",
    "corr_visit",
    "corr_lag1",
    "auto_lag1",
    "corr_change",
    "corr_static",
    "icc_diff",
    "km_area",
    "cens_area",
    "cindex_tstr",
    "cindex_trtr",
    "r2_next_tstr",
    "r2_next_trtr",
    "rows_after_end",
)


def measure(
    synthetic: Cohort, train: Cohort, holdout: Cohort, seed: int = 0
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return every fidelity and utility metric, and for each one without a value the reason.

    Parameters
    ----------
    synthetic, train, holdout : Cohort
        Under one schema. ``holdout`` is real and was not used to make ``synthetic``; ``train`` only serves to tell
        what the forecasts would be worth had they been learnt from real patients (``cindex_trtr``, ``r2_next_trtr``).
    seed : int
        Of the metrics that need randomness.

    Returns
    -------
    values : dict of str to float or None
        By name, in the order of `FIDELITY_METRICS`; None where the metric has no value for these cohorts.
    reasons : dict of str to str
        Why, for each None.
    """
    metrics: list[Callable[[], float]] = [
        partial(detect_patient, synthetic, holdout, seed),
        partial(detect_transition, synthetic, holdout, seed),
        partial(ks_mean, synthetic, holdout),
        partial(tv_mean, synthetic, holdout),
        partial(missing_mean, synthetic, holdout),
        partial(ks_visits, synthetic, holdout),
        partial(ks_gap, synthetic, holdout),
        partial(ks_slope, synthetic, holdout),
        partial(corr_visit, synthetic, holdout),
        partial(corr_lag1, synthetic, holdout),
        partial(auto_lag1, synthetic, holdout),
        partial(corr_change, synthetic, holdout),
        partial(corr_static, synthetic, holdout),
        partial(icc_diff, synthetic, holdout),
        partial(km_area, synthetic, holdout),
        partial(cens_area, synthetic, holdout),
        partial(cindex_tstr, synthetic, holdout),
        partial(cindex_tstr, train, holdout),
        partial(r2_next_tstr, synthetic, holdout, seed),
        partial(r2_next_tstr, train, holdout, seed),
        partial(rows_after_end, synthetic),
    ]
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, metric in zip(FIDELITY_METRICS, metrics, strict=True):
        try:
            values[name] = metric()
        except NotComputableError as error:
            values[name], reasons[name] = None, str(error)
    return values, reasons


def score_cohort(synthetic: Cohort, train: Cohort, holdout: Cohort, seed: int = 0) -> dict[str, float | None]:
    """Return every fidelity and utility metric by name; `measure` without the reasons.

    Parameters
    ----------
    synthetic, train, holdout : Cohort
        Under one schema.
    seed : int
        Of the metrics that need randomness.

    Returns
    -------
    dict of str to float or None
        None where a metric has no value for these cohorts.
    """
    return measure(synthetic, train, holdout, seed)[0]
