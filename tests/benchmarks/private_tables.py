"""The marginal-based alternative to private gradients, measured: noisy two-way tables, and the likelihood they give.

Every item may depend on one other: static items on an earlier one, the channels of a visit on their own value at the
visit before or on an earlier channel of the visit, gaps on the gap before, what comes after a visit on the time left.
All candidate tables are released at once, on at most eight classes a side; then each item keeps the one that stands out
most, or its margin. A table costs as much for a patient as a margin does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort
from longsynth.training.noise import SecretRandomness

N_SIDE = 8


@dataclass(frozen=True)
class Pair:
    """A candidate table: the item, the classes (R,) of a candidate parent and of itself, and its noisy margin.

    ``weight`` is what one row adds to the table.
    """

    item: str
    parent: np.ndarray
    child: np.ndarray
    margin: np.ndarray
    weight: float


def pairs_of(encoder: CohortEncoder, encoded: EncodedCohort, max_visits: int) -> list[Pair]:
    """Return all candidate tables of a cohort, in an order that depends on the encoder alone."""
    sides = [_sides(item.codec) for item in encoder.static_items]
    static = [side[codes] for side, codes in zip(sides, encoded.static_codes.T, strict=True)]
    margins = [_margin(item.codec) for item in encoder.static_items]
    found = [Pair(f"static {j}", static[i], static[j], margins[j], 1.0) for j in range(len(static)) for i in range(j)]
    first = np.zeros(int(encoded.offsets[-1]), bool)
    first[encoded.offsets[:-1][encoded.n_visits > 0]] = True
    again, per_visit = np.flatnonzero(~first), 1.0 / max_visits
    channels = [_sides(item.codec)[codes] for item, codes in zip(encoder.channel_items, encoded.codes.T, strict=True)]
    for number, values in enumerate(channels):
        margin = _margin(encoder.channel_items[number].codec)
        found.append(Pair(f"channel {number}", values[again - 1], values[again], margin, per_visit))
        found += [
            Pair(f"channel {number}", earlier[again], values[again], margin, per_visit)
            for earlier in channels[max(0, number - 4) : number]
        ]
    if encoder.gap is not None:
        gaps = _sides(encoder.gap)[np.maximum(encoded.gap_codes, 0)]
        third = again[~first[again - 1]]
        found.append(Pair("gap", gaps[third - 1], gaps[third], _margin(encoder.gap), per_visit))
    return found


def _sides(codec: object) -> np.ndarray:
    """The coarse class of each class: at most N_SIDE of equal mass, and one more for a missing value."""
    shares = getattr(codec, "class_shares", None)
    shares = np.diff(codec.cumulative) if shares is None else shares  # type: ignore[attr-defined]
    if len(shares) <= N_SIDE:
        return np.append(np.arange(len(shares)), N_SIDE)
    middle = np.cumsum(shares) - shares / 2
    return np.append(np.minimum((middle / shares.sum() * N_SIDE).astype(int), N_SIDE - 1), N_SIDE)


def _margin(codec: object) -> np.ndarray:
    """Noisy share of each coarse class, the one of missing values last."""
    shares = getattr(codec, "class_shares", None)
    shares = np.diff(codec.cumulative) if shares is None else shares  # type: ignore[attr-defined]
    missing: float = codec.missing_share  # type: ignore[attr-defined]
    return np.bincount(_sides(codec), np.append(shares * (1 - missing), missing), minlength=N_SIDE + 1)


def table_gain(train: list[Pair], holdout: list[Pair], n_holdout: int, noise_multiplier: float) -> float:
    """Gain in held-out log-likelihood a patient, in nats, of the noisy tables over the margins."""
    randomness, sensitivity = SecretRandomness(), float(np.sqrt(len(train)))
    sd = noise_multiplier * sensitivity
    best: dict[str, tuple[float, float]] = {}
    for fitted, scored in zip(train, holdout, strict=True):
        counts = fitted.weight * _table(fitted)
        noisy = counts + sd * randomness.normal(counts.size).reshape(counts.shape)
        ratio = _log_ratio(noisy, sd, fitted.margin)
        expected = float((noisy * ratio).sum() / fitted.weight)  # the choice of the table sees the noisy counts alone
        gain = float(ratio[scored.parent, scored.child].sum() / n_holdout)
        best[fitted.item] = max(best.get(fitted.item, (0.0, 0.0)), (expected, gain))
    return sum(gain for _, gain in best.values())


def _table(pair: Pair) -> np.ndarray:
    flat = np.bincount(pair.parent * (N_SIDE + 1) + pair.child, minlength=(N_SIDE + 1) ** 2)
    return flat.reshape(N_SIDE + 1, N_SIDE + 1).astype(float)


def _log_ratio(noisy: np.ndarray, sd: float, margin: np.ndarray) -> np.ndarray:
    """Log of the conditional over the noisy margin, near 0 where counts do not stand out of the noise."""
    seen, margin = np.maximum(noisy - sd, 0.0), np.maximum(margin, 1e-9)
    prior = 4.0 * sd + 1.0
    conditional = (seen + prior * margin) / (seen.sum(1, keepdims=True) + prior * margin.sum())
    return np.asarray(np.log(conditional / margin))
