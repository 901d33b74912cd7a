"""Moving what holds tensors to where a search computes."""

from __future__ import annotations

import copy
from typing import Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import nn

T = TypeVar("T")


@runtime_checkable
class Movable(Protocol):
    """Something that holds tensors, and can be had on another device."""

    def to(self, device: torch.device | str) -> Self:
        """Return the same on a device; what it is called on stays where it is."""


def moved(thing: T, device: torch.device | str) -> T:
    """Return `thing` with its tensors on a device; as it is if it holds none, or they are there.

    A module of the caller's is copied rather than moved: it may be in use elsewhere.
    """
    if isinstance(thing, nn.Module):
        there = torch.empty(0, device=device).device  # with its number
        if all(t.device == there for t in (*thing.parameters(), *thing.buffers())):
            return thing
        return copy.deepcopy(thing).to(device)
    return thing.to(device) if isinstance(thing, Movable) else thing
