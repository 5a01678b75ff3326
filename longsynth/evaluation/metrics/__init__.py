"""The registered metrics, one file a subject; importing this package registers all of them."""

from longsynth.evaluation.metrics import (
    association,
    competing,
    cox,
    detection,
    distance,
    informative,
    marginal,
    missingness,
    rmst,
    rules,
    slopes,
    survival,
    temporal,
    transitions,
    variance,
    visit_process,
)

__all__ = [
    "association",
    "competing",
    "cox",
    "detection",
    "distance",
    "informative",
    "marginal",
    "missingness",
    "rmst",
    "rules",
    "slopes",
    "survival",
    "temporal",
    "transitions",
    "variance",
    "visit_process",
]
