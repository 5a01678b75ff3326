"""Run one measurement in a process of its own, so that its memory and its threads are its own."""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def alone(function: Callable[..., Any], *arguments: Any, threads: int = 1) -> Any:
    """Return what the function returns, called in a fresh process with so many threads."""
    for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):  # read when torch and polars are imported
        os.environ[variable] = str(threads)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory_mib() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
