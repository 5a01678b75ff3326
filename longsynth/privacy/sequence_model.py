"""A second sequence model, trained on a synthetic cohort alone, under which real records are more or less likely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from longsynth.privacy.coded import static_columns
from longsynth.privacy.records import Records
from longsynth.schema.types import NUMERIC_KINDS, Column

Floats = NDArray[np.float64]

N_TREES = 20
MOST_VISITS = 100_000
MOST_ONE_HOT_LEVELS = 20
_SMALLEST_VARIANCE = 1e-4


class SequenceModel:
    """Next visit given the last one, the static row and the outcome: extremely randomised trees, Gaussian errors.

    Parameters
    ----------
    synthetic : Records
        At least one visit and one channel; beyond 100,000 visits the first patients in the order of the records,
        which is as good as random.
    seed : int
        Of the trees.

    Notes
    -----
    The trees grow until their leaves hold single visits, so that a patient who stands in the synthetic cohort word for
    word is predicted exactly: the model is meant to remember. The variance of the errors is that on patients left out.

    References
    ----------
    Geurts, Ernst, Wehenkel (2006), Extremely randomized trees, doi:10.1007/s10994-006-6226-1.
    """

    def __init__(self, synthetic: Records, seed: int) -> None:
        self._columns = _Columns(synthetic)
        n_patients = int(np.searchsorted(synthetic.start, min(MOST_VISITS, synthetic.start[-1])))
        inputs, outputs, seen, patient = self._columns.transitions(synthetic.only(np.arange(n_patients)))
        self._variance = self._errors(inputs, outputs, seen, patient % 2 == 0, seed)
        self._trees = self._grown(inputs, outputs, seed)

    def log_likelihood(self, records: Records) -> Floats:
        """Return the mean log-likelihood of a patient's observed values, up to a constant.

        Parameters
        ----------
        records : Records
            N patients.

        Returns
        -------
        ndarray, shape (N,)
            NaN for a patient without visits.
        """
        inputs, outputs, seen, patient = self._columns.transitions(records)
        if not len(inputs):
            return np.full(records.n_patients, np.nan)
        terms = np.where(seen, -((outputs - self._predicted(self._trees, inputs)) ** 2) / (2 * self._variance), 0.0)
        total = np.bincount(patient, terms.sum(axis=1), records.n_patients)
        count = np.bincount(patient, seen.sum(axis=1), records.n_patients)
        with np.errstate(invalid="ignore"):
            return np.where(records.n_visits > 0, total / np.maximum(count, 1), np.nan)

    def _errors(
        self, inputs: Floats, outputs: Floats, seen: NDArray[np.bool_], first: NDArray[np.bool_], seed: int
    ) -> Floats:
        """Return the mean squared error of each output on patients that the trees did not see."""
        if first.all() or not first.any():
            return np.maximum(np.nanvar(outputs, axis=0), _SMALLEST_VARIANCE)
        predicted = self._predicted(self._grown(inputs[first], outputs[first], seed), inputs[~first])
        squares = np.where(seen[~first], (outputs[~first] - predicted) ** 2, 0.0)
        return np.maximum(squares.sum(axis=0) / np.maximum(seen[~first].sum(axis=0), 1), _SMALLEST_VARIANCE)

    def _grown(self, inputs: Floats, outputs: Floats, seed: int) -> ExtraTreesRegressor:
        trees = ExtraTreesRegressor(N_TREES, max_features=1 / 3, random_state=seed)
        return trees.fit(inputs.astype(np.float32), outputs[:, 0] if outputs.shape[1] == 1 else outputs)

    def _predicted(self, trees: ExtraTreesRegressor, inputs: Floats) -> Floats:
        return np.asarray(trees.predict(inputs.astype(np.float32))).reshape(len(inputs), -1)


class _Columns:
    """Records as numbers on the scale of a synthetic draw: standardised values, and a column a level."""

    def __init__(self, by: Records) -> None:
        schema = by.cohort.schema
        self._channels, self._static = list(schema.channels.values()), static_columns(schema)
        self._value_scales = [_scale(by.values[:, i], column) for i, column in enumerate(self._channels)]
        self._static_scales = [_scale(by.static[:, i], column) for i, column in enumerate(self._static)]
        self._time_scale = _scale(by.time, Column(kind="continuous"))

    def transitions(self, records: Records) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.int64]]:
        """Return one row a visit: what came before, what came, which of it was observed, and whose it is."""
        patient = np.repeat(np.arange(records.n_patients), records.n_visits)
        values = _coded(records.values, self._channels, self._value_scales)
        static = _coded(records.static, self._static, self._static_scales)
        is_first = np.zeros(len(patient), dtype=bool)
        is_first[records.start[:-1][records.n_visits > 0]] = True
        before = np.where(is_first[:, None], np.nan, np.roll(values, 1, axis=0))
        gap = np.where(is_first, 0.0, records.time - np.roll(records.time, 1)) / self._time_scale[1]
        time = (records.time - self._time_scale[0]) / self._time_scale[1]
        known = np.column_stack([before, static[patient], time, gap])
        inputs = np.column_stack([np.nan_to_num(known), np.isnan(known), is_first])
        return inputs, np.nan_to_num(values), ~np.isnan(values), patient


def _scale(values: Floats, column: Column) -> tuple[float, float]:
    """Return centre and width of a column of numbers; others are coded by level."""
    seen = values[~np.isnan(values)]
    if column.kind not in NUMERIC_KINDS or not seen.size:
        return 0.0, 1.0
    low, high = np.quantile(seen, [0.01, 0.99])
    spread = float(np.clip(seen, low, high).std())
    return float(np.median(seen)), spread if spread > 0 else 1.0


def _coded(table: Floats, columns: Sequence[Column], scales: list[tuple[float, float]]) -> Floats:
    parts = []
    for i, (column, (centre, width)) in enumerate(zip(columns, scales, strict=True)):
        values = table[:, i]
        n_levels = len(column.levels or ())
        if column.kind in NUMERIC_KINDS or n_levels > MOST_ONE_HOT_LEVELS:
            parts.append(np.clip((values - centre) / width, -10, 10)[:, None])
        else:
            hot = (values[:, None] == np.arange(n_levels)).astype(float)
            parts.append(np.where(np.isnan(values)[:, None], np.nan, hot))
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(table), 0))
