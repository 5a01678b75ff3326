"""Likelihood training of K members at once, each on the patients outside its own fold.

Every patient is held out of exactly one member, so the pooled held-out likelihood uses all patients: a single small
validation split decides nothing. Training stops at the epoch where the pooled figure is best.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from longsynth.networks.batch import PatientBatch
from longsynth.seeding import child_seed
from longsynth.training.plan import StagePlan

HELD_OUT_NLL = "held_out_nll"


def assign_folds(n_patients: int, n_members: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each patient, shape (N,): balanced for several members; 10 % in fold 0 for one, else -1."""
    if n_members > 1:
        return rng.permutation(np.arange(n_patients) % n_members)
    folds = np.full(n_patients, -1)
    folds[rng.choice(n_patients, max(1, round(0.1 * n_patients)), replace=False)] = 0
    return folds


class CrossFitModule(pl.LightningModule):
    """Lightning module of K members of one architecture.

    Each member must offer ``log_prob(batch)`` with a ``total`` of shape (N,), or such a tensor itself. Validation and
    sampling use an exponential moving average of the weights.

    Parameters
    ----------
    members : list of Module
        K networks.
    folds : ndarray of int, shape (N,)
        Fold of each train patient; member k never trains on fold k.
    plan : StagePlan
        Learning rate, decay and the like.
    loss_scale : float
        Constant that the summed loss of a batch is divided by. It must not depend on the batch: dividing by a
        batch's own number of visits would weigh long records down and bias the stop.
    seed : int
        Seed of dropout.
    """

    folds: Tensor

    def __init__(
        self, members: list[nn.Module], folds: np.ndarray, plan: StagePlan, loss_scale: float, seed: int
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.averages = nn.ModuleList(copy.deepcopy(member) for member in members).requires_grad_(False)
        self.register_buffer("folds", torch.from_numpy(folds), persistent=False)
        self.plan, self.loss_scale, self.seed = plan, loss_scale, seed
        self._sums: dict[str, Tensor] = {}

    def on_train_batch_start(self, _: Any, batch_idx: int) -> None:
        """Tie dropout to the seed and the step, so that a resumed fit draws the same numbers."""
        torch.manual_seed(child_seed(self.seed, "step", self.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: PatientBatch, _: int) -> Tensor:
        """Mean over members of the scaled negative log-likelihood of their own train patients."""
        fold = self.folds[batch.row]
        losses = []
        for number, member in enumerate(self.members):
            mine = (fold != number).nonzero().squeeze(1)
            losses.append(-total_log_prob(member, batch.take(mine)).sum() if len(mine) else _zero(member))
        return torch.stack(losses).sum() / self.loss_scale

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averages towards the weights."""
        move_average(self.averages, self.members, self.plan.average_decay, self.global_step)

    def on_validation_epoch_start(self) -> None:
        """Start the pooled sums."""
        self._sums = {}

    def validation_step(self, batch: PatientBatch, _: int) -> None:
        """Add the held-out log-likelihood of a batch, each patient under the member that never saw it."""
        fold = self.folds[batch.row]
        averages: Any = self.averages
        for number, member in enumerate(averages):
            mine = (fold == number).nonzero().squeeze(1)
            if len(mine) == 0:
                continue
            scored = member.log_prob(batch.take(mine))
            self._add("nll", -(scored if isinstance(scored, Tensor) else scored.total).sum())
            self._add("patients", torch.tensor(float(len(mine)), device=self.device))
            if not isinstance(scored, Tensor):
                self._add("stops", scored.stops.sum())
                self._add("predicted_stops", scored.predicted_stops.sum())

    def on_validation_epoch_end(self) -> None:
        """Log the pooled held-out negative log-likelihood a patient, and the calibration of the stop."""
        gather: Any = self.all_gather
        sums = {name: gather(value).sum() for name, value in sorted(self._sums.items())}
        self.log(HELD_OUT_NLL, sums["nll"] / sums["patients"], prog_bar=True, rank_zero_only=False)
        if "stops" in sums:
            self.log("stop_ratio", sums["predicted_stops"] / sums["stops"].clamp(min=1), rank_zero_only=False)

    def _add(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + value.detach()

    def configure_optimizers(self) -> Any:
        """AdamW with a short warm-up, then constant or one cosine over all epochs."""
        plan = self.plan
        optimizer = torch.optim.AdamW(self.members.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)
        total = max(int(self.trainer.estimated_stepping_batches), 1)

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / 20)
            return warm * (0.5 + 0.5 * np.cos(np.pi * min(step / total, 1.0)) if plan.cosine else 1.0)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def move_average(average: nn.Module, module: nn.Module, decay: float, step: int) -> None:
    """Move an average of weights towards a module's, faster in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(average.parameters(), module.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def total_log_prob(member: nn.Module, batch: PatientBatch) -> Tensor:
    """Log-probability (N,) of each patient under a member."""
    scored = member.log_prob(batch)  # type: ignore[operator]
    return scored if isinstance(scored, Tensor) else scored.total


def _zero(member: nn.Module) -> Tensor:
    """A loss of 0 that reaches every parameter, for a member without patients in a batch."""
    return torch.stack([parameter.sum() * 0.0 for parameter in member.parameters()]).sum()
