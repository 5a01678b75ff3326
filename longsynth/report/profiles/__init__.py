"""Use cases: what each asks of a synthetic cohort, and the verdict. The one place where limits live."""

from longsynth.report.profiles.profile import GROUPS, PROFILES, Check, Profile, load_profile
from longsynth.report.profiles.verdict import Line, Verdict, accepted, judge

__all__ = ["GROUPS", "PROFILES", "Check", "Line", "Profile", "Verdict", "accepted", "judge", "load_profile"]
