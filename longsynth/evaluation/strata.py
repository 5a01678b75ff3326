"""Strata: patients of one level of a static attribute, judged by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.numbered import take
from longsynth.cohort.trajectory import numeric_static
from longsynth.exceptions import ConfigError
from longsynth.schema.types import NUMERIC_KINDS, Schema

FEWEST_IN_A_STRATUM = 30
MOST_LEVELS = 10
THIRDS = ("lowest third", "middle third", "highest third")
Masks = dict[str, NDArray[np.bool_]]


def strata_names(schema: Schema, strata: Sequence[str] | None) -> tuple[str, ...]:
    """Return the static attributes to stratify by.

    Parameters
    ----------
    schema : Schema
        Of the real cohort.
    strata : sequence of str or None
        None: every binary and categorical attribute of at most 10 levels.

    Raises
    ------
    ConfigError
        If one of them is not a static attribute.
    """
    if strata is None:
        columns = schema.static.items()
        return tuple(
            name
            for name, one in columns
            if one.kind in ("binary", "categorical") and len(one.levels or ()) <= MOST_LEVELS
        )
    strata = [strata] if isinstance(strata, str) else strata
    unknown = [name for name in strata if name not in schema.static]
    if unknown:
        raise ConfigError(
            f"strata: {', '.join(unknown)} is no static attribute; choose from {', '.join(schema.static)}"
        )
    return tuple(strata)


def stratum_masks(cohort: Cohort, names: Sequence[str], pool: Cohort) -> Masks:
    """Return who is in each stratum.

    Parameters
    ----------
    cohort : Cohort
        N patients.
    names : sequence of str
        Static attributes: levels are strata of their own; numbers are cut at the thirds of the real patients.
    pool : Cohort
        The real patients.

    Returns
    -------
    dict of str to array of bool, shape (N,)
        By ``attribute=level``; patients without a value are in no stratum of that attribute.
    """
    schema, values, real = pool.schema, numeric_static(cohort), numeric_static(pool)
    masks: Masks = {}
    for name in names:
        column, coded = schema.static[name], values[f"static.{name}"].to_numpy()
        if column.kind in NUMERIC_KINDS:
            known = real[f"static.{name}"].drop_nulls().to_numpy()
            cuts = np.quantile(known, [1 / 3, 2 / 3]) if known.size else np.zeros(2)
            for third, label in enumerate(THIRDS):
                masks[f"{name}={label}"] = (np.searchsorted(cuts, coded) == third) & ~np.isnan(coded)
        else:
            for rank, level in enumerate(column.levels or ()):
                masks[f"{name}={level}"] = coded == rank
    return masks


def members(cohort: Cohort, mask: NDArray[np.bool_]) -> Cohort | None:
    """Return the patients of a stratum; None if there are fewer than 30."""
    if mask.sum() < FEWEST_IN_A_STRATUM:
        return None
    return take(cohort, np.flatnonzero(mask))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Return which hypotheses are rejected at a level that holds for all of them together.

    Parameters
    ----------
    p_values : sequence of float
        One a hypothesis.
    level : float
        Probability of any false rejection.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, https://www.jstor.org/stable/4615733.

    Examples
    --------
    >>> holm([0.04, 0.01, 0.03], 0.05)
    [False, True, False]
    """
    order = np.argsort(p_values)
    rejected = [False] * len(p_values)
    for place, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - place):
            break
        rejected[int(index)] = True
    return rejected
