"""Settings every test shares: one thread a process, and hypothesis examples that are the same on every machine."""

import os
import sys

import pytest
from hypothesis import settings

for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):  # read when torch and polars are imported, which is later
    os.environ.setdefault(variable, "1")

settings.register_profile("longsynth", max_examples=30, deadline=None, derandomize=True)
settings.load_profile("longsynth")


@pytest.fixture(autouse=True)
def no_earlier_fits():
    """Each test is the first to fit its patients under a budget."""
    if "longsynth.generators.earlier_fits" in sys.modules:
        sys.modules["longsynth.generators.earlier_fits"]._MADE.clear()
