"""What an attacker may want to know about a patient: the next value of a channel, a static attribute, an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from longsynth.privacy.coded import Coded
from longsynth.privacy.windows import all_stretches
from longsynth.schema.types import NUMERIC_KINDS

MOST_CHANNELS = 5
MOST_ATTRIBUTES = 5
CLOSE = 0.1


@dataclass(frozen=True)
class Secret:
    """Something about a patient that follows, or stands beside, a stretch of k visits.

    Attributes
    ----------
    name : str
        In words.
    table : {"next", "static", "event"}
        The value of a channel at the visit after the stretch; a static attribute; whether an event comes within
        ``horizon`` of the last visit of the stretch (unknown for patients censored before).
    column : int
        Channel or static column.
    is_number : bool
        Numbers need to be guessed within ``tolerance``, all others exactly.
    tolerance : float
        10 % of the interquartile range in the synthetic cohort.
    typical : float
        Its median (numbers) or most common value (others) in the synthetic cohort.
    horizon : float
        In units of time, for an event.
    """

    name: str
    table: Literal["next", "static", "event"]
    column: int
    is_number: bool
    tolerance: float = 0.0
    typical: float = np.nan
    horizon: float = np.nan

    def values(self, coded: Coded, first: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Return the secret behind each stretch of k visits from visit ``first`` on, NaN where there is none."""
        records, patient = coded.records, coded.patient[first]
        if self.table == "static":
            return records.static[patient, self.column]
        if self.table == "next":
            after = first + k
            has_next = after < records.start[patient + 1]
            values = records.values[np.where(has_next, after, first), self.column]
            return np.where(has_next, values, np.nan)
        until = records.static[patient, self.column] - records.time[first + k - 1]
        happened = (records.static[patient, self.column + 1] > 0) & (until <= self.horizon)
        known = happened | (until > self.horizon)
        return np.where(known, happened.astype(np.float64), np.nan)

    def is_right(self, guess: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return 1 where a guess is right, else 0."""
        apart = np.abs(guess - truth)
        rounding = 1e-9 * np.maximum(1.0, np.abs(truth))
        return (apart <= self.tolerance + rounding).astype(np.float64)


def secrets_of(draws: Sequence[Coded], k: int) -> list[Secret]:
    """Return what can be attacked: up to 5 channels (those observed most), 5 static attributes, and the event.

    Parameters
    ----------
    draws : sequence of Coded
        The synthetic side, from which tolerances, typical values and the horizon come.
    k : int
        Visits of a stretch.
    """
    schema = draws[0].records.cohort.schema
    seen = np.sum([(~np.isnan(draw.records.values)).sum(axis=0) for draw in draws], axis=0)
    often = np.sort(np.argsort(-seen, kind="stable")[:MOST_CHANNELS])
    channels, static = list(schema.channels.items()), list(schema.static.items())[:MOST_ATTRIBUTES]
    secrets = [
        Secret(f"next {channels[i][0]}", "next", int(i), channels[i][1].kind in NUMERIC_KINDS) for i in often
    ] + [Secret(name, "static", i, column.kind in NUMERIC_KINDS) for i, (name, column) in enumerate(static)]
    secrets = [_with_scale(secret, draws, k) for secret in secrets]
    return secrets if schema.terminal_event is None else [*secrets, _event(draws, k)]


def _with_scale(secret: Secret, draws: Sequence[Coded], k: int) -> Secret:
    """Return the secret with tolerance and typical value."""
    values = np.concatenate([secret.values(draw, all_stretches(draw, k), k) for draw in draws])
    values = values[~np.isnan(values)]
    if not values.size:
        return secret
    if secret.is_number:
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        tolerance, typical = CLOSE * float(high - low), float(middle)
    else:
        levels, counts = np.unique(values, return_counts=True)
        tolerance, typical = 0.0, float(levels[counts.argmax()])
    return Secret(secret.name, secret.table, secret.column, secret.is_number, tolerance, typical, secret.horizon)


def _event(draws: Sequence[Coded], k: int) -> Secret:
    """Return the event within the median time that synthetic patients are followed after a stretch."""
    column = len(draws[0].records.cohort.schema.static)
    after = [
        draw.records.static[draw.patient[first], column] - draw.records.time[first + k - 1]
        for draw in draws
        for first in [all_stretches(draw, k)]
    ]
    followed = np.concatenate(after)
    horizon = float(np.median(followed)) if followed.size else np.nan
    return _with_scale(Secret("event ahead", "event", column, False, horizon=horizon), draws, k)
