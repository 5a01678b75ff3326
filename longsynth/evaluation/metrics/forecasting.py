"""Whether a forecast that is learnt from the sample holds for real patients."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import transition_features
from longsynth.evaluation.base import Setting, metric
from longsynth.evaluation.columns import ordered_channels, require, with_whole
from longsynth.evaluation.forecasting import CLIPPED_SHARE, FEWEST_PAIRS
from longsynth.evaluation.visit_arrays import Array, carried_forward, visit_arrays
from longsynth.exceptions import NotComputableError
from longsynth.seeding import child_seed, stream

MOST_PATIENTS = 400
MOST_PAIRS = 20_000


@metric(
    block="forecasting", level="transition", title="Forecast of the next visit, gain over the last value",
    best=1.0, worse="lower", most_patients=MOST_PATIENTS, most_pairs=MOST_PAIRS,
)  # fmt: skip
def forecast_skill(sample: Cohort, reference: Cohort, setting: Setting) -> dict[str, float]:
    """Return how much better than the last value a model learnt from the sample forecasts the reference's next visit.

    ``mean_c 1 - sum (y - y^)^2 / sum (y - y_last)^2`` over channels that are not categorical: y a channel's value at a
    visit of a reference patient, y_last the patient's last observed one before (carried forward), y^ the forecast of
    gradient boosting from the last observed values of all channels, the static attributes and the gap, trained on the
    sample. The same with a real sample in its place, the ceiling, is what real patients would teach.

    Sees: visit order shuffled, visits dealt across patients, columns permuted. Not: when visits are; what the last
    values, baseline and gap cannot tell.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.
    setting : Setting
        Seeds the models.

    Returns
    -------
    dict of str to float
        The mean, and each channel (``visits.<channel>``); at most 1, higher is better, 0 is no better than the last
        value, below 0 worse.

    Raises
    ------
    NotComputableError
        If no channel that is not categorical has 20 values with one before in the reference, or one that has them
        there has none in the sample.

    Notes
    -----
    Values and forecasts are clipped to the reference's 1st and 99th percentile, so that a few extreme ones do not rule
    a sum of squares. Binary and ordinal channels count as numbers: for a binary one this is the Brier skill score. At
    most 20,000 of the sample's visits are learnt from, drawn at random.

    References
    ----------
    Esteban, Hyland and Rätsch (2017), Real-valued (medical) time series generation with recurrent conditional GANs,
    doi:10.48550/arXiv.1706.02633. Murphy (1988), Skill scores based on the mean square error and their relationships
    to the correlation coefficient, doi:10.1175/1520-0493(1988)116<2417:SSBOTM>2.0.CO;2.
    """
    names = ordered_channels(reference.schema)
    require(names)
    train, test = _Pairs(sample, names), _Pairs(reference, names)
    parts = {}
    for c, name in enumerate(names):
        rows = [pairs.usable(c) for pairs in (train, test)]
        last, after = test.last[rows[1], c], test.after[rows[1], c]
        if len(after) < FEWEST_PAIRS or not (last != after).any():
            continue
        if not rows[0].any():
            raise NotComputableError(f"the sample has no value of {name} after another one to learn from")
        low, high = np.quantile(after, [CLIPPED_SHARE, 1 - CLIPPED_SHARE])
        if low == high:
            continue
        seed = child_seed(setting.seed, "forecast_skill", name)
        forecast = _forecast(train.inputs[rows[0]], train.after[rows[0], c].clip(low, high), test.inputs[rows[1]], seed)
        actual, last = after.clip(low, high), last.clip(low, high)
        carried = ((actual - last) ** 2).sum()
        if carried > 0:
            parts[f"visits.{name}"] = float(1 - ((actual - forecast) ** 2).sum() / carried)
    return with_whole(parts, f"channel with {FEWEST_PAIRS} values after another one")


class _Pairs:
    """Every visit after a patient's first: what is known before it, and its values.

    Attributes
    ----------
    inputs : array, shape (n, P)
        Static attributes, the gap, and the last observed value of each channel; NaN where there is none.
    last, after : array, shape (n, C)
        Each channel's last observed value before, and its value at the visit; NaN where there is none.
    """

    inputs: Array
    last: Array
    after: Array

    def __init__(self, cohort: Cohort, names: list[str]) -> None:
        arrays = visit_arrays(cohort, list(cohort.schema.channels))
        later = arrays.patient[1:] == arrays.patient[:-1]
        known = transition_features(cohort).select("gap", *(f"static.{name}" for name in cohort.schema.static))
        carried = carried_forward(arrays.values, arrays.patient)[:-1][later]
        chosen = [arrays.names.index(name) for name in names]
        self.inputs = np.column_stack([known.to_numpy().astype(np.float64), carried])
        self.last, self.after = carried[:, chosen], arrays.values[1:][later][:, chosen]

    def usable(self, channel: int) -> np.ndarray:
        """Return which visits have a value of the channel and one before it."""
        return ~np.isnan(self.last[:, channel]) & ~np.isnan(self.after[:, channel])


def _forecast(inputs: Array, targets: Array, new: Array, seed: int) -> Array:
    """Return forecasts at the new inputs; the mean target where there are too few to learn from."""
    if len(targets) < FEWEST_PAIRS:
        return np.full(len(new), targets.mean())
    known = ~np.isnan(inputs).all(axis=0)
    order = np.lexsort(np.nan_to_num(np.column_stack([targets, inputs])).T)  # whatever the order of patients
    order = stream(seed, "rows").permutation(order)[:MOST_PAIRS]
    model = HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes=10, early_stopping=False, random_state=seed)
    with threadpool_limits(1, "openmp"):  # on so few rows more threads only wait for each other
        model.fit(inputs[order][:, known], targets[order])
        return np.asarray(model.predict(new[:, known]))
