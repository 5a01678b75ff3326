"""Metrics of how fast channels rise and fall in patients, overall and by treatment arm.

A linear mixed model often does not converge, and a metric that fails in one of two hundred splits is of no use. So the
two-stage method is used everywhere, which has a closed form: a least-squares slope in each patient, then a
random-effects mean of these slopes. It equals the mixed model's slope when spreads are known, but it does not borrow
strength from other patients where records are short because patients died.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numbers
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.columns import ordered_channels, require, with_whole
from longsynth.evaluation.marginal import kolmogorov_smirnov
from longsynth.evaluation.visit_arrays import Array, Integers, VisitArrays, paired_arrays
from longsynth.exceptions import NotComputableError

FEWEST_SLOPES = 5
NEEDED = f"channel with slopes in {FEWEST_SLOPES} patients"


@dataclass(frozen=True)
class Slopes:
    """The least-squares slopes of one channel, of the patients with values at two or more times.

    Attributes
    ----------
    patient : array of int, shape (k,)
        Number of the patient among those with visits.
    slope : array, shape (k,)
        In units of the channel per time unit.
    variance : array, shape (k,)
        Squared standard error of each slope, with one residual variance for all patients; 0 where no patient has three
        values, so that there is no residual.
    """

    patient: Integers
    slope: Array
    variance: Array


@metric(block="temporal", level="trajectory", title="Distribution of patients' slopes", by_stratum=True, is_share=True)
def slope_distribution(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the mean Kolmogorov-Smirnov distance between patients' slopes, ``mean_c sup_b |F_c(b) - G_c(b)|``.

    Sees: times stretched; in most samples of 200 patients visits dealt across patients, and visit order shuffled where
    channels drift. Not: a shift of all values.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``) that is not categorical; in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or none has slopes in 5 patients of the reference.

    References
    ----------
    Matthews et al. (1990), Analysis of serial measurements in medical research, doi:10.1136/bmj.300.6719.230.
    """
    parts = {}
    for name, (made, real) in _both(sample, reference).items():
        if len(real.slope) >= FEWEST_SLOPES:
            parts[f"visits.{name}"] = kolmogorov_smirnov(made.slope, real.slope)
    return with_whole(parts, NEEDED)


@metric(
    block="temporal",
    level="trajectory",
    title="Mean slope, difference in standard errors",
    unit="standard errors",
    is_standardised=True,
)
def slope_mean(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the difference between the channels' mean slopes in units of its standard error.

    ``sqrt(mean_c z_c^2)`` with ``z = (b_S - b_R) / sqrt(se_S^2 + se_R^2)`` of the means that `mean_slope` estimates.

    Sees, where channels drift on average: visit order shuffled, times stretched. Weakly, in 200 patients, where slopes
    differ but nearly cancel: visit order shuffled. Not: a shift of all values, the spread of slopes.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole, and ``|z|`` of each channel (``visits.<channel>``) that is not categorical; at least 0, lower is
        better.

    Raises
    ------
    NotComputableError
        If the schema has no such channel, or none has slopes in 5 patients of each cohort.

    References
    ----------
    DerSimonian and Laird (1986), Meta-analysis in clinical trials, doi:10.1016/0197-2456(86)90046-2.
    """
    parts = {}
    for name, (made, real) in _both(sample, reference).items():
        z = _standardised(mean_slope(made), mean_slope(real))
        if z is not None:
            parts[f"visits.{name}"] = abs(z)
    return with_whole(parts, NEEDED) | {WHOLE: _root_mean_square(list(parts.values()))}


@metric(
    block="trial",
    level="trajectory",
    title="Mean slope in each arm",
    unit="standard errors",
    is_standardised=True,
)
def slope_by_arm(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return the difference between the channels' mean slopes in each arm, in units of its standard error.

    ``sqrt(mean_{c,a} z_ca^2)`` with ``z = (b_S - b_R) / sqrt(se_S^2 + se_R^2)`` of the means that `mean_slope`
    estimates in arm a.

    Sees: arms swapped where they differ, visit order shuffled or times stretched where channels drift. Not: a shift of
    all values.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Names the arm.

    Returns
    -------
    dict of str to float
        The whole, the root mean square of each channel (``visits.<channel>``) that is not categorical, and of each arm
        (``arm <level>``); at least 0, lower is better.

    Raises
    ------
    NotComputableError
        If no arm is set, it is no attribute with levels, or no channel has slopes in 5 patients of an arm of each
        cohort.

    References
    ----------
    As `slope_mean`.
    """
    by_channel: dict[str, list[float]] = {}
    by_arm: dict[str, list[float]] = {}
    for name, (made, real) in _by_arm(sample, reference, setting).items():
        for arm in real:
            z = _standardised(mean_slope(made[arm]), mean_slope(real[arm]))
            if z is not None:
                by_channel.setdefault(f"visits.{name}", []).append(z)
                by_arm.setdefault(f"arm {arm}", []).append(z)
    parts = {name: _root_mean_square(found) for name, found in (by_channel | by_arm).items()}
    everything = [z for found in by_channel.values() for z in found]
    return with_whole(parts, NEEDED) | {WHOLE: _root_mean_square(everything)}


@metric(
    block="trial",
    level="trajectory",
    title="Difference of slopes between arms",
    worse="both",
    unit="standard errors",
    is_standardised=True,
)
def slope_arm_effect(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return the error of the effect of treatment on the slopes, in units of its standard error.

    ``((b_S,a - b_S,0) - (b_R,a - b_R,0)) / se`` with the mean slopes of `mean_slope` in arm a and in the first arm, and
    se the root of the four squared standard errors; averaged over further arms and over channels.

    Sees: arms swapped where slopes differ between them. Not: slopes that are wrong by as much in all arms.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Names the arm.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``) that is not categorical; 0 is best. Channels of opposite
        meaning may cancel in the mean: read the channels.

    Raises
    ------
    NotComputableError
        As `slope_by_arm`; both arms are needed.

    References
    ----------
    As `slope_mean`.
    """
    parts = {}
    for name, (made, real) in _by_arm(sample, reference, setting).items():
        first, *others = real
        found = [_standardised(_minus(made, arm, first), _minus(real, arm, first)) for arm in others]
        known = [z for z in found if z is not None]
        if known:
            parts[f"visits.{name}"] = float(np.mean(known))
    return with_whole(parts, NEEDED)


def patient_slopes(arrays: VisitArrays, name: str) -> Slopes:
    """Return the least-squares slope of one channel on time in each patient with values at two or more times."""
    patient, time, value = arrays.column(name)
    n = np.bincount(patient, minlength=arrays.n_patients)
    known = np.maximum(n, 1)
    t = time - (np.bincount(patient, time, arrays.n_patients) / known)[patient]
    y = value - (np.bincount(patient, value, arrays.n_patients) / known)[patient]
    spread = np.bincount(patient, t**2, arrays.n_patients)
    usable = spread > 0
    slope = np.bincount(patient, t * y, arrays.n_patients) / np.where(usable, spread, 1)
    residual = y - slope[patient] * t
    freedom = (n[usable] - 2).sum()
    variance = (residual[usable[patient]] ** 2).sum() / freedom if freedom > 0 else 0.0
    return Slopes(np.flatnonzero(usable), slope[usable], variance / spread[usable])


def mean_slope(slopes: Slopes) -> tuple[float, float] | None:
    """Return the random-effects mean of patients' slopes and its standard error.

    Patient i counts with ``1 / (v_i + tau^2)``, v_i being the squared standard error of its slope and tau^2 the
    variance of true slopes between patients by the method of moments (DerSimonian and Laird 1986).

    Returns
    -------
    (mean, standard error) or None
        None with fewer than 5 patients.
    """
    k = len(slopes.slope)
    if k < FEWEST_SLOPES:
        return None
    if not slopes.variance.min() > 0:
        return float(slopes.slope.mean()), float(slopes.slope.std(ddof=1) / np.sqrt(k))
    weights = 1 / slopes.variance
    centre = np.average(slopes.slope, weights=weights)
    heterogeneity = (weights * (slopes.slope - centre) ** 2).sum()
    tau2 = max(0.0, (heterogeneity - (k - 1)) / (weights.sum() - (weights**2).sum() / weights.sum()))
    weights = 1 / (slopes.variance + tau2)
    return float(np.average(slopes.slope, weights=weights)), float(1 / np.sqrt(weights.sum()))


def _both(sample: Cohort, reference: Cohort) -> dict[str, tuple[Slopes, Slopes]]:
    names = ordered_channels(reference.schema)
    require(names)
    made, real = paired_arrays(sample, reference, names)
    return {name: (patient_slopes(made, name), patient_slopes(real, name)) for name in real.names}


def _by_arm(
    sample: Cohort, reference: Cohort, setting: Setting
) -> dict[str, tuple[dict[str, Slopes], dict[str, Slopes]]]:
    """Return for each channel the slopes in each arm of both cohorts."""
    column = reference.schema.static.get(setting.arm) if setting.arm is not None else None
    if setting.arm is None or column is None or column.levels is None:
        raise NotComputableError("it needs `arm`, a static attribute with levels")
    arms = [_arms(cohort, setting.arm) for cohort in (sample, reference)]
    return {
        name: (_split(made, arms[0], column.levels), _split(real, arms[1], column.levels))
        for name, (made, real) in _both(sample, reference).items()
    }


def _arms(cohort: Cohort, arm: str) -> NDArray[np.float64]:
    """Return the arm, as a position among its levels, of each patient with visits."""
    name = cohort.schema.patient_id
    seen = cohort.static.join(cohort.visits.select(name).unique(), on=name, how="semi", maintain_order="left")
    return numbers(seen[arm], cohort.schema.static[arm]).fill_null(-1.0).cast(pl.Float64).to_numpy()


def _split(slopes: Slopes, arms: NDArray[np.float64], levels: tuple[object, ...]) -> dict[str, Slopes]:
    chosen = {str(level): arms[slopes.patient] == rank for rank, level in enumerate(levels)}
    return {
        level: Slopes(slopes.patient[rows], slopes.slope[rows], slopes.variance[rows]) for level, rows in chosen.items()
    }


def _minus(slopes: dict[str, Slopes], arm: str, first: str) -> tuple[float, float] | None:
    """Return the difference of two arms' mean slopes and its standard error."""
    means = mean_slope(slopes[arm]), mean_slope(slopes[first])
    if means[0] is None or means[1] is None:
        return None
    return means[0][0] - means[1][0], float(np.hypot(means[0][1], means[1][1]))


def _standardised(made: tuple[float, float] | None, real: tuple[float, float] | None) -> float | None:
    """Return the difference of two estimates in units of its standard error; None where there is none."""
    if made is None or real is None:
        return None
    difference, error = made[0] - real[0], float(np.hypot(made[1], real[1]))
    if error == 0:
        return 0.0 if difference == 0 else None
    return difference / error


def _root_mean_square(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
