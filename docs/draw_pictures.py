"""Draws the pictures of README.md and of the concepts.

python docs/draw_pictures.py [--out docs/pictures]
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from naslib_diffusion import GuidedGenerator
from naslib_diffusion.diffusion import (
    EstimateGuidance,
    ExactDenoiser,
    Step,
    TiltGuidance,
    karras_sigmas,
    sample_ancestral,
)
from naslib_diffusion.spaces import AtomBlock, NASBench201, ProductSpace, UniformBlock
from naslib_diffusion.surrogates import ObjectiveScale, UpperConfidenceBound, make_surrogate
from naslib_diffusion.tables import benchmark

BLUE, ORANGE, GREY, GREEN = "#3a56d4", "#e08a1e", "#b7c0ca", "#0b8f6a"
STYLE: dict[str, Any] = {
    "svg.hashsalt": "pictures",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
SPACE = NASBench201()
EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
OPERATIONS = ("none", "skip", "1×1", "3×3", "pool")  # noqa: RUF001 - multiplication signs
SHOWN = (0, 5, 9, 12, 15, 18)
"""Steps of denoising whose estimates are shown."""
STRENGTHS = (0.0, 1.0, 3.0)
SIGMAS = karras_sigmas(20)


@functools.cache
def fitted() -> tuple[Any, Any]:
    """Return CIFAR-100's table, and a Gaussian process that saw 50 random cells of it."""
    table = benchmark("nasbench201/cifar100")
    cells = SPACE.sample(50, torch.Generator().manual_seed(0))
    values = torch.tensor([table[cell] for cell in cells], dtype=torch.double)
    scale = ObjectiveScale.of(values, maximize=True)
    return table, make_surrogate("gp", SPACE).fit(SPACE.encode(cells), scale(values))


def denoised(strength: float, rows: int = 400) -> tuple[list[Step], np.ndarray]:
    """Return the steps from noise to cells, and the accuracies of these, guided so strongly."""
    table, surrogate = fitted()
    exact = ExactDenoiser(SPACE)
    guided = TiltGuidance(exact, lambda x: surrogate.posterior(x)[0], strength)
    random = torch.Generator().manual_seed(3)
    middle = exact(torch.full((rows, *SPACE.shape), 0.5, dtype=torch.double), float(SIGMAS[0]))
    noise = torch.randn(middle.shape, dtype=torch.double, generator=random)
    steps: list[Step] = []
    x = sample_ancestral(
        guided, middle + SIGMAS[0] * noise, SIGMAS, generator=random, callback=steps.append
    )
    return steps, np.array([table[cell] for cell in SPACE.decode(x)])


def show_steps(panels: Any, steps: list[Step], row: int) -> None:
    """Draw the estimates of one cell: a row for each edge, a column for each operation."""
    for panel, index in zip(panels, SHOWN, strict=True):
        step = steps[index]
        panel.imshow(step.denoised[row, 1:7, 2:], cmap="Blues", vmin=0, vmax=1, aspect="auto")
        panel.set_title(f"noise {step.sigma:.2g}", fontsize=10)
        panel.set_xticks(range(5), OPERATIONS, fontsize=7, rotation=90)
        panel.set_yticks([])
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
    panels[0].set_yticks(range(6), EDGES, fontsize=8)
    panels[0].set_ylabel("edge of the cell")


def guidance(figure: Figure) -> None:
    """README: noise becomes a good cell under guidance."""
    figure.set_size_inches(9, 4.6)
    grid = figure.add_gridspec(2, len(SHOWN), height_ratios=(1, 1.15))
    panels = [figure.add_subplot(grid[0, i]) for i in range(len(SHOWN))]
    steps, _ = denoised(STRENGTHS[-1])
    show_steps(panels, steps, row=0)
    accuracies(figure.add_subplot(grid[1, :]))


def accuracies(axes: Any) -> None:
    """Draw how accurate cells are that were generated at several strengths of guidance."""
    bins = np.linspace(40, 74, 69)
    for strength, color in zip(STRENGTHS, (GREY, ORANGE, BLUE), strict=True):
        values = np.maximum(denoised(strength)[1], bins[0])
        label = f"guided, strength {strength:g}" if strength else "not guided"
        label += f": median {np.median(values):.1f} %"
        axes.hist(values, bins, weights=np.full(len(values), 100 / len(values)), color=color,
                  alpha=0.75, label=label)  # fmt: skip
    axes.axvline(fitted()[0].optimum, color=GREEN, ls="--", label="best of 15,625 cells")
    axes.set_xlabel("validation accuracy on CIFAR-100 of 400 generated cells (%), after training")
    axes.set_ylabel("share (%)")
    axes.legend(loc="upper left")


def noise_to_cell(figure: Figure) -> None:
    """Estimates of two cells, as the noise falls."""
    figure.set_size_inches(9, 4)
    panels = figure.subplots(2, len(SHOWN))
    steps, _ = denoised(0.0)
    for row, line in enumerate(panels):
        show_steps(line, steps, row)


def exact_denoiser(figure: Figure) -> None:
    """The denoiser of one coordinate: a choice out of two, and a number."""
    figure.set_size_inches(9, 3.4)
    x = torch.linspace(-1.5, 2.5, 400, dtype=torch.double)[:, None]
    atoms = AtomBlock(0, torch.tensor([[0.0], [1.0]], dtype=torch.double))
    titles = ("a coordinate that is 0 or 1", "a coordinate uniform on [0, 1]")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, block, title in zip(panels, (atoms, UniformBlock(0)), titles, strict=True):
        for sigma, color in ((0.2, BLUE), (0.6, ORANGE), (2.0, GREY)):
            estimate = ExactDenoiser([block])(x, sigma)
            panel.plot(x[:, 0], estimate[:, 0], color=color, lw=2, label=f"noise {sigma:g}")
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("noisy value x")
    panels[0].set_ylabel("estimate D(x)")
    panels[0].legend()


def strengths(figure: Figure) -> None:
    """What guidance does to what comes out."""
    figure.set_size_inches(9, 3.2)
    accuracies(figure.subplots())


def tilt(figure: Figure) -> None:
    """One choice out of three: where estimates go as guidance gets stronger."""
    figure.set_size_inches(6.4, 4.4)
    axes = figure.subplots()
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.87]], dtype=torch.double)
    axes.fill(*corners.T, facecolor="#f1f4f8", edgecolor=GREY)
    denoiser = ExactDenoiser([AtomBlock(0, torch.eye(3, dtype=torch.double))])
    x, sigma = torch.tensor([[0.9, 0.4, 0.2]], dtype=torch.double), 0.7
    scores = torch.tensor([0.0, 1.0, 0.5], dtype=torch.double)

    def guide(a: Tensor) -> Tensor:
        return a @ scores

    for make, color, label in (
        (EstimateGuidance, ORANGE, "gradient added to the estimate (Eq. 9)"),
        (TiltGuidance, BLUE, "tilt of the input"),
    ):
        path = [make(denoiser, guide, k)(x, sigma)[0] for k in (0, 0.5, 1, 2, 4, 6)]
        points = torch.stack(path) @ corners
        axes.plot(*points.T, "o-", color=color, ms=4, label=label)
    axes.plot(*(denoiser(x, sigma)[0] @ corners), "o", color="black", ms=7)
    for corner, text in zip(corners.tolist(), ("score 0", "score 1", "score 0.5"), strict=True):
        axes.annotate(text, corner, textcoords="offset points", xytext=(0, -14), ha="center")
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.05, 1.05))


def polish(figure: Figure) -> None:
    """How good candidates of a large space are by an acquisition function, at each stage."""
    figure.set_size_inches(9, 3.2)
    axes = figure.subplots()
    space = ProductSpace.categorical([9] * 20)
    random = torch.Generator().manual_seed(0)
    seen = space.encode(space.sample(60, random))
    weights = torch.randn(space.shape, dtype=torch.double, generator=random)
    values = (seen * weights).flatten(1).sum(1)
    surrogate = make_surrogate("gp", space).fit(seen, (values - values.mean()) / values.std())
    acquisition = UpperConfidenceBound(surrogate)
    stages = {
        "random": space.sample(64, random),
        "generated": GuidedGenerator(space, seed=0, device="cpu").generate(64, acquisition),
        "generated, then polished": GuidedGenerator(space, seed=0, device="cpu").generate(
            64, acquisition, polish=8
        ),
    }
    for (label, archs), color in zip(stages.items(), (GREY, ORANGE, BLUE), strict=True):
        with torch.no_grad():
            scores = acquisition(space.encode(archs))
        axes.plot(sorted(scores.tolist()), color=color, lw=2.5, label=label)
    axes.set_xlabel("64 candidates of 9^20 architectures, sorted")
    axes.set_ylabel("upper confidence bound")
    axes.legend(loc="lower right")


PICTURES = {
    "guidance": guidance,
    "noise-to-cell": noise_to_cell,
    "exact-denoiser": exact_denoiser,
    "strengths": strengths,
    "tilt": tilt,
    "polish": polish,
}


def draw(name: str, folder: Path) -> Path:
    """Draw one picture, and return its path."""
    path = folder / f"{name}.svg"
    with mpl.rc_context(STYLE):
        figure = Figure(layout="constrained", facecolor="white")
        PICTURES[name](figure)
        figure.savefig(path, metadata={"Date": None})
    return path


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        print(draw(name, folder))


if __name__ == "__main__":
    main()
