"""One thread for small tensors."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch and BLAS use one CPU thread inside the block (usable as a decorator too).

    The engine works in many small steps, for which handing work to threads costs more than the
    work: beside another busy process, two threads were measured up to 50 times slower than one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the BLAS libraries that are loaded, of NumPy and of SciPy; finding them is slow."""
    import scipy.optimize  # noqa: F401 - brings its own BLAS

    return ThreadpoolController()
