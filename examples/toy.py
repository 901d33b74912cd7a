"""Guided diffusion over neural architectures: the whole idea in one file, without this package.

    python examples/toy.py --out toy.png

Read it from top to bottom. An architecture is noise that was cleaned. A
function that scores architectures steers the cleaning, so that good ones come out.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

# --- 1. The space --------------------------------------------------------------------------------
# A cell has four nodes and six edges. Each edge carries one of five operations, as a one-hot row,
# so that a batch of cells is a tensor `B x 6 x 5`. There are 5^6 = 15,625 cells.
OPERATIONS = ("none", "skip", "conv 1x1", "conv 3x3", "pool")
EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
CONV = OPERATIONS.index("conv 3x3")


def all_cells() -> Tensor:
    """Return every cell of the space, `15625 x 6 x 5`."""
    choices = torch.tensor(list(itertools.product(range(5), repeat=6)))
    return torch.nn.functional.one_hot(choices, 5).double()


# --- 2. Noise ------------------------------------------------------------------------------------
# Noise of level sigma turns a cell a into x = a + sigma z, with z standard normal. At sigma = 5
# nothing of the cell is left; at sigma = 0.1 it can be read off. We shall go from the one to the
# other in small steps (a geometric sequence), and end at 0.
SIGMAS = torch.cat([torch.logspace(0.7, -1, 20), torch.zeros(1)]).tolist()

Denoiser = Callable[[Tensor, float], Tensor]
Sampler = Callable[[Denoiser, Tensor, torch.Generator], Tensor]


# --- 3. The exact denoiser -----------------------------------------------------------------------
def denoise(x: Tensor, sigma: float) -> Tensor:
    """Return the mean of all cells that may be behind the noisy x, `B x 6 x 5`.

    The weight of operation k on an edge is proportional to exp(-|x - e_k|^2 / (2 sigma^2)), and
    |x - e_k|^2 = |x|^2 - 2 x_k + 1. So it is a softmax for each edge; nothing has to be trained.
    """
    return torch.softmax(x / sigma**2, dim=2)


# --- 4. Samplers: from noise to a cell -----------------------------------------------------------
def sample_euler(denoiser: Denoiser, x: Tensor, _: torch.Generator) -> Tensor:
    """Follow the probability-flow equation dx / dsigma = (x - D(x)) / sigma, step by step."""
    for sigma, lower in itertools.pairwise(SIGMAS):
        clean = denoiser(x, sigma)
        x = clean + lower / sigma * (x - clean)  # keep the direction of the noise, shrink it
    return x


def sample_ancestral(denoiser: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
    """Replace a part of the noise by fresh noise at each step, which forgets early mistakes."""
    for sigma, lower in itertools.pairwise(SIGMAS):
        clean = denoiser(x, sigma)
        ratio = (lower / sigma) ** 2
        x = clean + ratio * (x - clean)
        noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        x = x + lower * (1 - ratio) ** 0.5 * noise
    return x


# --- 5. The guide --------------------------------------------------------------------------------
def guide(x: Tensor) -> Tensor:
    """Score cells, `B x 6 x 5` to `B`; of relaxed ones, too, with a gradient.

    This one likes convolutions, and likes it best if they form a path through the whole cell. In
    a search it would be a model that was fitted to the architectures trained so far.
    """
    conv = x[..., CONV]  # how much of a 3x3 convolution each edge has, `B x 6`
    first, second, last = (conv[:, EDGES.index(edge)] for edge in ("0-1", "1-2", "2-3"))
    return conv.sum(1) + 2 * first * second * last


# --- 6. Guidance ---------------------------------------------------------------------------------
def guided(strength: float) -> Denoiser:
    """Return the denoiser of the law p(a) exp(strength * guide(a)), in place of p(a).

    Around the estimate the guide is about linear, g . a. Multiplying by exp(k g . a) moves the
    centre of exp(-|x - a|^2 / (2 sigma^2)) from x to x + sigma^2 k g (complete the square), so
    that the guided denoiser is the same denoiser at a shifted input. The second time, the
    gradient is taken at the guided estimate: our guide is curved.
    """

    def tilted(x: Tensor, sigma: float) -> Tensor:
        estimate = denoise(x, sigma)
        for _ in range(2):
            estimate.requires_grad_()
            (gradient,) = torch.autograd.grad(guide(estimate).sum(), estimate)
            estimate = denoise(x + sigma**2 * strength * gradient, sigma)
        return estimate

    return tilted


# --- 7. Does it do what it says? -----------------------------------------------------------------
def generate(number: int, strength: float, sampler: Sampler) -> Tensor:
    """Draw noise, denoise it under guidance, and take the nearest cell: `number x 6 x 5`."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(number, 6, 5, dtype=torch.double, generator=generator)
    x = 0.2 + SIGMAS[0] * noise  # 0.2 is the mean of all cells
    relaxed = sampler(guided(strength), x, generator)
    return torch.nn.functional.one_hot(relaxed.argmax(2), 5).double()


def expected(strength: float) -> float:
    """Return the mean score under p(a) exp(strength * guide(a)), by counting all the cells."""
    scores = guide(all_cells())
    return float((torch.softmax(strength * scores, dim=0) * scores).sum())


def draw(scores: dict[float, Tensor], path: Path) -> None:
    """Draw how the scores of generated cells move as guidance gets stronger."""
    figure, panels = plt.subplots(len(scores), 1, sharex=True, layout="constrained")
    for panel, (strength, values) in zip(panels, scores.items(), strict=True):
        panel.hist(values, bins=torch.arange(-0.25, 9, 0.5).tolist(), color="#3a56d4")
        panel.axvline(expected(strength), color="#e08a1e", lw=2)
        panel.set_ylabel(f"strength {strength:g}")
    panels[0].set_title("scores of 1,000 generated cells; line: mean of the exact law")
    panels[-1].set_xlabel("score")
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    """Generate cells at several strengths, print what came out beside the truth, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("toy.png"), help="picture to write")
    parser.add_argument("--euler", action="store_true", help="no fresh noise at each step")
    options = parser.parse_args()
    sampler = sample_euler if options.euler else sample_ancestral
    scores = {k: guide(generate(1000, k, sampler)) for k in (0.0, 0.5, 1.0, 2.0)}
    for k, values in scores.items():
        print(f"strength {k:g}: mean score {values.mean():.2f}, exact {expected(k):.2f}")
    draw(scores, options.out)


if __name__ == "__main__":
    main()
