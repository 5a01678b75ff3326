"""Whether values are missing as often, and together, as in real patients."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.association import correlations
from longsynth.evaluation.base import WHOLE, Setting, metric
from longsynth.evaluation.columns import with_whole
from longsynth.evaluation.marginal import missing_shares
from longsynth.exceptions import NotComputableError


@metric(block="missingness", level="visit", title="Shares of missing values", by_stratum=True, is_share=True)
def missing_rate(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the difference in the share of missing values of each column, ``|P(missing) - Q(missing)|``, and the mean.

    Sees: values that go missing more or less often. Not: in whom, when and together with what.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole, each static attribute (share of patients) and each channel (share of visits); in [0, 1], lower is
        better. All channels of a sample without visits count as missing.

    Raises
    ------
    NotComputableError
        If the schema has neither static attributes nor channels.

    References
    ----------
    Rubin (1976), Inference and missing data, doi:10.1093/biomet/63.3.581.
    """
    made, real = missing_shares(sample), missing_shares(reference)
    return with_whole({name: abs(made[name] - share) for name, share in real.items()}, "column")


@metric(block="missingness", level="visit", title="Which values are missing together")
def missing_together(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Return the difference of the correlations between missing indicators, ``mean_{a<b} |phi_ab(P) - phi_ab(Q)|``.

    Pairs of channels over visits and pairs of static attributes over patients; pairs of which one is never or always
    missing in the reference are left out, and count as 0 where that is so in the sample.

    Sees: values missing at random instead of by panels, columns permuted where real ones are missing by panels.
    Not: how often, in whom and when.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        The whole and, for each column with such a pair, the mean over its pairs; in [0, 2], lower is better.

    Raises
    ------
    NotComputableError
        If no two columns of a table are sometimes missing in the reference, or none of these is ever observed in the
        sample.

    References
    ----------
    Van Buuren (2018), Flexible Imputation of Missing Data, section 4.1, doi:10.1201/9780429492259.
    """
    errors: dict[str, list[float]] = {}
    pairs: list[float] = []
    made_shares, any_seen = missing_shares(sample), False
    for table in ("static", "visits"):
        made, real = _phi(sample, table), _phi(reference, table)
        names = list(sample.schema.static if table == "static" else sample.schema.channels)
        for a, b in zip(*np.nonzero(np.triu(~np.isnan(real), 1)), strict=True):
            pairs.append(float(abs(np.nan_to_num(made[a, b]) - real[a, b])))
            for column in (a, b):
                any_seen |= made_shares[f"{table}.{names[column]}"] < 1
                errors.setdefault(f"{table}.{names[column]}", []).append(pairs[-1])
    if not pairs:
        raise NotComputableError("it needs two columns of one table that are sometimes missing in the real cohort")
    if not any_seen:
        raise NotComputableError(
            "no column that is sometimes missing in the real cohort is ever observed in the sample"
        )
    return {WHOLE: float(np.mean(pairs))} | {name: float(np.mean(found)) for name, found in errors.items()}


def _phi(cohort: Cohort, table: str) -> NDArray[np.float64]:
    """Return the correlations between the missing indicators of a table's columns; NaN where one does not vary."""
    frame, columns = (
        (cohort.static, cohort.schema.static) if table == "static" else (cohort.visits, cohort.schema.channels)
    )
    missing = frame.select(pl.col(list(columns)).is_null().cast(pl.Float64)).to_numpy()
    return correlations(missing, missing)
