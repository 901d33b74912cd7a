"""A device that is none: tensors on it live in this process, and refuse to meet those on the CPU.

PyTorch's "meta" device stands for a GPU, so that a machine without one sees what would crash on
one. Inside `simulated()`, a tensor made on it or moved to it is an `Elsewhere`, which holds its
values, and computes with them on the CPU. As on CUDA, every operation wants its tensors on one
device; only scalars without dimensions, and indices, may come from the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("meta")
COPIES = (torch.ops.aten.copy_, torch.ops.aten._to_copy)
INDEXING = (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_)

CONSTRUCTORS = (torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor)


class Elsewhere(torch.Tensor):
    """A tensor on `DEVICE`; `inner` holds its values."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Elsewhere:
        """Wrap a tensor, which lies on the CPU."""
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        tensor.inner = inner
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _call(func, args, kwargs or {})

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *, force=False):
        raise TypeError("can't convert a tensor from elsewhere to numpy; use Tensor.cpu() first")

    def __array__(self, *arguments):
        self.numpy()

    def __deepcopy__(self, memo):
        return Elsewhere(self.inner.detach().clone()).requires_grad_(self.requires_grad)


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _call(func, args, kwargs or {})


class _Constructors(TorchFunctionMode):
    """`torch.tensor` and its like, and lists as indices, make tensors behind the dispatcher."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            args = (args[0], _lists_as_tensors(args[1]), *args[2:])
        if func not in CONSTRUCTORS:
            return func(*args, **kwargs)
        device = kwargs.pop("device", None)
        if func is torch.Tensor.new_tensor:
            device = device or args[0].device
            kwargs.setdefault("dtype", args[0].dtype)
            func, args = torch.tensor, args[1:]
        return func(*args, **kwargs) if device is None else func(*args, **kwargs).to(device)


def _lists_as_tensors(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_lists_as_tensors, index))
    if isinstance(index, list):
        return torch.tensor(index) if index else torch.zeros(0, dtype=torch.long)
    return index


def _call(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Run one operation on the CPU; its results lie where its tensors do, or where it says."""
    tensors = list(_tensors((args, *kwargs.values())))
    assert not any(t.is_meta and not isinstance(t, Elsewhere) for t in tensors), "without values"
    there = any(isinstance(t, Elsewhere) for t in tensors)
    name = getattr(func, "overloadpacket", func)
    if there and name not in COPIES:
        _refuse_mixture(name, args[:1] if name in INDEXING else tensors)
    device = kwargs.get("device")
    if device is not None:
        there = torch.device(device).type == DEVICE.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if name is torch.ops.aten.copy_:
        there = isinstance(args[0], Elsewhere)
    found = func(*_mapped(_inner, args), **{k: _mapped(_inner, v) for k, v in kwargs.items()})
    if not there:
        return found
    given = {id(_inner(t)): t for t in tensors}  # what is changed in place stays the same object
    return _mapped(lambda t: given[id(t)] if id(t) in given else _wrapped(t), found)


def _refuse_mixture(name: object, tensors: Any) -> None:
    """Raise RuntimeError, as CUDA does, if some tensors are here and some elsewhere."""
    here = [t for t in tensors if not isinstance(t, Elsewhere) and t.ndim]
    if here and (len(here) < len(tensors) or len(tensors) == 1):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {name} found a tensor of shape "
            f"{tuple(here[0].shape)} on the CPU among others"
        )


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_mapped(function, part) for part in value)
    return function(value)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, Elsewhere) else value


def _wrapped(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere):
        return Elsewhere(value)
    return value


@contextmanager
def simulated() -> Iterator[torch.device]:
    """Let there be another device inside the block; its name is returned."""
    with _Mode(), _Constructors():
        yield DEVICE
