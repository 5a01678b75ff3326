"""The attacks: importing this package registers them all."""

from longsynth.privacy.attacks import closest, duplicates, inference, linkage, membership, singling_out

__all__ = ["closest", "duplicates", "inference", "linkage", "membership", "singling_out"]
