"""Randomness that must stay secret: the noise of a mechanism, and who is in a batch."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np


class SecretRandomness:
    """Uniform and normal numbers from bytes of the operating system's entropy.

    The seed of a fit has no part in it: equal seeds give equal starting weights, never equal noise. Normal numbers are
    floating-point ones, not hardened against attacks on their last bits (Mironov, 2012, doi:10.1145/2382196.2382264).

    Parameters
    ----------
    entropy : callable
        Returns so many random bytes. Only tests give another one than the operating system's.
    """

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self.entropy = entropy

    def uniform(self, n: int) -> np.ndarray:
        """Return n numbers in (0, 1), float64."""
        whole = np.frombuffer(self.entropy(8 * n), dtype=np.uint64) >> np.uint64(11)
        return (whole.astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, n: int) -> np.ndarray:
        """Return n standard normal numbers, float64, by the transform of Box and Muller."""
        half = (n + 1) // 2
        radius = np.sqrt(-2.0 * np.log(self.uniform(half)))
        angle = 2.0 * np.pi * self.uniform(half)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n]
