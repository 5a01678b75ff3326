"""All privacy metrics of one synthetic cohort."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import NotComputableError
from longsynth.privacy.duplicates import copied_static, copied_windows, holdout_windows
from longsynth.privacy.membership import mia_auc


def measure_privacy(
    synthetic: Cohort, train: Cohort, holdout: Cohort
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return every privacy metric, and for each one without a value the reason.

    Parameters
    ----------
    synthetic, train, holdout : Cohort
        Under one schema; ``holdout`` was not used to make ``synthetic``.

    Returns
    -------
    values : dict of str to float or None
        ``mia_auc``, ``copied_windows``, ``holdout_windows``, ``copied_static`` and ``holdout_static`` (the share of
        synthetic static rows with outcome that equal a holdout patient's, hence by chance).
    reasons : dict of str to str
        Why, for each None.
    """
    metrics: dict[str, Callable[[], float]] = {
        "mia_auc": partial(mia_auc, synthetic, train, holdout),
        "copied_windows": partial(copied_windows, synthetic, train, holdout),
        "holdout_windows": partial(holdout_windows, synthetic, train, holdout),
        "copied_static": partial(copied_static, synthetic, train),
        "holdout_static": partial(copied_static, synthetic, holdout),
    }
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, metric in metrics.items():
        try:
            values[name] = metric()
        except NotComputableError as error:
            values[name], reasons[name] = None, str(error)
    return values, reasons
