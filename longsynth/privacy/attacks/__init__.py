"""The attacks: importing this package registers them all."""

from longsynth.privacy.attacks import linkage

__all__ = ["linkage"]
