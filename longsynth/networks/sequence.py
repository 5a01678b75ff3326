"""The sequence network: visits, one after the other, given a patient's static items and all visits before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from longsynth.networks import carried, history
from longsynth.networks.batch import PatientBatch
from longsynth.networks.endings import Endings
from longsynth.networks.gap_head import END, GAP, STOP, GapHead
from longsynth.networks.items import ItemSpec, ItemTable
from longsynth.networks.masked_head import MaskedHead
from longsynth.networks.memoryless import MemorylessBackbone
from longsynth.networks.recurrent import RecurrentBackbone
from longsynth.networks.tilted_gap_head import TiltedGapHead
from longsynth.networks.tilted_head import TiltedHead
from longsynth.networks.times import TimeSettings
from longsynth.networks.transformer import TransformerBackbone

N_TIME_FEATURES = 6
N_GAP_FEATURES = 2
MEMORYLESS = "memoryless"
BACKBONES: dict[str, Any] = {
    "recurrent": RecurrentBackbone,
    "transformer": TransformerBackbone,
    MEMORYLESS: MemorylessBackbone,
}


@dataclass(frozen=True)
class SequenceSize:
    """Sizes of the network: hidden state H, units M of the heads, dropout, and whether gap classes have free logits."""

    hidden_size: int
    n_units: int
    dropout: float
    free_gaps: bool


class SequenceNetwork(nn.Module):
    """Distribution of a patient's visits given the static items.

    After each visit the context is the backbone's hidden state, the carried statistics, the time features and the
    static features. The gap head draws what comes next from it; the channel head draws the next visit's values from
    it and from the next visit's time.

    Parameters
    ----------
    static_items, channel_items : sequence of ItemSpec
        The S static items and C channels.
    times : TimeSettings
        Scales and gap classes.
    size : SequenceSize
        Widths and dropout.
    backbone : {"recurrent", "transformer", "memoryless"}
        How the history is read. ``memoryless``: by the carried statistics alone, with heads that start at the margins
        and have bounded gradients, for training under differential privacy.
    """

    def __init__(
        self,
        static_items: Sequence[ItemSpec],
        channel_items: Sequence[ItemSpec],
        times: TimeSettings,
        size: SequenceSize,
        backbone: str,
    ) -> None:
        super().__init__()
        self.times = times
        self.static_table, self.table = ItemTable(static_items), ItemTable(channel_items)
        static_size = self.static_table.n_columns + 1
        input_size = self.table.n_columns + N_TIME_FEATURES + N_GAP_FEATURES + static_size
        self.backbone: Any = BACKBONES[backbone](input_size, static_size, size.hidden_size, size.dropout)
        width = 0 if backbone == MEMORYLESS else size.hidden_size
        after = width + carried.width(self.table) + N_TIME_FEATURES + static_size
        self.schedule = history.Schedule(
            *(torch.tensor(part) for part in (times.usual_steps, times.edges, times.knots))
        )
        self.endings = Endings(times.ending_times, times.ending_log_odds)
        channels = after + N_TIME_FEATURES + N_GAP_FEATURES + 1
        self.channels: Any = None
        if backbone == MEMORYLESS:
            self.gaps: Any = TiltedGapHead(times, after + history.WIDTH + 1, size.n_units)
            if channel_items:
                own = carried.owners(self.table)
                self.channels = TiltedHead(channel_items, channels, size.n_units, owners=own)
            return
        self.gaps = GapHead(
            times.edges,
            times.knots,
            after + history.WIDTH + 1,
            size.n_units,
            size.dropout,
            free=size.free_gaps,
            may_end=times.may_end,
            shares=times.outcome_shares,
            past=slice(after, after + 3),
            ending=after + history.WIDTH,
        )
        if channel_items:
            past = carried.own_columns(self.table, size.hidden_size)
            self.channels = MaskedHead(channel_items, channels, size.n_units, size.dropout, past)

    def static_features(self, static_codes: Tensor) -> Tensor:
        """Features (N, S') of static codes (N, S), with a constant."""
        features = self.static_table(static_codes)
        return torch.cat([features, torch.ones_like(features[:, :1]) if features.shape[1] else _one(features)], 1)

    def time_features(self, time: Tensor, duration: Tensor) -> Tensor:
        """Time features (..., 6) of visit times and ends of follow-up, same shape."""
        gap, typical = self.times.typical_gap, self.times.typical_duration
        known = ~duration.isnan()
        left = torch.where(known, duration - time, 0.0).clamp(min=0)
        share = torch.where(known, time / duration.clamp(min=1e-6), 0.0).clamp(-1, 1)
        late = (known & (left < gap / 2)).float()
        since = torch.log1p(time.clamp(min=0) / gap)
        return torch.stack([time / typical, since, left / typical, torch.log1p(left / gap), share, late], -1)

    def gap_features(self, gap: Tensor) -> Tensor:
        """Features (..., 2) of the gap before a visit, in the time unit; 0 at the first visit."""
        return torch.stack([torch.log1p(gap / self.times.typical_gap), (gap <= 0).float()], -1)

    def visit_inputs(self, codes: Tensor, time: Tensor, gap: Tensor, duration: Tensor, static: Tensor) -> Tensor:
        """Backbone input (..., D) of visits with codes (..., C)."""
        return torch.cat([self.table(codes), self.time_features(time, duration), self.gap_features(gap), static], -1)

    def channel_context(self, after: Tensor, time: Tensor, gap: Tensor, duration: Tensor, at_end: Tensor) -> Tensor:
        """Context (..., D) of a visit's channels: what was known after the visit before, and this visit's time."""
        now = [self.time_features(time, duration), self.gap_features(gap), at_end.unsqueeze(-1).float()]
        return torch.cat([after, *now], -1)

    def log_prob(self, batch: PatientBatch) -> SequenceLogProb:
        """Log-probabilities of the visits of a batch, by patient."""
        context, gap_context = self.contexts(batch)
        gaps, stops, predicted = self._gap_log_prob(batch, gap_context)
        channels = gaps.new_zeros(len(batch))
        if self.channels is not None:
            rows = self.channels.log_prob(context[batch.visit], batch.codes[batch.visit]).sum(-1)
            channels = _by_patient(rows, batch.visit)
        return SequenceLogProb(gaps, channels, stops, predicted)

    def contexts(self, batch: PatientBatch) -> tuple[Tensor, Tensor]:
        """Contexts (N, L, D) of the channels at each visit, and (N, L, D') of what comes after it."""
        static = self.static_features(batch.static_codes)
        length = batch.visit.shape[1]
        along = static.unsqueeze(1).expand(-1, length, -1)
        duration = batch.duration.unsqueeze(1).expand(-1, length)
        gap = torch.diff(batch.time, dim=1, prepend=batch.time[:, :1]).clamp(min=0)  # padding goes back to 0
        hidden = self.backbone(static, self.visit_inputs(batch.codes, batch.time, gap, duration, along))
        statistics = carried.carried_over(self.table, batch.codes, batch.time, self.times.typical_gap)
        after = torch.cat([hidden[:, 1:], statistics, self.time_features(batch.time, duration), along], -1)
        steps = ((batch.time - batch.time[:, :1]) / self.times.step).round()
        first = self.before_first(static, hidden[:, 0], batch.time[:, 0], batch.duration)
        before = torch.cat([first.unsqueeze(1), after[:, :-1]], 1)
        last = batch.visit & ~torch.nn.functional.pad(batch.visit[:, 1:], (0, 1))
        at_end = last & batch.ends_at_visit.unsqueeze(1)
        context = self.channel_context(before, batch.time, gap, duration, at_end)
        return context, torch.cat([after, self.schedule.along(steps), self.endings(batch.time)], -1)

    def before_first(self, static: Tensor, hidden: Tensor, start: Tensor, duration: Tensor) -> Tensor:
        """Context (N, D) before the first visit, which takes place at ``start`` (N,)."""
        nothing = static.new_zeros(len(static), carried.width(self.table))
        return torch.cat([hidden, nothing, self.time_features(start, duration), static], -1)

    @staticmethod
    def outcomes(batch: PatientBatch) -> tuple[Tensor, Tensor, Tensor]:
        """What came after each visit (N, L), the gap class of the next one, and where that is asked at all."""
        counts = batch.visit.sum(1, keepdim=True)
        index = torch.arange(batch.visit.shape[1], device=batch.visit.device).unsqueeze(0)
        ends = batch.ends_at_visit.unsqueeze(1)
        outcome = torch.full_like(batch.gap_codes, GAP)
        outcome = torch.where(ends & (index == counts - 2), END, outcome)
        outcome = torch.where(index == counts - 1, STOP, outcome)
        asked = batch.visit & ~(ends & (index == counts - 1))
        return outcome, torch.nn.functional.pad(batch.gap_codes[:, 1:], (0, 1)), asked

    def _gap_log_prob(self, batch: PatientBatch, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outcome, following, asked = self.outcomes(batch)
        total, stop = self.gaps.log_prob(
            context[asked], outcome[asked], following[asked], batch.steps_left[asked], batch.time_left[asked]
        )
        stopped = _by_patient((outcome[asked] == STOP).float(), asked)
        return _by_patient(total, asked), stopped, _by_patient(stop.detach(), asked)


@dataclass(frozen=True)
class SequenceLogProb:
    """Log-probabilities by patient, each (N,): of gaps and stops, of channel values; stops seen and stops predicted."""

    gaps: Tensor
    channels: Tensor
    stops: Tensor
    predicted_stops: Tensor

    @property
    def total(self) -> Tensor:
        """Log-probability (N,) of each patient's whole record."""
        return self.gaps + self.channels


def _one(features: Tensor) -> Tensor:
    return features.new_ones(len(features), 1)


def _by_patient(rows: Tensor, visit: Tensor) -> Tensor:
    """Sum the rows (R,) of the True entries of ``visit`` (N, L) by patient."""
    owner = visit.nonzero()[:, 0]
    return torch.zeros(len(visit), dtype=rows.dtype, device=rows.device).index_add(0, owner, rows)
