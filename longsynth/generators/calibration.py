"""Margin calibration: a monotone map of each numeric channel that gives drawn values the train margin.

Small errors of each conditional add up over a record to a margin that is a little off. The map moves a drawn value to
the train value of the same rank among the model's own visits, which changes neither the order of values nor anything
between channels that depends on ranks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.numeric import NumericCodec

N_OWN_PATIENTS = 3000
Calibration = dict[int, np.ndarray]


def fit_calibration(encoder: CohortEncoder, own: EncodedCohort) -> Calibration:
    """Return, by number of a numeric channel, the cumulative mass (n_classes + 1,) of the model's own values."""
    found = {}
    for number, item in enumerate(encoder.channel_items):
        codes = own.codes[:, number]
        codes = codes[codes < item.codec.n_classes]
        if isinstance(item.codec, NumericCodec) and len(codes):
            counts = np.bincount(codes, minlength=item.codec.n_classes)
            found[number] = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    return found


def apply_calibration(encoder: CohortEncoder, drawn: EncodedCohort, calibration: Calibration) -> EncodedCohort:
    """Return the drawn cohort with its numeric channels moved to the train margins."""
    codes, positions = drawn.codes.copy(), drawn.positions.copy()
    for number, own in calibration.items():
        train = encoder.channel_items[number].codec.cumulative  # type: ignore[union-attr]
        seen = codes[:, number] < len(train) - 1
        code, position = codes[seen, number], positions[seen, number]
        rank = own[code] + position * (own[code + 1] - own[code])
        new = np.clip(np.searchsorted(train, rank, side="right") - 1, 0, len(train) - 2)
        codes[seen, number] = new
        positions[seen, number] = np.clip((rank - train[new]) / (train[new + 1] - train[new]), 0.0, 1.0)
    return replace(drawn, codes=codes, positions=positions)
