"""Drawing visits from a sequence network, patient by patient in parallel, until every record has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from longsynth.networks.carried import Carried
from longsynth.networks.gap_head import END, STOP
from longsynth.networks.history import History
from longsynth.networks.sequence import SequenceNetwork


@dataclass(frozen=True)
class Limit:
    """A limit on codes: item ``target`` is at least (or at most) ``table[code of source]``."""

    target: int
    source: int
    from_last: bool
    is_minimum: bool
    table: Tensor


@dataclass(frozen=True)
class Visits:
    """V visits in the order drawn: owner (V,), codes (V, C), gap class, position in it, steps since the first visit.

    ``ended`` (N,) tells for each patient whether the record ends with a visit at the end of follow-up.
    """

    owner: Tensor
    codes: Tensor
    gap_codes: Tensor
    gap_positions: Tensor
    steps: Tensor
    ended: Tensor


def allowed_codes(
    limits: Sequence[Limit], n_classes: Tensor, last: Tensor | None, item: int, codes: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Lowest and highest code (R,) of ``item`` given the last codes and the codes of this row, each (R, C), or None."""
    mine = [limit for limit in limits if limit.target == item and (last is not None or not limit.from_last)]
    if not mine:
        return None
    low = torch.zeros(len(codes), dtype=torch.int64, device=codes.device)
    high = torch.full_like(low, int(n_classes[item]) - 1)
    for limit in mine:
        source = (last if limit.from_last and last is not None else codes)[:, limit.source]
        bound = limit.table.to(codes.device)[source]
        if limit.is_minimum:
            low = torch.maximum(low, bound)
        else:
            high = torch.minimum(high, bound)
    return low, torch.maximum(high, low)


@torch.no_grad()
def rollout(
    network: SequenceNetwork,
    static_codes: Tensor,
    start: Tensor,
    duration: Tensor,
    limits: Sequence[Limit],
    max_visits: int,
    generator: torch.Generator,
) -> Visits:
    """Draw the visits of N patients.

    Parameters
    ----------
    network : SequenceNetwork
        In evaluation mode.
    static_codes : Tensor of int64, shape (N, S)
        Static items.
    start : Tensor of float64, shape (N,)
        First visit time; NaN for a patient without visits.
    duration : Tensor of float64, shape (N,)
        End of follow-up; NaN without a terminal event.
    limits : sequence of Limit
        Constraints on channel codes.
    max_visits : int
        No record gets longer.
    generator : torch.Generator
        Source of randomness.
    """
    active = (~start.isnan()).nonzero().squeeze(1)
    state = _State.begin(network, static_codes[active], start[active], duration[active])
    ended = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    drawn: list[tuple[Tensor, ...]] = []
    for _ in range(max_visits):
        if len(active) == 0:
            break
        codes = state.draw_channels(network, limits, generator)
        drawn.append((active, codes, state.gap_codes, state.gap_positions, state.steps))
        ended[active] = state.at_end
        outcome = state.draw_gap(network, codes, generator)
        going = (outcome != STOP).nonzero().squeeze(1)
        active, state = active[going], state.keep(network, going)
    columns = [torch.cat(column) for column in zip(*drawn, strict=True)] if drawn else _empty(network, start)
    order = torch.argsort(columns[0], stable=True)
    owner, codes, gap_codes, gap_positions, steps = (column[order] for column in columns)
    return Visits(owner, codes, gap_codes, gap_positions, steps, ended)


def _empty(network: SequenceNetwork, start: Tensor) -> list[Tensor]:
    none = torch.zeros(0, dtype=torch.int64, device=start.device)
    return [none, none.new_zeros(0, len(network.table.n_classes)), none, start.new_zeros(0), none]


@dataclass
class _State:
    """Where the R active patients stand: at a visit whose time is known and whose channels are not drawn yet."""

    memory: Any
    carried: Carried
    history: History
    static: Tensor
    after: Tensor
    start: Tensor
    duration: Tensor
    time: Tensor
    gap: Tensor
    steps: Tensor
    gap_codes: Tensor
    gap_positions: Tensor
    at_end: Tensor

    @classmethod
    def begin(cls, network: SequenceNetwork, static_codes: Tensor, start: Tensor, duration: Tensor) -> _State:
        static = network.static_features(static_codes)
        hidden, memory = network.backbone.start(static)
        steps = torch.zeros(len(start), dtype=torch.int64, device=start.device)
        return cls(
            memory=memory,
            carried=Carried.start(network.table, len(start), start.device),
            history=History.start(len(start), start.device),
            static=static,
            after=network.before_first(static, hidden, start.float(), duration.float()),
            start=start,
            duration=duration,
            time=start,
            gap=torch.zeros_like(start, dtype=torch.float32),
            steps=steps,
            gap_codes=torch.full_like(steps, -1),
            gap_positions=torch.full_like(start, 0.5),
            at_end=torch.zeros_like(steps, dtype=torch.bool),
        )

    def draw_channels(self, network: SequenceNetwork, limits: Sequence[Limit], generator: torch.Generator) -> Tensor:
        """Draw the codes (R, C) of this visit."""
        if network.channels is None:
            return self.steps.new_zeros(len(self.steps), 0)
        time, duration = self.time.float(), self.duration.float()
        context = network.channel_context(self.after, time, self.gap, duration, self.at_end)
        last, n_classes = self.carried.last_codes, network.table.n_classes
        return network.channels.sample(
            context, generator, lambda item, codes: allowed_codes(limits, n_classes, last, item, codes)
        )

    def draw_gap(self, network: SequenceNetwork, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Take in this visit and draw what comes next: returns the outcome (R,) and moves the time on."""
        times = network.times
        time, duration = self.time.float(), self.duration.float()
        inputs = network.visit_inputs(codes, time, self.gap, duration, self.static)
        hidden, self.memory = network.backbone.step(inputs, self.memory)
        self.carried.add(network.table, codes, self.time)
        self.history.add(network.schedule, torch.round(self.gap / times.step))
        statistics = self.carried.statistics(network.table, self.time, times.typical_gap)
        self.after = torch.cat([hidden, statistics, network.time_features(time, duration), self.static], -1)
        history = self.history.features(network.schedule, self.steps)
        context = torch.cat([self.after, history, network.endings(self.time)], -1)
        left = self.duration - self.time
        steps_left = torch.where(left.isnan(), torch.inf, torch.floor(left / times.step + 1e-6))
        outcome, code, position, steps = network.gaps.sample(context, steps_left, left > times.tolerance, generator)
        self.gap_codes, self.gap_positions, self.at_end = code, position, outcome == END
        self.steps = self.steps + steps
        following = torch.where(self.at_end, self.duration, self.start + self.steps.double() * times.step)
        self.gap, self.time = (following - self.time).float(), following
        return outcome

    def keep(self, network: SequenceNetwork, rows: Tensor) -> _State:
        """The state of some patients."""
        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: part[rows] for name, part in parts.items() if name not in ("memory", "carried", "history")}
        memory = network.backbone.keep(self.memory, rows)
        pasts = {"carried": self.carried.keep(rows), "history": self.history.keep(rows)}
        return _State(**(kept | pasts | {"memory": memory}))
