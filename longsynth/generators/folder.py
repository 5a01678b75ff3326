"""The work folder of a fit: what is fitted there is noted, and nothing else may be resumed in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

import numpy as np

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.encoded import EncodedCohort
from longsynth.exceptions import ConfigError
from longsynth.generators.settings import FitSettings


def check_folder(encoded: EncodedCohort, settings: FitSettings, told: dict[str, Any]) -> None:
    """Note in the work folder what is fitted there and with which settings; refuse to resume a fit of other data."""
    digest = hashlib.sha256()
    for field in fields(encoded):
        digest.update(np.ascontiguousarray(getattr(encoded, field.name)).tobytes())
    _check_note(digest, settings, told, "fit.sha256")


def check_cohort(train: Cohort, settings: FitSettings, told: dict[str, Any]) -> None:
    """As :func:`check_folder`, of tables that are not encoded yet, so that nothing is spent on a fit to be refused."""
    digest = hashlib.sha256()
    for table in (train.static, train.visits):
        digest.update(table.hash_rows().to_numpy().tobytes())
    _check_note(digest, settings, told, "cohort.sha256")


def _check_note(digest: Any, settings: FitSettings, told: dict[str, Any], name: str) -> None:
    digest.update(json.dumps(told | {"seed": settings.seed}, sort_keys=True).encode())
    note = settings.folder / name
    if settings.resume and note.exists() and note.read_text() != digest.hexdigest():
        raise ConfigError(
            "the checkpoints are of a fit of another cohort or with other settings; fit without resume to start anew"
        )
    settings.folder.mkdir(parents=True, exist_ok=True)
    note.write_text(digest.hexdigest())
