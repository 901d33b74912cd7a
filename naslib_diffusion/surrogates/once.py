"""What several surrogates ask of the same encodings, computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from naslib_diffusion.spaces.base import Space

R = TypeVar("R")
Found = dict[tuple[Callable[..., Any], int], tuple[Tensor, Any]]

_FOUND: ContextVar[Found | None] = ContextVar("found", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Inside this block, `once` computes nothing twice; encodings must not be changed in it.

    It should hold one evaluation: results keep their way back to the encodings, which a gradient
    uses up.
    """
    token = _FOUND.set({})
    try:
        yield
    finally:
        _FOUND.reset(token)


class Kept:
    """What one object makes of encodings that are asked again and again, such as a whole space.

    Only for those that are `lasting`; results go with the encodings. A copy starts empty.
    """

    def __init__(self) -> None:
        self._found = WeakTensorKeyDictionary()

    def __call__(self, compute: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Return what is made of encodings, `B x *shape`, now or before."""
        if x not in _LASTING:
            return compute(x)
        if x not in self._found:
            self._found[x] = compute(x).detach()
        result: Tensor = self._found[x]
        return result

    def __reduce__(self) -> tuple[type[Kept], tuple[()]]:
        return Kept, ()


def lasting(x: Tensor) -> Tensor:
    """Declare that encodings will be asked again, and will not be changed; return them."""
    _LASTING[x] = None
    return x


_LASTING = WeakTensorKeyDictionary()


def once(compute: Callable[[Tensor], R], x: Tensor) -> R:
    """Return what a method makes of encodings, `B x *shape`, or made of them in this block."""
    found = _FOUND.get()
    if found is None:
        return compute(x)
    key = (compute, id(x))  # the entry keeps the encodings, so that no others get this number
    if key not in found:
        found[key] = (x, compute(x))
    result: R = found[key][1]
    return result


def features(space: Space[Any], x: Tensor) -> tuple[Tensor, ...]:
    """Return the groups of features of encodings, `B x *shape`; see `Space.features`."""
    return once(space.features, x)
