"""The work folder of a fit: what is fitted there is noted, and nothing else may be resumed in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from longsynth.budget import ANEW
from longsynth.cohort.cohort import Cohort
from longsynth.encoding.encoded import EncodedCohort
from longsynth.exceptions import ConfigError
from longsynth.generators.settings import FitSettings
from longsynth.training.trainer import is_main_process

RELEASES, FIRST_RELEASE = "private.json", "sizes.json"


def check_folder(encoded: EncodedCohort, settings: FitSettings, told: dict[str, Any]) -> None:
    """Note in the work folder what is fitted there and with which settings; refuse to resume a fit of other data."""
    digest = hashlib.sha256()
    for field in fields(encoded):
        digest.update(np.ascontiguousarray(getattr(encoded, field.name)).tobytes())
    _check_note(digest, settings, told, "fit.sha256")


def check_cohort(train: Cohort, settings: FitSettings, told: dict[str, Any]) -> None:
    """As :func:`check_folder`, of tables that are not encoded yet, so that nothing is spent on a fit to be refused."""
    if not settings.resume and is_main_process():  # the other processes start when this one has paid
        remedy = f"carry it on with resume=True (--resume), or fit {ANEW}, which pays once more"
        check_unpaid(settings.folder, remedy)
    _check_note(digest_of(train), settings, told, "cohort.sha256", must_exist=is_paid_for(settings.folder))


def digest_of(cohort: Cohort) -> Any:
    """Return a hash of both tables, open for more."""
    digest = hashlib.sha256()
    for table in (cohort.static, cohort.visits):
        digest.update(table.hash_rows().to_numpy().tobytes())
    return digest


def check_unpaid(folder: Path, remedy: str) -> None:
    """Raise if the folder holds noisy counts that a fit under a budget has paid for, which another fit would lose."""
    if is_paid_for(folder):
        raise ConfigError(f"{folder} holds noisy counts that a fit under a budget has paid for; {remedy}")


def is_paid_for(folder: Path) -> bool:
    """Return whether the folder holds noisy counts of a fit under a budget."""
    return any((folder / name).exists() for name in (FIRST_RELEASE, RELEASES))


def paid_events(folder: Path) -> list[tuple[float, float, int]]:
    """Return noise multiplier, sample rate and steps of the noisy counts that the folder holds, in order."""
    if (folder / RELEASES).exists():
        spends = json.loads((folder / RELEASES).read_text())["ledger"]["spends"]
        return [(spend["noise_multiplier"], spend["sample_rate"], spend["n_steps"]) for spend in spends]
    if (folder / FIRST_RELEASE).exists():
        return [(json.loads((folder / FIRST_RELEASE).read_text())["noise_multiplier"], 1.0, 1)]
    return []


def _check_note(
    digest: Any, settings: FitSettings, told: dict[str, Any], name: str, *, must_exist: bool = False
) -> None:
    """Compare a fit that is carried on with its note; the first process of any other one writes it."""
    digest.update(json.dumps(told | {"seed": settings.seed}, sort_keys=True).encode())
    note = settings.folder / name
    if settings.resume and (must_exist or note.exists()):
        if not note.exists() or note.read_text() != digest.hexdigest():
            raise ConfigError(
                f"{settings.folder} holds a fit of another cohort or with other settings; carry that one on with its "
                f"own tables, objective and seed, or fit {ANEW}"
            )
    elif is_main_process():
        settings.folder.mkdir(parents=True, exist_ok=True)
        note.write_text(digest.hexdigest())
