"""One place that sets up Lightning trainers: devices, checkpoints, early stopping, logs and progress."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from longsynth.exceptions import ConfigError
from longsynth.training.crossfit import HELD_OUT_NLL


def is_main_process() -> bool:
    """Whether this is the one of several training processes that writes files."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


@dataclass(frozen=True)
class Hardware:
    """What Lightning's Trainer is told about devices; passed through unchanged.

    The gradient of a batch is small work, so one process is the default everywhere.
    """

    accelerator: str = "auto"
    devices: int | str | list[int] = 1
    strategy: str = "auto"
    precision: str = "32-true"


def run_stage(
    module: pl.LightningModule,
    data: pl.LightningDataModule | None,
    folder: Path,
    hardware: Hardware,
    *,
    max_epochs: int,
    patience: int | None,
    keep_tail: bool = False,
    progress: bool,
    resume: bool,
) -> dict[str, Any]:
    """Train one stage, leave the module at the weights to keep, and return what happened.

    Parameters
    ----------
    module, data : LightningModule, LightningDataModule or None
        What to train on what; None: the module brings its own loader.
    folder : Path
        Checkpoints and the CSV log of this stage.
    hardware : Hardware
        Devices.
    max_epochs, patience : int, int or None
        Limits; None: no early stopping and the last weights are kept.
    keep_tail : bool
        Keep the last weights also with early stopping, rather than the best.
    progress : bool
        Show a progress bar.
    resume : bool
        Carry on from the stage's last checkpoint if there is one.

    Returns
    -------
    dict
        ``epochs`` run, and with early stopping ``best_epoch``, ``kept_epoch`` and the ``held_out_nll`` and
        ``stop_ratio`` of the weights that were kept.
    """
    finished, last = folder / "finished.json", folder / "last.ckpt"
    kept = last if patience is None or keep_tail else folder / "best.ckpt"
    if resume and finished.exists():
        return _keep(module, kept, json.loads(finished.read_text()))
    if not resume and folder.exists() and is_main_process():
        shutil.rmtree(folder)
    best, watch = ModelCheckpoint(folder, "best", monitor=HELD_OUT_NLL, enable_version_counter=False), _Watch()
    callbacks: list[pl.Callback] = [watch]
    if patience is not None:
        callbacks += [best, EarlyStopping(HELD_OUT_NLL, patience=patience, check_finite=True)]
    callbacks.append(ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True))
    if progress:
        callbacks.append(_StageBar(folder.name))
    trainer = _trainer(
        hardware,
        max_epochs=max_epochs,
        callbacks=callbacks,
        logger=CSVLogger(folder, name="", version=""),
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=50.0 if module.automatic_optimization else None,
        log_every_n_steps=50,
    )
    trainer.fit(module, datamodule=data, ckpt_path=str(last) if resume and last.exists() else None)
    seen = {str(epoch): figures for epoch, figures in watch.seen.items()}
    told: dict[str, Any] = {"epochs": trainer.current_epoch, "seen": seen}
    if trainer.is_global_zero:
        finished.write_text(json.dumps(told))
    record = _keep(module, kept, told)
    trainer.strategy.barrier()  # the first process may remove the folder as soon as it is done
    return record


def _trainer(hardware: Hardware, **settings: Any) -> pl.Trainer:
    """Return a trainer; what Lightning finds wrong with the user's hardware settings becomes our error."""
    try:
        return pl.Trainer(**asdict(hardware), **settings)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ConfigError(
            f"accelerator, devices, strategy or precision cannot be used here. Lightning says: {error}"
        ) from error


def _keep(module: pl.LightningModule, checkpoint: Path, told: dict[str, Any]) -> dict[str, Any]:
    """Load the weights of one of our own checkpoints and return the record of a stage that keeps them."""
    found = torch.load(checkpoint, map_location="cpu", weights_only=False)
    module.load_state_dict(found["state_dict"])
    record, seen = {"epochs": told["epochs"]}, told["seen"]
    if seen:
        best_epoch = min(seen, key=lambda epoch: float(seen[epoch][HELD_OUT_NLL]))
        record |= {"best_epoch": int(best_epoch), "kept_epoch": int(found["epoch"])} | seen[str(found["epoch"])]
    return record


class _StageBar(RichProgressBar):
    """A progress bar that says which stage of the fit it is."""

    def __init__(self, stage: str) -> None:
        super().__init__(leave=False)
        self.stage = stage

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self.stage.capitalize()}: {super()._get_train_description(current_epoch)}"


class _Watch(pl.Callback):
    """Remembers the validation figures of every epoch, across a resume."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, float]] = {}

    def on_validation_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        metrics = trainer.callback_metrics
        names = [name for name in (HELD_OUT_NLL, "stop_ratio") if name in metrics]
        self.seen[trainer.current_epoch] = {name: float(metrics[name]) for name in names}

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


@contextmanager
def quiet_training(seed: int) -> Iterator[None]:
    """Seed torch for a block; hush Lightning's notices in it; leave the random state and the loggers as they were."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    with torch.random.fork_rng(), warnings.catch_warnings():
        for logger in loggers:
            warnings.filterwarnings("ignore", module=logger.name)
            logger.setLevel(logging.ERROR)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
