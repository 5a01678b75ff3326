"""Levels as classes: one class a level, except that rare levels of a long list share one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from longsynth.schema.types import Level

MAX_CLASSES = 64


@dataclass(frozen=True)
class LevelCodec:
    """One binary, ordinal or categorical column.

    Attributes
    ----------
    levels : tuple
        All levels of the schema, in its order.
    class_of_level : ndarray of int, shape (n_levels,)
        The class of each level. Past ``MAX_CLASSES`` levels, the rarest share the last class.
    shares : ndarray, shape (n_levels,)
        Train share of each level among observed values; 0 for a level never seen, which is then never drawn.
    missing_share : float
        Share of missing values in train.
    """

    levels: tuple[Level, ...]
    class_of_level: np.ndarray
    shares: np.ndarray
    missing_share: float

    @property
    def n_classes(self) -> int:
        """Number of classes, the missing one not counted; a missing value has this number as its code."""
        return int(self.class_of_level.max()) + 1

    @property
    def class_shares(self) -> np.ndarray:
        """Train share of each class, shape (n_classes,)."""
        return np.bincount(self.class_of_level, weights=self.shares, minlength=self.n_classes)

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return codes (int16, or int32 for very long lists) and positions of level numbers, -1 where missing.

        The position tells the levels of a shared class apart: it is the middle of the level's part of the class.
        """
        missing = values < 0
        level = np.where(missing, 0, values).astype(np.int64)
        codes = np.where(missing, self.n_classes, self.class_of_level[level])
        start, width = self._parts()
        small = self.n_classes <= np.iinfo(np.int16).max
        return codes.astype(np.int16 if small else np.int32), np.where(missing, 0.5, (start + width / 2)[level])

    def decode(self, codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return level numbers, -1 where missing."""
        missing = codes >= self.n_classes
        start, width = self._parts()
        order = np.lexsort((start, self.class_of_level))
        keys = (self.class_of_level + np.minimum(start + width, 1.0))[order]
        wanted = np.where(missing, 0, codes) + np.clip(positions, 0.0, 1 - 1e-9)
        found = np.minimum(np.searchsorted(keys, wanted, side="right"), len(order) - 1)
        return np.where(missing, -1, order[found])

    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Start and width, in [0, 1], of each level inside its class."""
        start, width = np.zeros(len(self.levels)), np.zeros(len(self.levels))
        for number in range(self.n_classes):
            members = np.flatnonzero(self.class_of_level == number)
            weights = self.shares[members] + 1e-6
            weights = weights / weights.sum()
            width[members] = weights
            start[members] = np.concatenate([[0.0], np.cumsum(weights)[:-1]])
        return start, width

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        return {
            "levels": list(self.levels),
            "class_of_level": self.class_of_level.tolist(),
            "shares": self.shares.tolist(),
            "missing_share": self.missing_share,
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> LevelCodec:
        """Rebuild a codec from :meth:`to_json`."""
        shares = np.array(state["shares"], float)
        return cls(tuple(state["levels"]), np.array(state["class_of_level"], int), shares, state["missing_share"])


def fit_levels(numbers: np.ndarray, levels: tuple[Level, ...]) -> LevelCodec:
    """Fit one column from its level numbers, shape (V,), -1 where missing."""
    observed = numbers[numbers >= 0]
    counts = np.bincount(observed, minlength=len(levels)).astype(float)
    class_of_level = np.arange(len(levels))
    if len(levels) > MAX_CLASSES:
        by_count = np.argsort(-counts, kind="stable")
        class_of_level[by_count] = np.minimum(np.arange(len(levels)), MAX_CLASSES - 1)
    shares = counts / max(counts.sum(), 1.0)
    missing_share = 1.0 - len(observed) / len(numbers) if len(numbers) else 0.0
    return LevelCodec(levels, class_of_level, shares, missing_share)


def level_numbers(column: pl.Series, levels: tuple[Level, ...]) -> np.ndarray:
    """Return the position of each value in ``levels``, shape (V,), -1 where missing; 1, 1.0 and True are one level."""
    if all(isinstance(level, bool | int | float) for level in levels):
        keys: list[Any] = [float(level) for level in levels]
        values = column.cast(pl.Float64, strict=False)
    else:
        keys = [str(level) for level in levels]
        values = column.cast(pl.String)
    numbers = values.replace_strict(keys, list(range(len(keys))), default=-1, return_dtype=pl.Int64)
    return numbers.fill_null(-1).to_numpy()


def level_position(level: Level, levels: tuple[Level, ...]) -> int:
    """Return the position of one level in ``levels``."""
    return int(level_numbers(pl.Series([level]), levels)[0])
