"""How close a synthetic cohort comes to a real one. Sees cohorts only, whichever tool made them."""

from longsynth.evaluation.scores import FIDELITY_METRICS, measure, score_cohort

__all__ = ["FIDELITY_METRICS", "measure", "score_cohort"]
