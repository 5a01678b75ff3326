"""Whether every column, on its own, looks as in real patients."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import wasserstein_distance

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import COLUMN_UNIT, WHOLE, Setting, metric
from longsynth.evaluation.columns import level_columns, number_columns, patient_weights, with_whole
from longsynth.evaluation.marginal import Values, Weights, by_column, kolmogorov_smirnov, total_variation
from longsynth.exceptions import NotComputableError

CHANNEL = "visits."
FEWEST_VALUES = 20


@metric(
    block="marginal",
    level="visit",
    title="Distributions of numeric columns, visits alike",
    by_stratum=True,
    is_share=True,
)
def ks(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the Kolmogorov-Smirnov distance of each numeric column, ``sup_x |F(x) - G(x)|``, and their mean.

    Sees: values and durations that shift: times doubled. Not: order in time, which patient has which values, how
    columns go together.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole and each continuous, count and date column and the duration; in [0, 1], lower is better. Missing
        values are left out; 1 where the sample has no value at all.

    Raises
    ------
    NotComputableError
        If no numeric column has a value in the reference.

    References
    ----------
    Massey (1951), The Kolmogorov-Smirnov test for goodness of fit, doi:10.1080/01621459.1951.10500769.
    """
    return with_whole(
        by_column(number_columns(sample), number_columns(reference), kolmogorov_smirnov), "numeric column"
    )


@metric(block="marginal", level="visit", title="Distributions of numeric channels, patients alike", is_share=True)
def ks_patient_weighted(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return `ks` of each numeric channel with weight ``1 / T_i`` for a value of a patient who has ``T_i`` of them.

    Sees: values that shift; unlike `ks` not the share of visits that comes from patients seen often.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole and each continuous, count and date channel; in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If no numeric channel has a value in the reference.

    References
    ----------
    Massey (1951), The Kolmogorov-Smirnov test for goodness of fit, doi:10.1080/01621459.1951.10500769.
    """
    columns = number_columns(sample), number_columns(reference)
    weights = _weights(sample, reference, columns[1])
    distances = {
        name: kolmogorov_smirnov(columns[0][name], columns[1][name], weights[name])
        for name in weights
        if columns[1][name].size
    }
    return with_whole(distances, "numeric channel")


@metric(block="marginal", level="visit", title="Shares of levels, visits alike", by_stratum=True, is_share=True)
def tv(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the total variation distance of each column with levels, ``sum_k |p_k - q_k| / 2``, and their mean.

    Sees: levels or event types that get more or less frequent. Not: order in time, which patient has which level.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole and each binary, ordinal and categorical column and the event type; in [0, 1], lower is better.
        Missing values are left out; 1 where the sample has no value at all.

    Raises
    ------
    NotComputableError
        If no column with levels has a value in the reference.

    References
    ----------
    Levin and Peres (2017), Markov Chains and Mixing Times, section 4.1, doi:10.1090/mbk/107.
    """
    return with_whole(by_column(level_columns(sample), level_columns(reference), total_variation), "column with levels")


@metric(block="marginal", level="visit", title="Shares of levels of channels, patients alike", is_share=True)
def tv_patient_weighted(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return `tv` of each channel with levels, with weight ``1 / T_i`` for a value of a patient who has ``T_i``.

    Sees: levels that get more or less frequent; unlike `tv` not the share of visits of patients seen often.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole and each binary, ordinal and categorical channel; in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If no channel with levels has a value in the reference.

    References
    ----------
    Levin and Peres (2017), Markov Chains and Mixing Times, section 4.1, doi:10.1090/mbk/107.
    """
    columns = level_columns(sample), level_columns(reference)
    weights = _weights(sample, reference, columns[1])
    distances = {
        name: total_variation(columns[0][name], columns[1][name], weights[name])
        for name in weights
        if columns[1][name].size
    }
    return with_whole(distances, "channel with levels")


@metric(block="marginal", level="visit", title="Shift of numeric columns", unit=COLUMN_UNIT)
def wasserstein(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the Wasserstein distance of each numeric column in its own unit, ``int_0^1 |F^-1(u) - G^-1(u)| du``.

    Sees: values and durations that shift, by how much: times doubled. Not: order in time, which patient has which
    values.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        Each continuous, count and date column and the duration, visits pooled; at least 0, lower is better: by how
        much an average value must be moved. No whole, since units differ; columns without a value in the sample are
        left out (`ks` counts them as 1).

    Raises
    ------
    NotComputableError
        If no numeric column has a value in both.

    References
    ----------
    Ramdas, Garcia Trillos and Cuturi (2017), On Wasserstein two-sample testing, doi:10.3390/e19020047.
    """
    shifts = _shifts(sample, reference)
    with_whole(shifts, "numeric column")
    return shifts


@metric(block="marginal", level="visit", title="Mean shift of numeric columns, in interquartile ranges", unit="IQR")
def wasserstein_iqr(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean over numeric columns of `wasserstein` divided by the interquartile range of the reference.

    The standard deviation takes the place of an interquartile range of 0; columns constant in the reference are left
    out.

    Sees: values and durations that shift, by how much: times doubled. Not: order in time, which patient has which
    values.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole; at least 0, lower is better.

    Raises
    ------
    NotComputableError
        If no numeric column varies in the reference and has a value in the sample, or the sample has no value of a
        column with 20 values in the reference.

    References
    ----------
    Ramdas, Garcia Trillos and Cuturi (2017), On Wasserstein two-sample testing, doi:10.3390/e19020047.
    """
    shifts, real = _shifts(sample, reference), number_columns(reference)
    lacking = [name for name, values in real.items() if values.size >= FEWEST_VALUES and name not in shifts]
    if lacking:
        raise NotComputableError(f"the sample has no value of {len(lacking)} of {len(real)} numeric columns")
    scales = {name: _scale(real[name]) for name in shifts}
    relative = {name: shift / scales[name] for name, shift in shifts.items() if scales[name] > 0}
    return {WHOLE: with_whole(relative, "numeric column that varies")[WHOLE]}


def _shifts(sample: Cohort, reference: Cohort) -> dict[str, float]:
    made, real = number_columns(sample), number_columns(reference)
    return {
        name: float(wasserstein_distance(made[name], values))
        for name, values in real.items()
        if values.size and made[name].size
    }


def _scale(values: Values) -> float:
    lower, upper = np.quantile(values, [0.25, 0.75])
    return float(upper - lower or np.std(values))


def _weights(sample: Cohort, reference: Cohort, columns: Iterable[str]) -> dict[str, Weights]:
    """Return the weights of both cohorts for each of the columns that is a channel."""
    channels = [name.removeprefix(CHANNEL) for name in columns if name.startswith(CHANNEL)]
    return {f"{CHANNEL}{name}": (patient_weights(sample, name), patient_weights(reference, name)) for name in channels}
