"""What comes after a visit: another one after a gap, a last one at the end of follow-up, or none."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longsynth.networks import mixture
from longsynth.networks.draw import draw_index
from longsynth.networks.masked_head import draw_class

GAP, END, STOP = 0, 1, 2
_NEVER = -1e9
_FOLLOW = torch.tensor([[0.5], [0.0], [0.0]])


class GapHead(nn.Module):
    """Distribution of the next gap, as classes of steps, with the outcomes END and STOP.

    Gaps that do not fit into the time remaining are excluded, in training and in sampling alike.

    Parameters
    ----------
    edges : ndarray, shape (G + 1,)
        Score borders of the G gap classes.
    knots : ndarray, shape (G, J)
        Gap in steps at equally spaced positions inside each class.
    context_size, n_units : int
        Width of the context and of the hidden layer.
    dropout : float
        Share of hidden units dropped in training.
    free : bool
        True: one logit a gap class (large data); False: a mixture of logistics over scores.
    may_end : bool
        Whether a visit exactly at the end of follow-up is an outcome of its own.
    shares : tuple of three floats
        Train shares of GAP, END and STOP, where the head starts.
    past : slice
        Columns of the context with the score at which the next visit is due, the last score and the mean one; the
        mixture's means follow them.
    ending : int
        Column of the context that the logit of STOP follows: how usual it is that records end at this time.
    """

    edges: Tensor
    knots: Tensor
    outcome_shift: Tensor

    def __init__(
        self,
        edges: np.ndarray,
        knots: np.ndarray,
        context_size: int,
        n_units: int,
        dropout: float,
        *,
        free: bool,
        may_end: bool,
        shares: tuple[float, float, float],
        past: slice,
        ending: int,
    ) -> None:
        super().__init__()
        self.free, self.past, self.ending = free, past, ending
        self.describe(edges, knots, may_end)
        n_value = self.n_classes if free else mixture.N_PARAMETERS
        self.hidden = nn.Sequential(
            nn.Linear(context_size, 2 * n_units), nn.SiLU(), nn.Dropout(dropout), nn.Linear(2 * n_units, 2 * n_units)
        )
        self.out = nn.Linear(2 * n_units, 3 + n_value)
        self.ending_weight = nn.Parameter(torch.ones(()))
        if not free:
            self.past_weights = nn.Parameter(_FOLLOW.repeat(1, mixture.N_COMPONENTS))
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias[:3] = torch.log(torch.tensor(shares) + 1e-4)
            if not free:
                self.out.bias[3:] = mixture.initial_parameters()
            else:
                self.out.bias[3:] = math.log(1 / self.n_classes)

    def describe(self, edges: np.ndarray, knots: np.ndarray, may_end: bool) -> None:
        """Note what the gap classes are, and whether END can be."""
        self.n_classes = len(knots)
        self.register_buffer("edges", torch.tensor(edges, dtype=torch.float32), persistent=False)
        self.register_buffer("knots", torch.tensor(knots, dtype=torch.float64), persistent=False)
        shift = torch.tensor([0.0, 0.0 if may_end else _NEVER, 0.0])
        self.register_buffer("outcome_shift", shift, persistent=False)

    def parameters_of(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Outcome logits (R, 3) and gap parameters (R, ·) of contexts (R, D)."""
        parameters = self.out(functional.silu(self.hidden(context)))
        outcomes, values = parameters[:, :3], parameters[:, 3:]
        ending = self.ending_weight * context[:, self.ending]
        outcomes = outcomes + functional.pad(ending.unsqueeze(1), (STOP, 0)).to(outcomes.dtype)
        if not self.free:
            follow = (context[:, self.past] @ self.past_weights).to(values.dtype)
            values = torch.cat(
                [values[:, : mixture.MEANS.start], values[:, mixture.MEANS] + follow, values[:, mixture.MEANS.stop :]],
                1,
            )
        return outcomes, values

    def highest_class(self, steps_left: Tensor) -> Tensor:
        """Highest class (R,) whose smallest gap fits into ``steps_left`` (R,); -1 if none fits."""
        return torch.searchsorted(self.knots[:, 0].contiguous(), steps_left.double(), right=True) - 1

    def outcome_log_prob(self, logits: Tensor, steps_left: Tensor, has_time_left: Tensor) -> Tensor:
        """Log-probability (R, 3) of GAP, END and STOP; what cannot be is excluded."""
        going = torch.where(self.highest_class(steps_left) < 0, _NEVER, self.outcome_shift[GAP])
        ending = torch.where(has_time_left, self.outcome_shift[END], _NEVER)
        shift = torch.stack([going, ending, self.outcome_shift[STOP].expand_as(going)], -1)
        return (logits + shift).log_softmax(-1)

    def log_prob(
        self, context: Tensor, outcome: Tensor, gap: Tensor, steps_left: Tensor, has_time_left: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-probability (R,) of what came next, and the predicted probability (R,) that nothing did.

        Parameters
        ----------
        context : Tensor, shape (R, D)
            Everything known after the visit.
        outcome : Tensor of int, shape (R,)
            GAP, END or STOP.
        gap : Tensor of int, shape (R,)
            Gap class where the outcome is GAP, anything elsewhere.
        steps_left : Tensor, shape (R,)
            Whole steps until the end of follow-up; infinite without one.
        has_time_left : Tensor of bool, shape (R,)
            Whether the end of follow-up is known and later than the visit.
        """
        logits, values = self.parameters_of(context)
        outcomes = self.outcome_log_prob(logits, steps_left, has_time_left)
        highest = self.highest_class(steps_left).clamp(min=0)
        gap = torch.minimum(gap.clamp(min=0), highest)
        if self.free:
            classes = torch.arange(self.n_classes, device=context.device)
            allowed = values.masked_fill(classes > highest.unsqueeze(1), _NEVER).log_softmax(-1)
            value = allowed.gather(-1, gap.unsqueeze(-1)).squeeze(-1)
        else:
            lowest = self.edges[0].expand(len(gap))
            value = mixture.interval_log_prob(values, self.edges[gap], self.edges[gap + 1])
            value = value - mixture.interval_log_prob(values, lowest, self.edges[highest + 1])
        total = outcomes.gather(-1, outcome.unsqueeze(-1)).squeeze(-1) + torch.where(outcome == GAP, value, 0.0)
        return total, outcomes[:, STOP].exp()

    @torch.no_grad()
    def sample(
        self, context: Tensor, steps_left: Tensor, has_time_left: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw outcome, gap class, position in the class and gap in whole steps, each (R,)."""
        logits, values = self.parameters_of(context)
        outcomes = self.outcome_log_prob(logits, steps_left, has_time_left).exp()
        outcome = draw_index(outcomes, generator)
        highest = self.highest_class(steps_left).clamp(min=0)
        if self.free:
            classes = torch.arange(self.n_classes, device=context.device)
            probabilities = values.masked_fill(classes > highest.unsqueeze(1), _NEVER).softmax(-1)
            gap = draw_index(probabilities, generator)
        else:
            gap = draw_class(values, self.edges, (torch.zeros_like(highest), highest), generator)
        position = torch.rand(gap.shape, generator=generator, device=gap.device).double()
        steps = self._steps(gap, position)
        steps = torch.minimum(steps, steps_left.double()).clamp(min=1).long()
        return outcome, gap, position, steps

    def _steps(self, gap: Tensor, position: Tensor) -> Tensor:
        """Whole steps (R,) at a position inside a gap class."""
        inside = position * (self.knots.shape[1] - 1)
        segment = inside.long().clamp(max=self.knots.shape[1] - 2)
        left, right = self.knots[gap, segment], self.knots[gap, segment + 1]
        return (left + (inside - segment) * (right - left)).round()
