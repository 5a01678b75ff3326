"""Calibration moves numeric channels to the train margins and keeps the order of values."""

from dataclasses import replace

import numpy as np

import longsynth as ls
from longsynth.encoding import CohortEncoder
from longsynth.generators.calibration import apply_calibration, fit_calibration


def test_a_shifted_margin_comes_back_and_ranks_stay():
    cohort = ls.simulate_cohort(800, seed=0)
    encoder = CohortEncoder().fit(cohort)
    real = encoder.transform(cohort)
    number = next(i for i, item in enumerate(encoder.channel_items) if hasattr(item.codec, "knots"))
    codec = encoder.channel_items[number].codec
    rng = np.random.default_rng(0)
    seen = real.codes[:, number] < codec.n_classes
    codes, positions = real.codes.copy(), rng.random(real.positions.shape)
    codes[seen, number] = np.maximum(codes[seen, number] - rng.integers(0, 16, seen.sum()), 0)
    drawn = replace(real, codes=codes, positions=positions)
    moved = apply_calibration(encoder, drawn, fit_calibration(encoder, drawn))
    assert (moved.codes[~seen, number] == codec.n_classes).all()
    train = np.diff(codec.cumulative)
    before, after = (
        np.abs(np.bincount(x.codes[seen, number], minlength=codec.n_classes) / seen.sum() - train).sum()
        for x in (drawn, moved)
    )
    of_a_fresh_sample = np.sqrt(2 / np.pi * train * (1 - train) / seen.sum()).sum()
    assert before > 3 * of_a_fresh_sample
    assert after < of_a_fresh_sample
    place = drawn.codes[seen, number] + drawn.positions[seen, number]
    new_place = moved.codes[seen, number] + moved.positions[seen, number]
    assert (np.diff(new_place[np.argsort(place)]) >= -1e-9).all()
    others = [i for i in range(codes.shape[1]) if not hasattr(encoder.channel_items[i].codec, "knots")]
    assert np.array_equal(moved.codes[:, others], drawn.codes[:, others])
