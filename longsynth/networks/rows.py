"""Patients as rows that a network without memory scores one by one, so that each patient has a gradient of its own."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from longsynth.networks.batch import PatientBatch
from longsynth.networks.sequence import SequenceNetwork
from longsynth.networks.static import StaticNetwork


@dataclass(frozen=True)
class PatientRows:
    """What N patients ask of the heads; L visits, padded.

    Attributes
    ----------
    static_codes : Tensor of int64, shape (N, S)
        Static items.
    context, gap_context : Tensor, shapes (N, L, D) and (N, L, D')
        What is known before the channels of a visit, and after it.
    codes : Tensor of int64, shape (N, L, C)
        Channels.
    visit, asked : Tensor of bool, shape (N, L)
        Whether there is a visit, and whether what came after it is known.
    outcome, gap : Tensor of int64, shape (N, L)
        What came after a visit, and the gap class of the next one.
    steps_left, time_left : Tensor, shape (N, L)
        As in :class:`~longsynth.networks.batch.PatientBatch`.
    """

    static_codes: Tensor
    context: Tensor
    gap_context: Tensor
    codes: Tensor
    visit: Tensor
    asked: Tensor
    outcome: Tensor
    gap: Tensor
    steps_left: Tensor
    time_left: Tensor

    def as_dict(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


@torch.no_grad()
def rows_of(network: SequenceNetwork | None, batch: PatientBatch, cut: Tensor) -> PatientRows:
    """Return the rows of a batch; of records that were ``cut`` short, shape (N,), the end is not asked."""
    if network is None:
        empty = batch.duration.new_zeros(len(batch), 0)
        none = empty.long()
        return PatientRows(
            batch.static_codes, empty, empty, none, none.bool(), none.bool(), none, none, empty, none.bool()
        )
    batch = batch.with_place()
    context, gap_context = network.contexts(batch)
    outcome, gap, asked = network.outcomes(batch)
    last = torch.arange(batch.visit.shape[1], device=batch.visit.device) == batch.visit.sum(1, keepdim=True) - 1
    asked = asked & ~(cut.unsqueeze(1) & last)
    return PatientRows(
        batch.static_codes,
        context,
        gap_context,
        batch.codes,
        batch.visit,
        asked,
        outcome,
        gap,
        batch.steps_left,
        batch.time_left,
    )


class JointNetwork(nn.Module):
    """Static and sequence network as one: the log-probability of one patient's whole record.

    Parameters
    ----------
    static : StaticNetwork or None
        With a tilted head.
    sequence : SequenceNetwork or None
        Without memory.
    """

    def __init__(self, static: StaticNetwork | None, sequence: SequenceNetwork | None) -> None:
        super().__init__()
        self.static, self.sequence = static, sequence

    @property
    def n_static(self) -> int:
        """Number of parameters of the static network, which come first."""
        return 0 if self.static is None else sum(parameter.numel() for parameter in self.static.parameters())

    def forward(self, rows: dict[str, Tensor]) -> Tensor:
        """Log-probability, a scalar, of one patient, whose rows have no patient dimension."""
        total = torch.zeros(())
        if self.static is not None:
            codes = rows["static_codes"].unsqueeze(0)
            total = total + self.static.head.log_prob(torch.ones(1, 1, device=codes.device), codes).sum()
        if self.sequence is None:
            return total
        if self.sequence.channels is not None:
            values = self.sequence.channels.log_prob(rows["context"], rows["codes"]).sum(-1)
            total = total + torch.where(rows["visit"], values, 0.0).sum()
        gaps, _ = self.sequence.gaps.log_prob(
            rows["gap_context"], rows["outcome"], rows["gap"], rows["steps_left"], rows["time_left"]
        )
        return total + torch.where(rows["asked"], gaps, 0.0).sum()
