"""What the visits so far tell about the next one: how many there were, how far apart, and when the next one is due.

Trials follow a protocol, in which the number of a visit decides when the next one takes place and whether there is one;
elsewhere patients differ in how regularly they come.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

N_NUMBERED = 8

WIDTH = 3 + 3 + N_NUMBERED
_WIDEST_SCORE = 3.2


class Schedule(nn.Module):
    """Usual times of the visits by their number, and gaps as scores.

    Parameters
    ----------
    usual : Tensor of float64, shape (K,)
        Usual steps from the first visit to visit 1, 2, ..., hence 0 first.
    edges : Tensor, shape (G + 1,)
        Score borders of the gap classes.
    knots : Tensor, shape (G, J)
        Gaps in steps at equally spaced positions inside each class.
    """

    usual: Tensor
    lowest: Tensor
    centres: Tensor

    def __init__(self, usual: Tensor, edges: Tensor, knots: Tensor) -> None:
        super().__init__()
        inside = edges.clamp(-_WIDEST_SCORE, _WIDEST_SCORE)
        self.register_buffer("usual", usual.double(), persistent=False)
        self.register_buffer("lowest", knots[:, 0].contiguous().double(), persistent=False)
        self.register_buffer("centres", ((inside[:-1] + inside[1:]) / 2).float(), persistent=False)

    def score(self, gap: Tensor) -> Tensor:
        """Score (...) of gaps (...) in steps."""
        code = torch.searchsorted(self.lowest, gap.double().contiguous(), right=True) - 1
        return self.centres[code.clamp(0, len(self.centres) - 1)]

    def features(self, numbers: Tensor, steps: Tensor, last: Tensor, total: Tensor, size: Tensor) -> Tensor:
        """Features (..., 14) after visit ``numbers``, ``steps`` after the first; of the scores of the gaps so far.

        First the score of the gap after which the next visit is due, the last score and the mean one; then whether
        it is known when the next is due, the mean size of scores, and the number of visits, exactly up to 8.
        """
        known = (numbers < len(self.usual)).float()
        due = self.usual[numbers.long().clamp(max=len(self.usual) - 1)] - steps.double()
        n_gaps = (numbers - 1).clamp(min=1)
        exact = (numbers.unsqueeze(-1) == torch.arange(1, N_NUMBERED + 1, device=numbers.device)).float()
        parts = [self.score(due) * known, last, total / n_gaps, known, size / n_gaps, torch.log1p(numbers)]
        return torch.cat([torch.stack(parts, -1), exact], -1)

    def along(self, steps: Tensor) -> Tensor:
        """Features (N, L, 14) after each visit of patients whose visits are ``steps`` (N, L) after their first."""
        scores = self.score(torch.diff(steps, dim=1)) if steps.shape[1] > 1 else steps[:, 1:].float()
        last = nn.functional.pad(scores, (1, 0))
        numbers = torch.arange(1, steps.shape[1] + 1, device=steps.device).expand_as(steps).float()
        return self.features(numbers, steps, last, last.cumsum(1), last.abs().cumsum(1))


@dataclass
class History:
    """What `Schedule.features` needs, kept up visit by visit for N patients while sampling; each tensor is (N,)."""

    numbers: Tensor
    last: Tensor
    total: Tensor
    size: Tensor

    @classmethod
    def start(cls, n: int, device: torch.device) -> History:
        """No visit yet."""
        return cls(*(torch.zeros(n, device=device) for _ in range(4)))

    def add(self, schedule: Schedule, gap: Tensor) -> None:
        """Take in one visit, which came ``gap`` (N,) steps after the one before."""
        self.last = torch.where(self.numbers > 0, schedule.score(gap), 0.0)
        self.numbers = self.numbers + 1
        self.total, self.size = self.total + self.last, self.size + self.last.abs()

    def features(self, schedule: Schedule, steps: Tensor) -> Tensor:
        """Features (N, 14) of patients who stand ``steps`` (N,) after their first visit."""
        return schedule.features(self.numbers, steps, self.last, self.total, self.size)

    def keep(self, rows: Tensor) -> History:
        """The history of some patients."""
        return History(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))
