"""longsynth: synthetic longitudinal patient cohorts."""
