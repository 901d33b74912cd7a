"""How time and memory of one call grow with nodes x operations."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from naslib_diffusion.benchmarks.harness.common import save, show
from naslib_diffusion.benchmarks.hosts.acquisition_problems import Case, acquisition, fitted
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion
from tqdm import tqdm

SIZES = ((10, 5), (20, 9), (40, 9), (60, 9), (100, 9), (100, 16), (150, 16), (200, 16))
POINTS = 50
MODULE = "naslib_diffusion.benchmarks.hosts.acquisition_growth"
PROGRAM = f"from {MODULE} import one_call; one_call({{}}, {{}}, {{}})"


def one_call(nodes: int, operations: int, seed: int) -> None:
    """Print CPU seconds and memory (MB) of one call, beside what the process had before it."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    case = Case("", nodes, operations, POINTS)
    model, x = fitted(case, seed, fit=False)
    function = acquisition("UCB", model, x)
    with torch.no_grad():
        function(x[:2, None])
    before, start = _peak(), time.process_time()
    optimize_acqf_diffusion(function, case.space, options={"seed": seed})
    print(json.dumps([time.process_time() - start, _peak() - before]))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth(out: Path | None, runs: int) -> None:
    """Measure calls in fresh processes, print and draw them."""
    rows: list[dict[str, object]] = []
    points: list[tuple[int, float, float]] = []
    for nodes, operations in tqdm(SIZES, desc="sizes"):
        found = []
        for seed in range(runs):
            command = [sys.executable, "-c", PROGRAM.format(nodes, operations, seed)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout))
        seconds, memory = torch.tensor(found).median(0).values.tolist()
        size = nodes * operations
        points.append((size, seconds, memory))
        rows.append(
            {
                "nodes x operations": f"{nodes} x {operations}",
                "product": size,
                "CPU s": f"{seconds:.2f}",
                "ms per unit": f"{1000 * seconds / size:.2f}",
                "memory, MB": f"{memory:.0f}",
            }
        )
    show(f"Growth of one call, GP of {POINTS} points, UCB, median of {runs}", rows)
    save(out, "acquisition_growth", rows, points=POINTS, runs=runs)
    if out is not None:
        draw(points, out / "acquisition_growth.png")


def draw(points: list[tuple[int, float, float]], path: Path) -> None:
    """Draw time and memory against the size, each with a line through the origin and the last."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    sizes = [size for size, _, _ in points]
    labels = ("CPU time of one call, s", "memory of one call, MB")
    for i, (axes, label) in enumerate(zip(panels, labels, strict=True), start=1):
        values: list[Any] = [point[i] for point in points]
        slope = sum(s * v for s, v in zip(sizes, values, strict=True)) / sum(s * s for s in sizes)
        axes.plot([0, sizes[-1]], [0, slope * sizes[-1]], color="0.7", label="proportional")
        axes.plot(sizes, values, "o-", color="#1f6f8b", label="measured")
        axes.set_xlabel("nodes x operations")
        axes.set_title(label, loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
