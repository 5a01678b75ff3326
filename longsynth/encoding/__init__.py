"""From a cohort to arrays of classes a network can learn, and back."""

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.encoding.encoded import EncodedCohort

__all__ = ["CohortEncoder", "EncodedCohort"]
