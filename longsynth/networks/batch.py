"""A padded batch of patients, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

PADDED = ("codes", "gap_codes", "time", "visit", "steps_left", "time_left")


@dataclass(frozen=True)
class PatientBatch:
    """N patients padded to L visits; every patient of a batch has at least one visit, or L is 0.

    Attributes
    ----------
    static_codes : Tensor of int64, shape (N, S)
        Codes of the static items.
    codes : Tensor of int64, shape (N, L, C)
        Codes of the channels.
    gap_codes : Tensor of int64, shape (N, L)
        Gap class to the visit before; -1 at the first visit.
    time : Tensor of float32, shape (N, L)
        Visit times in the schema's time unit.
    visit : Tensor of bool, shape (N, L)
        True for visits, False for padding.
    duration : Tensor of float32, shape (N,)
        End of follow-up; NaN without a terminal event.
    steps_left : Tensor of float32, shape (N, L)
        Whole time steps from each visit to the end of follow-up; infinite without one.
    time_left : Tensor of bool, shape (N, L)
        Whether the end of follow-up is known and later than the visit.
    ends_at_visit : Tensor of bool, shape (N,)
        Whether the last visit is at the end of follow-up.
    row : Tensor of int64, shape (N,)
        Row of each patient in the training cohort.
    """

    static_codes: Tensor
    codes: Tensor
    gap_codes: Tensor
    time: Tensor
    visit: Tensor
    duration: Tensor
    steps_left: Tensor
    time_left: Tensor
    ends_at_visit: Tensor
    row: Tensor

    def __len__(self) -> int:
        return len(self.static_codes)

    def take(self, patients: Tensor) -> PatientBatch:
        """The batch of some of its patients, a mask or indices, padded no further than they need."""
        part = {field.name: getattr(self, field.name)[patients] for field in fields(self)}
        longest = int(part["visit"].sum(1).max()) if len(part["visit"]) else 0
        return PatientBatch(**(part | {name: part[name][:, :longest] for name in PADDED}))

    def join(self, other: PatientBatch) -> PatientBatch:
        """The patients of this batch and those of another one after them."""
        longest = max(self.visit.shape[1], other.visit.shape[1])
        parts = {field.name: [getattr(self, field.name), getattr(other, field.name)] for field in fields(self)}
        parts |= {name: [pad_visits(part, longest) for part in parts[name]] for name in PADDED}
        return PatientBatch(**{name: torch.cat(part) for name, part in parts.items()})

    def with_place(self) -> PatientBatch:
        """The batch with room for one visit at least."""
        length = max(self.visit.shape[1], 1)
        return replace(self, **{name: pad_visits(getattr(self, name), length) for name in PADDED})

    def to(self, device: torch.device) -> PatientBatch:
        """The batch on a device."""
        return PatientBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def pad_visits(values: Tensor, length: int) -> Tensor:
    """Values (N, L, ...) with zeros after them, up to ``length`` visits."""
    missing = values.new_zeros(len(values), length - values.shape[1], *values.shape[2:])
    return torch.cat([values, missing], 1)
