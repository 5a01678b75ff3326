"""One seed becomes named, independent random streams, so adding a consumer never shifts another one's numbers."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the random stream called ``names`` under ``seed``.

    Parameters
    ----------
    seed : int
        The user's seed, at least 0.
    *names : str or int
        The path of the consumer, for example ``("sequence", "member", 3)``.

    Returns
    -------
    numpy.random.Generator
        Independent of every stream with another path.

    Examples
    --------
    >>> bool(stream(0, "static").integers(1000) == stream(0, "static").integers(1000))
    True
    """
    path = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=tuple(path)))


def child_seed(seed: int, *names: str | int) -> int:
    """Return an integer seed for libraries that take one (torch, scikit-learn)."""
    return int(stream(seed, *names).integers(2**31 - 1))
