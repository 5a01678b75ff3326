"""What a synthetic cohort tells about the patients it was made from. Sees cohorts only, whichever tool made them."""

from longsynth.privacy.scores import measure_privacy

__all__ = ["measure_privacy"]
