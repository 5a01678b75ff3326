"""Canaries: made-up patients, unlike the real ones but legal, planted to find out what a fit gives away."""

from __future__ import annotations

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.private import cell_encoder
from longsynth.encoding.private_sizes import read_sizes, size_sums
from longsynth.exceptions import ConfigError
from longsynth.seeding import stream

N_VISITS = 2


def make_canaries(train: Cohort, n: int, seed: int = 0) -> Cohort:
    """Return n canaries under the schema of ``train``.

    Every value is drawn by itself, evenly over the declared range, so that what goes together in patients does not in
    a canary, and values that patients hardly ever have are as likely as any. Each has two visits: of more visits none
    would stand out in a gradient of bounded length.

    Parameters
    ----------
    train : Cohort
        The schema must be declared in full. Of the patients, only the number of visits and the length of follow-up are
        read.
    n : int
        Number of canaries, at least 1.
    seed : int
        The same seed gives the same canaries.

    Returns
    -------
    Cohort
        Under the schema, its constraints included.
    """
    if n < 1:
        raise ConfigError(f"{n} canaries cannot be planted; ask for 1 or more")
    sizes = read_sizes(size_sums(train), 0.0, train.schema, None)
    cells = cell_encoder(train.schema, sizes)
    codes = _codes(cells, n, sizes.longest, stream(seed, "canaries"))
    return cells.inverse_transform(codes, [f"{row:06d}" for row in range(n)])


def plant(train: Cohort, canaries: Cohort, included: np.ndarray) -> Cohort:
    """Return the train patients and those canaries that are ``included``, shape (M,), under new ids."""
    chosen = canaries.select(canaries.static[canaries.schema.patient_id].filter(pl.Series(included)))
    parts = [_renamed(train, "train"), _renamed(chosen, "canary")]
    static, visits = (pl.concat(tables, how="vertical_relaxed") for tables in zip(*parts, strict=True))
    has_visits = train.schema.visit_time is not None
    return Cohort(static, visits if has_visits else None, schema=train.schema)


def _renamed(cohort: Cohort, name: str) -> list[pl.DataFrame]:
    """Static row and visits under ids that cannot be those of another cohort."""
    key = cohort.schema.patient_id
    return [table.with_columns(pl.format(f"{name}-{{}}", pl.col(key)).alias(key)) for table in cohort.tables()]


def _codes(cells: CohortEncoder, n: int, longest: float, rng: np.random.Generator) -> EncodedCohort:
    """Draw codes evenly; follow-up ends late enough for the visits."""
    static = np.zeros((n, len(cells.static_items)), np.int64)
    found = {"start": np.full(n, np.nan), "duration": np.full(n, np.nan)}
    event = np.zeros(n, np.int64)
    for number, item in enumerate(cells.static_items):
        n_classes = item.codec.n_classes
        lowest = n_classes // 2 if item.role == "duration" else 0
        highest = 1 if item.role == "start" else n_classes
        static[:, number] = rng.integers(lowest, highest, n)
        if item.role in found:
            found[item.role] = item.codec.decode(static[:, number], np.full(n, 0.5))
        elif item.role == "event":
            event = static[:, number]
    n_visits = 0 if cells.time_scale is None else N_VISITS
    n_rows = n * n_visits
    channels = [rng.integers(0, item.codec.n_classes, n_rows) for item in cells.channel_items]
    codes = np.stack(channels, 1) if channels else np.zeros((n_rows, 0), np.int64)
    steps = np.zeros(n_rows, np.int64)
    if cells.time_scale is not None:
        ends = np.where(np.isnan(found["duration"]), longest, found["duration"])
        most = np.maximum((ends - found["start"]) / cells.time_scale.step, 2)
        steps[1::N_VISITS] = np.ceil(rng.uniform(0, 1, n) * (most - 1))
    return EncodedCohort(
        static_codes=static,
        static_positions=np.full(static.shape, 0.5),
        codes=codes,
        positions=np.full(codes.shape, 0.5),
        gap_codes=np.where(steps == 0, -1, 0),
        gap_positions=np.zeros(n_rows),
        steps=steps,
        offsets=np.arange(n + 1) * n_visits,
        start=found["start"],
        duration=found["duration"],
        event=event,
        ends_at_visit=np.zeros(n, bool),
    )
