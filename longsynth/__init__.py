"""longsynth: synthetic longitudinal patient cohorts."""

__version__ = "0.1.0"
