"""The baseline: visit by visit, one column after the other, by decision trees that draw real values from their leaves.

Each column is drawn given those before it: static attributes (the first one is bootstrapped), duration, event; then,
visit by visit, the gap to the next visit or the end of the record, and each channel given the channels before it in the
visit, the visit before, the values last seen, the static row and the time that remains. Whether a value is missing is
drawn before the value. No column is smoothed: the baseline re-emits values, and combinations of them, of real patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.schema.types import Column
from longsynth.seeding import child_seed, stream

LEAF = 5
STOP = np.inf
MOST_REDRAWS = 30

Array = np.ndarray


def fit_sample_cart(train: Cohort, n: int, seed: int) -> Cohort:
    """Fit the trees to ``train`` and draw ``n`` synthetic patients."""
    rng = stream(seed, "cart")
    static = _StaticTrees.fit(train, seed).sample(n, rng)
    visits = _VisitTrees.fit(train, seed).sample(static, rng) if train.schema.visit_time is not None else None
    return _cohort(static, visits, train)


@dataclass
class _Tree:
    """Draws a value of one column from the leaf that a row falls into; first, another tree draws if it is missing."""

    missing: _Tree | None
    tree: DecisionTreeClassifier | DecisionTreeRegressor | None
    donors: Array
    starts: Array
    counts: Array

    @classmethod
    def fit(cls, inputs: Array, target: Array, seed: int, *, categorical: bool = False) -> _Tree:
        seen = ~np.isnan(target)
        if not inputs.shape[1] or not seen.any():
            return cls(None, None, target, np.zeros(1, int), np.array([len(target)]))
        missing = None if seen.all() else cls.fit(inputs, (~seen).astype(float), seed)
        inputs, target = inputs[seen], target[seen]
        kind = DecisionTreeClassifier if categorical else DecisionTreeRegressor
        tree = kind(min_samples_leaf=LEAF, random_state=seed).fit(inputs, _as_ranks(target))
        leaves = tree.apply(inputs)
        counts = np.bincount(leaves, minlength=tree.tree_.node_count)
        return cls(missing, tree, target[np.argsort(leaves, kind="stable")], np.cumsum(counts) - counts, counts)

    def draw(self, inputs: Array, rng: np.random.Generator) -> Array:
        leaves = np.zeros(len(inputs), int) if self.tree is None else self.tree.apply(inputs)
        values = self.draw_from(leaves, rng)
        return values if self.missing is None else np.where(self.missing.draw(inputs, rng) == 1, np.nan, values)

    def draw_from(self, leaves: Array, rng: np.random.Generator) -> Array:
        return self.donors[self.starts[leaves] + (rng.random(len(leaves)) * self.counts[leaves]).astype(int)]


def _as_ranks(target: Array) -> Array:
    """Return ranks of the distinct values; the end of the record lies far above all others."""
    distinct = np.unique(target[np.isfinite(target)])
    ranks = np.searchsorted(distinct, np.nan_to_num(target, posinf=0.0)).astype(float)
    return np.where(np.isposinf(target), 3.0 * (len(distinct) + 1), ranks)


@dataclass
class _StaticTrees:
    trees: list[_Tree]

    @classmethod
    def fit(cls, train: Cohort, seed: int) -> _StaticTrees:
        table = numeric_static(train)[:, 1:]
        values, names = table.to_numpy(), table.columns
        trees = []
        for c, name in enumerate(names):
            categorical = _is_categorical(train.schema.static, name.removeprefix("static.")) or name == "event.type"
            chosen = values[:, :c]
            trees.append(_Tree.fit(chosen, values[:, c], child_seed(seed, "static", c), categorical=categorical))
        return cls(trees)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Return static row, duration and event of ``n`` patients, shape (n, columns)."""
        values = np.empty((n, 0))
        for tree in self.trees:
            values = np.column_stack([values, tree.draw(values, rng)])
        return values


@dataclass
class _VisitTrees:
    gap: _Tree
    channels: list[_Tree]
    has_event: bool
    decimals: int
    most_visits: int

    @classmethod
    def fit(cls, train: Cohort, seed: int) -> _VisitTrees:
        static = numeric_static(train)[:, 1:].to_numpy()
        visits = numeric_visits(train)
        row = _patient_rows(train)
        times, channels = visits[train.schema.visit_time.column].to_numpy(), visits[:, 2:].to_numpy()
        first = np.diff(row, prepend=-1) != 0
        counts = np.bincount(row, minlength=len(static))
        number = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        last_time = np.where(first, 0.0, np.roll(times, 1))
        last_seen = visits.select(pl.col(list(train.schema.channels)).forward_fill().over(visits.columns[0])).to_numpy()
        channels_so_far = np.column_stack([channels, last_seen])
        previous = np.where(first[:, None], np.nan, np.roll(channels_so_far, 1, axis=0))
        gaps = times - last_time
        has_event = train.schema.terminal_event is not None

        last = np.full(len(static), -1)
        last[row] = np.arange(len(row))
        seen = last >= 0
        end_time, end_values = np.zeros(len(static)), np.full((len(static), previous.shape[1]), np.nan)
        end_time[seen], end_values[seen] = times[last[seen]], channels_so_far[last[seen]]
        steps = np.concatenate(
            [
                _context(static[row], last_time, number, previous, has_event),
                _context(static, end_time, counts, end_values, has_event),
            ]
        )
        gap = _Tree.fit(steps, np.concatenate([gaps, np.full(len(static), STOP)]), child_seed(seed, "gap"))

        known = np.column_stack([_context(static[row], times, number, previous, has_event), gaps])
        trees = []
        for c, name in enumerate(train.schema.channels):
            inputs, categorical = (
                np.column_stack([known, channels[:, :c]]),
                _is_categorical(train.schema.channels, name),
            )
            trees.append(_Tree.fit(inputs, channels[:, c], child_seed(seed, "channel", c), categorical=categorical))
        decimals = next((d for d in range(7) if np.allclose(times, times.round(d), rtol=0, atol=1e-9)), 15)
        return cls(gap, trees, has_event, decimals, 2 * int(counts.max()))

    def sample(self, static: Array, rng: np.random.Generator) -> Array:
        """Return visits as rows of patient number, time and channels, patient by patient, in order of time."""
        n_channels = len(self.channels)
        active, times = np.arange(len(static)), np.zeros(len(static))
        so_far, rows = np.full((len(static), 2 * n_channels), np.nan), []
        for number in range(self.most_visits):
            context = _context(static[active], times, np.full(len(active), number), so_far, self.has_event)
            latest = static[active, -2] if self.has_event else np.full(len(active), np.inf)
            new_times = self._next_times(context, times, latest, number, rng)
            going = np.isfinite(new_times)
            active, previous, gaps = active[going], so_far[going], (new_times - times)[going]
            times = new_times[going]
            if not len(active):
                break
            numbers = np.full(len(active), number)
            known = np.column_stack([_context(static[active], times, numbers, previous, self.has_event), gaps])
            values = np.empty((len(active), 0))
            for tree in self.channels:
                values = np.column_stack([values, tree.draw(np.column_stack([known, values]), rng)])
            last_seen = np.where(np.isnan(values), previous[:, n_channels:], values)
            so_far = np.column_stack([values, last_seen])
            rows.append(np.column_stack([active, times, values]))
        table = np.concatenate(rows) if rows else np.empty((0, 2 + n_channels))
        return table[np.lexsort((table[:, 1], table[:, 0]))]

    def _next_times(self, context: Array, times: Array, latest: Array, number: int, rng: np.random.Generator) -> Array:
        """Return the time of the next visit, infinity if there is none; draws beyond the end are repeated."""
        leaves = self.gap.tree.apply(context)
        found, waiting = np.full(len(times), STOP), np.arange(len(times))
        for _ in range(MOST_REDRAWS):
            gaps = self.gap.draw_from(leaves[waiting], rng)
            times_drawn = np.round(times[waiting] + gaps, self.decimals)
            fits = (times_drawn <= latest[waiting]) & ((times_drawn > times[waiting]) | (number == 0))
            found[waiting[fits]] = times_drawn[fits]
            waiting = waiting[~(fits | np.isposinf(gaps))]
        return found


def _context(static: Array, times: Array, number: Array, previous: Array, has_event: bool) -> Array:
    """Return what is known at a visit: static row with outcome, time, remaining time, visit number, values before."""
    remaining = static[:, -2] - times if has_event else np.full(len(times), 0.0)
    return np.column_stack([static, times, remaining, number, previous])


def _is_categorical(columns: dict[str, Column], name: str) -> bool:
    return name in columns and columns[name].kind == "categorical"


def _patient_rows(cohort: Cohort) -> Array:
    name = cohort.schema.patient_id
    rows = cohort.static.select(name).with_row_index("row")
    return cohort.visits.select(name).join(rows, on=name, maintain_order="left")["row"].to_numpy().astype(int)


def _cohort(static: Array, visits: Array | None, train: Cohort) -> Cohort:
    """Return the drawn numbers as a cohort under the schema of ``train``."""
    schema = train.schema
    ids = pl.Series(schema.patient_id, [f"cart-{i:07d}" for i in range(len(static))])
    event = [] if schema.terminal_event is None else [schema.terminal_event.duration, schema.terminal_event.event]
    columns = [
        _column(static[:, c], name, train.static, schema.static) for c, name in enumerate([*schema.static, *event])
    ]
    static_table = pl.DataFrame([ids, *columns])
    if visits is None:
        return Cohort(static_table, schema=schema, origin="synthetic")
    names = [schema.visit_time.column, *schema.channels]
    columns = [_column(visits[:, 1 + c], name, train.visits, schema.channels) for c, name in enumerate(names)]
    return Cohort(
        static_table, pl.DataFrame([ids[visits[:, 0].astype(int)], *columns]), schema=schema, origin="synthetic"
    )


def _column(values: Array, name: str, real: pl.DataFrame, columns: dict[str, Column]) -> pl.Series:
    series = pl.Series(name, values, nan_to_null=True)
    levels = columns[name].levels if name in columns else None
    if levels is not None:
        positions = list(map(float, range(len(levels))))
        series = series.replace_strict(positions, list(levels), default=None)
    return series.cast(real.schema[name])
