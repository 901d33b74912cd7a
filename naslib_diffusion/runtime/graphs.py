"""Recording what a function computes on a card, to run it again without its overhead."""

from __future__ import annotations

from collections.abc import Callable

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
