"""From encoded patients to padded tensors, and to Lightning's loaders."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.visit_times import TimeScale
from longsynth.networks.batch import PatientBatch
from longsynth.seeding import child_seed

_NO_TIME = TimeScale(1.0, 0, 1.0, 1.0, False)


def make_batch(encoded: EncodedCohort, scale: TimeScale | None, rows: list[int] | np.ndarray) -> PatientBatch:
    """Pad the patients ``rows`` of a cohort to their longest record."""
    rows = np.asarray(rows, dtype=np.int64)
    scale = scale or _NO_TIME
    part = encoded.take(rows)
    counts = part.n_visits
    visit = np.arange(counts.max(initial=0))[None, :] < counts[:, None]
    owner = np.repeat(np.arange(len(rows)), counts)
    time = part.start[owner] + part.steps * scale.step
    ends = part.ends_at_visit
    time[part.offsets[1:][ends] - 1] = part.duration[ends]
    left = part.duration[owner] - time
    steps_left = np.where(np.isnan(left), np.inf, np.floor(left / scale.step + 1e-6))

    def pad(values: np.ndarray, dtype: torch.dtype) -> Tensor:
        padded = np.zeros((*visit.shape, *values.shape[1:]), values.dtype)
        padded[visit] = values
        return torch.from_numpy(padded).to(dtype)

    return PatientBatch(
        static_codes=torch.from_numpy(part.static_codes).long(),
        codes=pad(part.codes, torch.int64),
        gap_codes=pad(part.gap_codes, torch.int64),
        time=pad(time, torch.float32),
        visit=torch.from_numpy(visit),
        duration=torch.from_numpy(part.duration).float(),
        steps_left=pad(steps_left, torch.float32),
        time_left=pad(left > scale.tolerance, torch.bool),
        ends_at_visit=torch.from_numpy(ends),
        row=torch.from_numpy(rows),
    )


class _EpochSampler(Sampler[int]):
    """A new order each epoch that depends on the seed and the epoch alone, so a resumed fit sees the same batches."""

    def __init__(self, rows: np.ndarray, seed: int) -> None:
        self.rows, self.seed, self.epoch = rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)
        return iter(order.tolist())

    def __len__(self) -> int:
        return len(self.rows)


class CohortDataModule(pl.LightningDataModule):
    """Batches of patients for training, and all held-out patients for validation.

    Parameters
    ----------
    encoded : EncodedCohort
        Train patients.
    scale : TimeScale or None
        How visit steps become times.
    folds : ndarray of int, shape (N,)
        Fold of each patient; negative: never held out.
    batch_size : int
        Patients a batch.
    seed : int
        Seed of the order of patients.
    """

    def __init__(
        self, encoded: EncodedCohort, scale: TimeScale | None, folds: np.ndarray, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.collate = partial(make_batch, encoded, scale)
        self.everybody = range(encoded.n_patients)
        self.batch_size = batch_size
        n_members = int(folds.max()) + 1
        self.train_rows = np.arange(len(folds)) if n_members > 1 else np.flatnonzero(folds < 0)
        held_out = np.flatnonzero(folds >= 0)
        self.held_out = held_out[np.argsort(encoded.n_visits[held_out], kind="stable")]
        self.seed = child_seed(seed, "order")

    def train_dataloader(self) -> DataLoader[PatientBatch]:
        """Patients in a new order each epoch."""
        sampler = _EpochSampler(self.train_rows, self.seed)
        return DataLoader(self.everybody, self.batch_size, sampler=sampler, collate_fn=self.collate)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[PatientBatch]:
        """Held-out patients, short records first."""
        return DataLoader(self.held_out.tolist(), 256, shuffle=False, collate_fn=self.collate)  # type: ignore[arg-type]
