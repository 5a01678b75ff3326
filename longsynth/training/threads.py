"""How many threads torch uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Use one thread in a block, if ``wanted``, and as many as before afterwards.

    Batches of patients are many small operations. More threads hardly speed them up, and wait for each other for most
    of the time as soon as another process needs a core: on a busy machine of two cores a fit took ten times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
