"""Constraints as limits on class codes, for a sampler that must not draw what the schema forbids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from longsynth.encoding.items import Item
from longsynth.encoding.levels import LevelCodec, level_position
from longsynth.encoding.numeric import NumericCodec
from longsynth.schema.types import Absorbing, Monotone, Ordered, Schema


@dataclass(frozen=True)
class CodeLimit:
    """The code of item ``target`` is at least (or at most) a function of another code.

    Attributes
    ----------
    target : int
        Number of the limited item.
    source : int
        Number of the item that limits it.
    from_last : bool
        True: the source's code at the last visit that observed it; False: its code in the same row, drawn before.
    is_minimum : bool
        True: a lower limit, else an upper one.
    table : ndarray of int64, shape (n_classes of source + 1,)
        The limit by source code; the last entry, for a missing source, limits nothing.
    """

    target: int
    source: int
    from_last: bool
    is_minimum: bool
    table: np.ndarray


def code_limits(schema: Schema, items: Sequence[Item]) -> list[CodeLimit]:
    """Return the limits that the schema's constraints put on ``items``, in drawing order.

    Codes of two dates compare only if both are counted from the same date, and codes of two visits only if it is the
    same at both.
    """
    limits: list[CodeLimit] = []
    number = {item.name: index for index, item in enumerate(items)}
    codecs: list[Any] = [item.codec for item in items]
    for rule in schema.constraints:
        if isinstance(rule, Ordered) and rule.lower in number and rule.upper in number:
            lower, upper = number[rule.lower], number[rule.upper]
            if _count_alike(items[lower], items[upper]):
                limits.append(_ordered(lower, upper, codecs))
        elif isinstance(rule, Monotone) and rule.channel in number:
            item = number[rule.channel]
            if _counts_from_visits(schema, items[item]):
                continue
            n_classes = codecs[item].n_classes
            rises = rule.direction == "increasing"
            table = np.append(np.arange(n_classes), 0 if rises else n_classes - 1)
            limits.append(CodeLimit(item, item, True, rises, table))
        elif isinstance(rule, Absorbing) and rule.channel in number:
            limits += _absorbing(number[rule.channel], codecs[number[rule.channel]], rule)
    return limits


def _count_alike(lower: Item, upper: Item) -> bool:
    """Return whether values of two items compare as they are counted."""
    dates = lower.dtype.startswith("Date"), upper.dtype.startswith("Date")
    return lower.reference_column == upper.reference_column and (not any(dates) or lower.dtype == upper.dtype)


def _counts_from_visits(schema: Schema, item: Item) -> bool:
    return schema.visit_time is not None and item.reference_column == schema.visit_time.column


def _absorbing(item: int, codec: LevelCodec, rule: Absorbing) -> list[CodeLimit]:
    level = int(codec.class_of_level[level_position(rule.level, codec.levels)])
    low, high = np.zeros(codec.n_classes + 1, np.int64), np.full(codec.n_classes + 1, codec.n_classes - 1)
    low[level] = high[level] = level
    return [CodeLimit(item, item, True, True, low), CodeLimit(item, item, True, False, high)]


def _ordered(lower: int, upper: int, codecs: Sequence[NumericCodec]) -> CodeLimit:
    source, target = (lower, upper) if lower < upper else (upper, lower)
    if source == lower:
        table = np.searchsorted(codecs[target].knots[:, -1], codecs[source].knots[:, 0], side="left")
        table = np.append(np.minimum(table, codecs[target].n_classes - 1), 0)
    else:
        table = np.searchsorted(codecs[target].knots[:, 0], codecs[source].knots[:, -1], side="right") - 1
        table = np.append(np.maximum(table, 0), codecs[target].n_classes - 1)
    return CodeLimit(target, source, False, source == lower, table.astype(np.int64))
