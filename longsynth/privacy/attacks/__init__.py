"""The attacks: importing this package registers them all."""

from longsynth.privacy.attacks import linkage, singling_out

__all__ = ["linkage", "singling_out"]
