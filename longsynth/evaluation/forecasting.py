"""Whether a forecast that is learnt from synthetic patients holds for real ones."""

from __future__ import annotations

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import transition_features
from longsynth.evaluation.columns import observed
from longsynth.exceptions import NotComputableError
from longsynth.seeding import child_seed

FEWEST_PAIRS = 20
CLIPPED_SHARE = 0.01


def r2_next_tstr(synthetic: Cohort, holdout: Cohort, seed: int = 0) -> float:
    """Return how well the next visit of holdout patients is forecast by models trained on synthetic ones.

    For each continuous channel, gradient boosting of its value at the next visit on all channels of this visit, the
    static attributes and the gap; ``R2 = 1 - sum (y - y^)^2 / sum (y - mean y)^2`` on the holdout, averaged over
    channels. Values to be forecast are clipped to the holdout's 1st and 99th percentile, so that a few extreme ones do
    not rule a sum of squares.

    Parameters
    ----------
    synthetic, holdout : Cohort
        Under one schema. Give the train cohort as ``synthetic`` to learn what real data would give.
    seed : int
        Of the models.

    Returns
    -------
    float
        At most 1, higher is better; 0 is no better than the mean, below 0 worse.

    Raises
    ------
    NotComputableError
        If no continuous channel has 20 pairs of consecutive values in the holdout, or one that has them there has
        fewer in the synthetic cohort.
    """
    names = [name for name, column in holdout.schema.channels.items() if column.kind == "continuous"]
    if not names:
        raise NotComputableError("it needs a continuous channel, and the schema has none")
    train, test = transition_features(synthetic), transition_features(holdout)
    scores = []
    for name in names:
        seen_train, seen_test = (table.drop_nulls(f"after.{name}") for table in (train, test))
        if seen_test.height < FEWEST_PAIRS or seen_test[f"after.{name}"].n_unique() < 2:
            continue
        if seen_train.height < FEWEST_PAIRS:
            raise NotComputableError(f"{name} has fewer than {FEWEST_PAIRS} next values in the synthetic cohort")
        scores.append(_r2(seen_train, seen_test, f"after.{name}", child_seed(seed, "forecasting", name)))
    if not scores:
        raise NotComputableError(f"no continuous channel has {FEWEST_PAIRS} next values in the holdout")
    return float(np.mean(scores))


def _r2(train: pl.DataFrame, test: pl.DataFrame, target: str, seed: int) -> float:
    known = train.select(column.name for column in train if column.null_count() < len(column)).columns
    inputs = [name for name in known[1:] if not name.startswith("after.")]
    low, high = np.quantile(observed(test[target]), [CLIPPED_SHARE, 1 - CLIPPED_SHARE])
    y_train, y_test = (np.clip(observed(table[target]), low, high) for table in (train, test))
    model = HistGradientBoostingRegressor(random_state=seed)
    with threadpool_limits(1, "openmp"):  # on so few rows more threads only wait for each other
        model.fit(train.select(inputs).to_numpy(), y_train)
        residual = y_test - model.predict(test.select(inputs).to_numpy())
    return float(1 - (residual**2).sum() / ((y_test - y_test.mean()) ** 2).sum())
