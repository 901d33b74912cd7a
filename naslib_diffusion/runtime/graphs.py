"""Recording what a function computes on a card, to run it again without its overhead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor


def capture(
    function: Callable[[], Tensor], *generators: torch.Generator, warm_up: bool = True
) -> Callable[[], Tensor]:
    """Return `function` as one CUDA graph: a call launches all its kernels at once.

    The graph reads and writes the tensors that `function` closes over where they are, so that
    inputs are changed in place between calls; each call overwrites the result of the last.

    Args:
        function: computes on the card alone, without synchronisation and always the same shapes.
        generators: on the card, from which `function` draws; a call goes on where they are, as
            `function` would.
        warm_up: whether `function` is called first, since libraries choose their kernels and
            workspaces then. A caller has called it already, in the stream that is current, if a
            call changes what is to stay.

    Raises:
        RuntimeError: if `function` does what a graph cannot hold.
    """
    states = [generator.get_state() for generator in generators]
    stream = torch.cuda.current_stream()
    if stream == torch.cuda.default_stream():  # in which nothing can be recorded
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    if warm_up:
        with torch.cuda.stream(stream):
            function()
    for generator, state in zip(generators, states, strict=True):
        generator.set_state(state)
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.stream(stream):  # `torch.cuda.graph` would collect garbage first: slow
        graph.capture_begin()
        try:
            result = function()
        finally:
            graph.capture_end()
    torch.cuda.current_stream().wait_stream(stream)

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


class Recorded:
    """A function of tensors on a card: calls with shapes that come again are one launch each.

    Args:
        function: maps tensors to one, as `capture` wants it.
        generators: see `capture`.
        plain: so many calls with inputs of the same shapes come before their recording.
        warm_up: see `capture`.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        *generators: torch.Generator,
        plain: int = 0,
        warm_up: bool = True,
    ) -> None:
        self._function, self._generators = function, generators
        self._plain, self._warm_up = plain, warm_up
        self._calls: Counter[tuple[torch.Size, ...]] = Counter()
        self._recordings: dict[
            tuple[torch.Size, ...], tuple[list[Tensor], Callable[[], Tensor]]
        ] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what the function does; a later call may overwrite it."""
        shapes = tuple(x.shape for x in inputs)
        self._calls[shapes] += 1
        if self._calls[shapes] <= self._plain:
            return self._function(*inputs)
        if shapes not in self._recordings:
            kept = [x.clone() for x in inputs]
            function = partial(self._function, *kept)
            run = capture(function, *self._generators, warm_up=self._warm_up)
            self._recordings[shapes] = kept, run
        kept, run = self._recordings[shapes]
        for own, new in zip(kept, inputs, strict=True):
            own.copy_(new)
        return run()
