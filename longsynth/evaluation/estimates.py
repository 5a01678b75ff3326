"""What estimates from synthetic patients say about the population that the real patients come from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from longsynth.exceptions import ConfigError

Floats = NDArray[np.float64]


def combine_synthetic(estimates: Floats, variances: Floats, n_synthetic: int, n_real: int) -> tuple[float, float]:
    """Combine the estimates of m synthetic cohorts into one of the population, with its standard error.

    ``q = mean(q_i)`` and ``Var = mean(v_i) (n_S / n_R + 1 / m)``.

    Parameters
    ----------
    estimates : array, shape (m,)
        The same quantity of each synthetic cohort.
    variances : array, shape (m,)
        Their squared standard errors, computed as if the patients were real.
    n_synthetic : int
        Patients in each synthetic cohort.
    n_real : int
        Patients that the synthesizer was fitted to.

    Returns
    -------
    estimate, standard_error : float
        Of the population that the real patients come from.

    Raises
    ------
    ConfigError
        If there is no estimate, their numbers differ, or a number of patients is not above 0.

    Notes
    -----
    Assumes that the synthesizer estimates the distribution without bias and as precisely as the right parametric model
    would; deep ones are less precise, and private ones less still, so that the error is too small (see
    :func:`refitted_interval`). A single synthetic cohort (m = 1) taken for real
    patients forgets the first term altogether.

    References
    ----------
    Raab, Nowok and Dibben (2016), Practical data synthesis for large samples, doi:10.29012/jpc.v7i3.407.
    """
    if not len(estimates) or len(estimates) != len(variances):
        raise ConfigError("give one variance for each of one or more estimates")
    if min(n_synthetic, n_real) < 1:
        raise ConfigError("numbers of patients must be above 0")
    variance = variances.mean() * (n_synthetic / n_real + 1 / len(estimates))
    return float(estimates.mean()), float(np.sqrt(variance))


def refitted_interval(estimate: float, refitted: Floats, level: float = 0.95) -> tuple[float, float]:
    """Interval for the population by parametric bootstrap: a fit's estimate, and those of refits to its own patients.

    ``q - b - t s sqrt(1 + 1 / B)`` to ``q - b + t s sqrt(1 + 1 / B)``, with ``b = mean(q_i) - q``, ``s`` the standard
    deviation of the ``q_i``, and ``t`` the quantile of Student's distribution with ``B - 1`` degrees of freedom.

    Parameters
    ----------
    estimate : float
        ``q``, of synthetic patients of the fit, so many that their draw hardly matters: twenty times as many as were
        fitted. With as many as were fitted the interval is too narrow.
    refitted : array, shape (B,)
        ``q_i``, by the same steps from each of B refits, as
        :meth:`Synthesizer.refits <longsynth.synthesizer.Synthesizer.refits>` gives them.
    level : float
        How often the interval holds the population's value.

    Returns
    -------
    low, high : float
        In the units of the estimate; narrower is more precise.

    Raises
    ------
    ConfigError
        If there are fewer than two refits, or the level is not between 0 and 1.

    Notes
    -----
    Counts the error of the real sample, of the fit and, under differential privacy, of the noise, without looking at
    the real patients again. Assumes that a refit is off the fit as the fit is off the population: in the same
    direction, by as much, and about normally. What the network cannot express is not seen, as the fit does not have it.

    References
    ----------
    Davison and Hinkley (1997), Bootstrap Methods and their Application, doi:10.1017/CBO9780511802843. Ferrando, Wang
    and Sheldon (2022), Parametric Bootstrap for Differentially Private Confidence Intervals, AISTATS, PMLR 151.
    """
    n_refits = len(refitted)
    if n_refits < 2:
        raise ConfigError("give the estimates of two refits or more; ten or more make the interval narrower")
    if not 0 < level < 1:
        raise ConfigError("level must be above 0 and below 1, such as 0.95")
    centre = 2 * estimate - refitted.mean()
    width = t.ppf((1 + level) / 2, n_refits - 1) * refitted.std(ddof=1) * np.sqrt(1 + 1 / n_refits)
    return float(centre - width), float(centre + width)
