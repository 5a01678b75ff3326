"""The registered metrics, one file a subject; importing this package registers all of them."""

from longsynth.evaluation.metrics import competing, detection, marginal, rmst, survival

__all__ = ["competing", "detection", "marginal", "rmst", "survival"]
