"""The fitted pair of generators: K members, each a static and a sequence network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort, concatenate
from longsynth.exceptions import ConfigError
from longsynth.generators.calibration import Calibration, apply_calibration
from longsynth.generators.specs import item_spec, limits_of, time_settings
from longsynth.networks.rollout import Visits, allowed_codes, rollout
from longsynth.networks.sequence import MEMORYLESS, SequenceNetwork, SequenceSize
from longsynth.networks.static import StaticNetwork
from longsynth.networks.tilted_head import Given
from longsynth.seeding import child_seed, stream

CHUNK = 4000
MAX_DRAWS_AN_ACCEPTED = 20_000
Accept = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Architecture:
    """What rebuilds the networks of a model, as plain JSON values.

    Attributes
    ----------
    n_members : int
        Number K of members; each synthetic patient comes from one.
    static_units : int
        Hidden units an item of the static network.
    size : SequenceSize
        Sizes of the sequence network.
    backbone : str
        ``recurrent`` or ``transformer``; ``memoryless`` after a private fit.
    outcome_shares, usual_steps, ending_times, ending_log_odds : tuple of float
        As in :class:`~longsynth.networks.times.TimeSettings`.
    max_visits : int
        No synthetic record gets longer.
    duration_given_event : tuple of tuples of float
        After a private fit: where the duration starts, as shares of its classes by class of the event.
    """

    n_members: int
    static_units: int
    size: SequenceSize
    backbone: str
    outcome_shares: tuple[float, float, float]
    usual_steps: tuple[float, ...]
    ending_times: tuple[float, ...]
    ending_log_odds: tuple[float, ...]
    max_visits: int
    duration_given_event: tuple[tuple[float, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Architecture:
        """Rebuild the settings from :meth:`to_json`."""
        shares = state["outcome_shares"]
        fixed = {"size": SequenceSize(**state["size"]), "outcome_shares": (shares[0], shares[1], shares[2])}
        fixed |= {name: tuple(state[name]) for name in ("usual_steps", "ending_times", "ending_log_odds")}
        fixed["duration_given_event"] = tuple(map(tuple, state.get("duration_given_event", ())))
        return cls(**(state | fixed))


class Model:
    """K static and K sequence networks with the encoder that speaks for them; all that leaves a fit.

    Parameters
    ----------
    encoder : CohortEncoder
        Fitted.
    architecture : Architecture
        Sizes.
    seed : int
        Seed of the initial weights.
    """

    def __init__(self, encoder: CohortEncoder, architecture: Architecture, seed: int) -> None:
        self.encoder, self.architecture = encoder, architecture
        self.calibration: Calibration = {}
        static_specs = [item_spec(item) for item in encoder.static_items]
        channel_specs = [item_spec(item) for item in encoder.channel_items]
        self.static_limits = limits_of(encoder, encoder.static_items)
        self.channel_limits = limits_of(encoder, encoder.channel_items)
        self.static: list[StaticNetwork] = []
        self.sequence: list[SequenceNetwork] = []
        with torch.random.fork_rng():
            torch.manual_seed(child_seed(seed, "weights"))
            for _ in range(architecture.n_members):
                if static_specs:
                    units, dropout = architecture.static_units, architecture.size.dropout
                    tilted, given = architecture.backbone == MEMORYLESS, _duration_given_event(encoder, architecture)
                    self.static.append(StaticNetwork(static_specs, units, dropout, tilted=tilted, given=given))
                if encoder.time_scale is not None:
                    endings = architecture.ending_times, architecture.ending_log_odds
                    times = time_settings(encoder, architecture.outcome_shares, architecture.usual_steps, endings)
                    network = SequenceNetwork(
                        static_specs, channel_specs, times, architecture.size, architecture.backbone
                    )
                    self.sequence.append(network)

    def networks(self) -> dict[str, nn.Module]:
        """The networks by name, for saving and loading."""
        named: dict[str, nn.Module] = {f"static_{k}": network for k, network in enumerate(self.static)}
        return named | {f"sequence_{k}": network for k, network in enumerate(self.sequence)}

    def sample(self, n: int, seed: int, member: int | None = None, accept: Accept | None = None) -> EncodedCohort:
        """Draw n patients.

        Parameters
        ----------
        n : int
            Number of patients.
        seed : int
            Equal seeds give equal patients.
        member : int or None
            Draw from this member alone; None: each patient from a random one.
        accept : callable or None
            Tells from static codes and positions, each (m, S), which of m patients are wanted, shape (m,); others
            are drawn again, so that the result follows the conditional distribution.

        Raises
        ------
        ConfigError
            If hardly any patient is accepted.
        """
        rng = stream(seed, "sample")
        k = self.architecture.n_members
        generators = [torch.Generator().manual_seed(child_seed(seed, "member", number)) for number in range(k)]
        members, codes, positions = self._draw_static(n, rng, generators, member, accept)
        parts, order = [], []
        for number in range(k):
            mine = np.flatnonzero(members == number)
            for rows in np.split(mine, range(CHUNK, len(mine), CHUNK)):
                parts.append(self._draw_visits(number, codes[rows], positions[rows], rng, generators[number]))
                order.append(rows)
        drawn = concatenate(parts).take(np.argsort(np.concatenate(order), kind="stable"))
        return apply_calibration(self.encoder, drawn, self.calibration)

    def sample_static(self, n: int, seed: int) -> np.ndarray:
        """Draw the static codes (n, S) of n patients, without their visits; equal seeds give equal codes."""
        generators = [
            torch.Generator().manual_seed(child_seed(seed, "member", number))
            for number in range(self.architecture.n_members)
        ]
        return self._draw_static(n, stream(seed, "sample"), generators, None, None)[1]

    def _draw_static(
        self,
        n: int,
        rng: np.random.Generator,
        generators: list[torch.Generator],
        member: int | None,
        accept: Accept | None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Member (n,), static codes (n, S) and positions (n, S) of n accepted patients."""
        kept: list[tuple[np.ndarray, ...]] = []
        n_kept = n_drawn = 0
        while n_kept < n or not kept:
            n_wanted = n if accept is None else min(max(2 * n, 1000), 50_000)
            members = rng.integers(len(generators), size=n_wanted) if member is None else np.full(n_wanted, member)
            codes = np.zeros((n_wanted, len(self.encoder.static_items)), np.int64)
            for number in np.unique(members) if self.static else ():
                mine = members == number
                codes[mine] = self._static_codes(number, int(mine.sum()), generators[number]).numpy()
            positions = rng.random(codes.shape)
            wanted = np.ones(n_wanted, bool) if accept is None else accept(codes, positions)
            kept.append((members[wanted], codes[wanted], positions[wanted]))
            n_kept, n_drawn = n_kept + int(wanted.sum()), n_drawn + n_wanted
            if n_kept < n and n_drawn >= MAX_DRAWS_AN_ACCEPTED * max(n_kept, 10):
                raise ConfigError(
                    f"fewer than 1 in {MAX_DRAWS_AN_ACCEPTED:,} synthetic patients meet the condition; "
                    "loosen it, or check its values against `longsynth show`"
                )
        members, codes, positions = (np.concatenate(column)[:n] for column in zip(*kept, strict=True))
        return members, codes, positions

    def _static_codes(self, member: int, n: int, generator: torch.Generator) -> Tensor:
        network = self.static[member].eval()
        n_classes = network.head.table.n_classes
        return network.sample(
            n, generator, lambda item, drawn: allowed_codes(self.static_limits, n_classes, None, item, drawn)
        )

    def _draw_visits(
        self,
        member: int,
        codes: np.ndarray,
        positions: np.ndarray,
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> EncodedCohort:
        start, duration, event = self._outcomes(codes, positions)
        visits = self._visits(member, torch.from_numpy(codes), start, duration, generator)
        counts = np.bincount(visits.owner.numpy(), minlength=len(codes))
        channel_codes = visits.codes.numpy()
        return EncodedCohort(
            static_codes=codes.astype(np.int16),
            static_positions=positions,
            codes=channel_codes.astype(np.int16),
            positions=rng.random(channel_codes.shape),
            gap_codes=visits.gap_codes.numpy().astype(np.int16),
            gap_positions=visits.gap_positions.numpy(),
            steps=visits.steps.numpy(),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            start=start,
            duration=duration,
            event=event,
            ends_at_visit=visits.ended.numpy(),
        )

    def _outcomes(self, codes: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First visit time, end and event type (n,) of static codes; no first visit after the end."""
        found = {role: np.full(len(codes), np.nan) for role in ("start", "duration", "span")}
        event = np.zeros(len(codes), np.int64)
        for number, item in enumerate(self.encoder.static_items):
            if item.role in found:
                found[item.role] = item.codec.decode(codes[:, number], positions[:, number])
            elif item.role == "event":
                event = codes[:, number]
        scale = self.encoder.time_scale
        if scale is not None and self.encoder.schema.terminal_event is None:
            return found["start"], found["start"] + np.nan_to_num(found["span"]) * scale.step, event
        return np.fmin(found["start"], found["duration"]) + 0.0 * found["start"], found["duration"], event

    def _visits(
        self, member: int, codes: Tensor, start: np.ndarray, duration: np.ndarray, generator: torch.Generator
    ) -> Visits:
        if not self.sequence:
            none = torch.zeros(0, dtype=torch.int64)
            ended = torch.zeros(len(codes), dtype=torch.bool)
            return Visits(none, none.new_zeros(0, 0), none, torch.zeros(0, dtype=torch.float64), none, ended)
        return rollout(
            self.sequence[member].eval(),
            codes,
            torch.from_numpy(start),
            torch.from_numpy(duration),
            self.channel_limits,
            self.architecture.max_visits,
            generator,
        )


def _duration_given_event(encoder: CohortEncoder, architecture: Architecture) -> Given | None:
    if not architecture.duration_given_event:
        return None
    roles = [item.role for item in encoder.static_items]
    return Given(roles.index("duration"), roles.index("event"), architecture.duration_given_event)
