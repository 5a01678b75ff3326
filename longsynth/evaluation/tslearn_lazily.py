"""tslearn, loaded when it is first needed: that takes seconds."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType


def tslearn(part: str) -> ModuleType:
    """Return the module ``tslearn.<part>``, without its warning that h5py, which is for saving models, is missing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="h5py not installed", category=UserWarning)
        return importlib.import_module(f"tslearn.{part}")
