"""The registered metrics, one file a subject; importing this package registers all of them."""

from longsynth.evaluation.metrics import detection, marginal

__all__ = ["detection", "marginal"]
