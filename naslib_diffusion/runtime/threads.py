"""Where and how small tensors are computed: one thread, the CPU, gradients to be had."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import ParamSpec, TypeVar

import torch
from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")


class _Threads:
    """Limits threads to one while blocks want it, and restores what was before the first.

    BLAS' number is the process's; PyTorch's is each Python thread's own, and begins in a new one
    as what was set last in any. So overlapping blocks must not restore what they found.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._torch = 1
        self._blas = ExitStack()
        self._here = threading.local()

    def enter(self) -> None:
        """Limit the threads of BLAS, and of PyTorch in this Python thread."""
        with self._lock:
            if not self._blocks:
                self._torch = torch.get_num_threads()
                self._blas.enter_context(_libraries().limit(limits=1, user_api="blas"))
            self._blocks += 1
        self._here.blocks = getattr(self._here, "blocks", 0) + 1
        torch.set_num_threads(1)

    def leave(self) -> None:
        """Restore PyTorch's after the last block of this Python thread, BLAS' after all."""
        self._here.blocks -= 1
        with self._lock:
            if not self._here.blocks:
                torch.set_num_threads(self._torch)
            self._blocks -= 1
            if not self._blocks:
                self._blas.close()


_THREADS = _Threads()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many CPU threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch and BLAS use one CPU thread inside the block (usable as a decorator too).

    The engine works in many small steps, for which handing work to threads costs more than the
    work: beside another busy process, two threads were measured up to 50 times slower than one.
    Blocks may be nested, and those of several Python threads may overlap. Inside, there are
    gradients, and tensors are made on the CPU unless told, whatever the context of the caller.
    """
    _THREADS.enter()
    try:
        with _gradients():
            yield
    finally:
        _THREADS.leave()


@contextmanager
def learning() -> Iterator[None]:
    """Let a network be made and trained alike whatever the caller's context (a decorator too).

    Inside, there are gradients, and tensors are made on the CPU and in single precision unless
    told. PyTorch's default precision is the process's, so that blocks wait for each other where it
    is another.
    """
    default = torch.get_default_dtype()
    with _gradients(), nullcontext() if default == torch.float32 else _PRECISION:
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


_PRECISION = threading.RLock()


def _gradients() -> ExitStack:
    """Return a context with gradients, where tensors are made on the CPU."""
    stack = ExitStack()
    for context in (torch.inference_mode(False), torch.enable_grad(), _cpu()):
        stack.enter_context(context)
    return stack


def on_cpu(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function make its tensors on the CPU, unless told, whatever the user's default is."""

    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        with _cpu():
            return function(*args, **kwargs)

    return inner


def _cpu() -> AbstractContextManager[object]:
    """Return a context in which tensors are made on the CPU.

    It does nothing where they are anyway: PyTorch's own doubles the time of small steps.
    """
    # `torch.get_default_device` of PyTorch 2.6 knows nothing of contexts
    default = torch.empty(0).device.type
    return nullcontext() if default == "cpu" else torch.device("cpu")


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the BLAS libraries that are loaded, of NumPy and of SciPy; finding them is slow."""
    import scipy.optimize  # noqa: F401 - brings its own BLAS

    return ThreadpoolController()
