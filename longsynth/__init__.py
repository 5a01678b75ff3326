"""longsynth: synthetic longitudinal patient cohorts."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Cohort": "longsynth.cohort.cohort",
    "PrivacyBudget": "longsynth.budget",
    "Schema": "longsynth.schema.types",
    "Synthesizer": "longsynth.synthesizer",
    "assess_privacy": "longsynth.privacy.assess",
    "audit": "longsynth.generators.audit",
    "compare": "longsynth.report.comparison",
    "evaluate": "longsynth.evaluation.evaluate",
    "infer_schema": "longsynth.schema.infer",
    "load": "longsynth.synthesizer",
    "load_pbc": "longsynth.cohort.datasets",
    "read_cohort": "longsynth.cohort.formats",
    "read_schema": "longsynth.schema.files",
    "simulate_cohort": "longsynth.cohort.simulate",
    "split": "longsynth.cohort.split",
    "write_cohort": "longsynth.cohort.formats",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that importing the package imports no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'longsynth' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
