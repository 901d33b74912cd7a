"""Time and memory of generation and search."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from naslib_diffusion.benchmarks.harness.common import out_option, save, show

from naslib_diffusion import GuidedGenerator, Search
from naslib_diffusion.spaces import Categorical, Integer, NASBench201, ProductSpace, Real, Space
from naslib_diffusion.spaces.parameters import Parameter
from naslib_diffusion.surrogates import GaussianProcess, UpperConfidenceBound

SEARCH = "from naslib_diffusion.benchmarks.engine.speed import search_peak; print(search_peak())"


def fitted(space: Space[Any], points: int) -> GaussianProcess:
    """Return a Gaussian process on a random quadratic function of the encoding."""
    random = torch.Generator().manual_seed(0)
    x = space.encode(space.sample(points, random))
    flat = x.flatten(1)
    a, b = (torch.randn(flat.shape[1], generator=random, dtype=torch.double) for _ in range(2))
    y = flat @ a + (flat @ b).square()
    return GaussianProcess(space).fit(x, (y - y.mean()) / y.std())


def generate(space: Space[Any], n: int, points: int) -> Callable[[], object]:
    """Return what is timed: `n` guided architectures, guided by a GP of `points` points."""
    guide = UpperConfidenceBound(fitted(space, points))
    generator = GuidedGenerator(space, seed=0)
    return lambda: generator.generate(n, guide)


def round_trip(parameter: Parameter, n: int) -> Callable[[], object]:
    """Return what is timed: `n` points of 60 like parameters, encoded and decoded."""
    space = ProductSpace([parameter] * 60)
    points = space.sample(n, torch.Generator().manual_seed(0))
    return lambda: space.decode(space.encode(points))


def search_peak() -> float:
    """Run a search of 100 evaluations; return the peak memory of this process, in MB."""
    search = Search(NASBench201(), seed=0)
    for _ in range(100):
        archs = search.ask()
        search.tell(archs, [float(str(archs[0]).count("conv"))])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(function: Callable[[], object], runs: int) -> list[float]:
    """Time `function` after one warm-up."""
    function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


@click.command()
@out_option
@click.option("--runs", default=7, show_default=True, help="How often to time each case.")
def main(out: Path | None, runs: int) -> None:
    """Time generation, and measure the peak memory of a search."""
    product = ProductSpace.categorical([9] * 60)
    cases: list[tuple[str, Callable[[], object], float]] = [
        ("1,000 guided NAS-Bench-201 cells, GP of 100", generate(NASBench201(), 1000, 100), 2.0),
        ("128 guided of 60 x 9, GP of 200", generate(product, 128, 200), 1.0),
        ("codec, 10,000 of 60 categorical", round_trip(Categorical(range(9)), 10_000), 1.0),
        (
            "codec, 10,000 of 60 integers, log",
            round_trip(Integer(1, 10**6, log=True), 10_000),
            1.0,
        ),
        ("codec, 10,000 of 60 reals", round_trip(Real(0, 1), 10_000), 1.0),
    ]
    rows = []
    for label, function, limit in cases:
        times = seconds(function, runs)
        rows.append(
            {
                "what": label,
                "unit": "s",
                "median": statistics.median(times),
                "min": min(times),
                "max": max(times),
                "aim": f"< {limit:g}",
            }
        )
    done = subprocess.run(
        [sys.executable, "-c", SEARCH], check=True, capture_output=True, text=True
    )
    peak = float(done.stdout)
    rows.append({"what": "peak memory of a search of 100", "unit": "MB", "median": peak,
                 "min": peak, "max": peak, "aim": "< 1500"})  # fmt: skip
    show(f"Speed, {runs} runs", rows)
    save(out, "speed", rows, runs=runs)


if __name__ == "__main__":
    main()
