"""The registered metrics, one file a subject; importing this package registers all of them."""

from longsynth.evaluation.metrics import (
    association,
    competing,
    cox,
    detection,
    distance,
    marginal,
    missingness,
    rmst,
    rules,
    survival,
)

__all__ = [
    "association",
    "competing",
    "cox",
    "detection",
    "distance",
    "marginal",
    "missingness",
    "rmst",
    "rules",
    "survival",
]
