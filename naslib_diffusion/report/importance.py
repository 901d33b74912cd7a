"""The figure of what matters: which decision, and which value of it, by a surrogate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naslib_diffusion.report.cells import Decided, named_decisions
from naslib_diffusion.report.figures import MAX_LABEL
from naslib_diffusion.report.foresight import WIDTH
from naslib_diffusion.report.svg import COLORS, new_figure, style, to_svg
from naslib_diffusion.spaces.base import A, Space
from naslib_diffusion.surrogates import ObjectiveScale, gaussian_process
from naslib_diffusion.surrogates.base import fit_to_values
from naslib_diffusion.tables import Direction

LEAST = 10
"""Evaluations without which a surrogate says nothing."""
SAMPLES = 1000
"""Random architectures over which effects are averages."""
DECISIONS = 8
"""How many decisions are shown at most, those that matter most."""
VALUES = 6
"""How many values of a decision are shown at most: the best and the worst."""
BINS = 4
"""Into how many parts the range of a number is cut that takes more than `VALUES` values."""

EXPLAINED = (
    f"predicted for a random architecture with one decision made, ± {WIDTH:g} standard "
    "deviations; beside the decision, its share of the variance of all predictions"
)


@dataclass(frozen=True)
class Level:
    """One value of a decision, and the ends of what is expected with it."""

    value: str
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Effect:
    """What a decision is worth on its own, the others left to chance.

    Attributes:
        name: of the decision.
        share: of the variance of the surrogate's mean, from 0 to 1.
        levels: best value first.
    """

    name: str
    share: float
    levels: tuple[Level, ...]


@torch.no_grad()
def main_effects(
    space: Space[A],
    direction: Direction,
    archs: Sequence[A],
    values: Sequence[float],
    decide: Callable[[A], Decided] | None = None,
) -> list[Effect]:
    """Return the main effects of decisions, by a Gaussian process of all evaluations.

    The process is joint over a sample of architectures, so that the deviation is that of the
    average. There are none if evaluations are too few, or architectures have no decisions.

    Args:
        space: of the architectures.
        direction: whether high or low values are good.
        archs: what was evaluated.
        values: of the objective, one for each; those that are not finite do not count.
        decide: names the decisions of an architecture. The default is `named_decisions`.
    """
    done = [(a, v) for a, v in zip(archs, values, strict=True) if math.isfinite(v)]
    if len({arch for arch, _ in done}) < LEAST:
        return []
    drawn = space.sample(SAMPLES, torch.Generator().manual_seed(0))
    rows = [decide(arch) if decide else named_decisions(space, arch) for arch in drawn]
    if not rows[0]:
        return []
    observed = torch.tensor([value for _, value in done], dtype=torch.double)
    scale = ObjectiveScale.of(observed, maximize=direction == "maximize")
    surrogate = gaussian_process(space)
    fit_to_values(surrogate, space.encode([arch for arch, _ in done]), observed, scale)
    mean, covariance = surrogate.joint(space.encode(drawn))
    effects = [
        _effect(name, [row[i][1] for row in rows], mean, covariance, scale)
        for i, (name, _) in enumerate(rows[0])
    ]
    return sorted(effects, key=lambda effect: -effect.share)[:DECISIONS]


def _effect(
    name: str, chosen: Sequence[Any], mean: Tensor, covariance: Tensor, scale: ObjectiveScale
) -> Effect:
    """Average over the architectures that have the same value."""
    groups: dict[str, list[int]] = {}
    for row, label in enumerate(_labels(chosen)):
        groups.setdefault(label, []).append(row)
    found, between, average = [], 0.0, float(mean.mean())
    for label, members in groups.items():
        middle = float(mean[members].mean())
        deviation = float(covariance[members][:, members].mean().clamp(min=0).sqrt())
        between += len(members) / len(chosen) * (middle - average) ** 2
        ends = [middle - WIDTH * deviation, middle, middle + WIDTH * deviation]
        values = scale.inverse(torch.tensor(ends, dtype=torch.double)).tolist()
        found.append((middle, Level(label, *values)))
    levels = [level for _, level in sorted(found, key=lambda pair: -pair[0])]
    if len(levels) > VALUES:
        levels = levels[: VALUES // 2] + levels[-(VALUES // 2) :]
    return Effect(name, between / max(float(mean.var()), 1e-12), tuple(levels))


def _labels(chosen: Sequence[Any]) -> list[str]:
    """Write values; numbers that take many are put into ranges with about as many in each."""
    numbers = [value for value in chosen if isinstance(value, int | float)]
    if len(set(map(str, numbers))) <= VALUES:
        return [str(value) for value in chosen]
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)))

    def label(value: Any) -> str:
        if not isinstance(value, int | float):  # such as the mark of a number that is absent
            return str(value)
        i = int(np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(edges) - 2))
        return f"{edges[i]:.3g} to {edges[i + 1]:.3g}"

    return [label(value) for value in chosen]


def effects_figure(effects: Sequence[Effect], label: str, name: str = "effects") -> str:
    """Draw a line for each value of each decision, those that matter most at the top.

    Args:
        effects: at least one.
        label: the objective.
        name: of the figure.
    """
    rows = sum(len(effect.levels) + 1 for effect in effects)
    with style(name):
        figure, axes = new_figure()
        figure.set_size_inches(figure.get_figwidth(), 0.6 + 0.235 * rows)
        ticks, texts, y = [], [], 0
        for effect in effects:
            y -= 1
            axes.annotate(
                f"{effect.name[:MAX_LABEL]}  ({100 * effect.share:.0f} %)",
                (0, y), xycoords=("axes fraction", "data"), va="center", weight="bold",
                fontsize=10.5, xytext=(4, 0), textcoords="offset points",
            )  # fmt: skip
            for level in effect.levels:
                y -= 1
                low, high = sorted((level.low, level.high))
                axes.plot([low, high], [y, y], color=COLORS["accent"], lw=1.6, alpha=0.55)
                axes.plot([level.middle], [y], "o", color=COLORS["accent"], ms=5)
                ticks.append(y)
                texts.append(level.value[:MAX_LABEL])
        axes.set_yticks(ticks, texts)
        axes.set_ylim(y - 0.8, -0.2)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"expected {label}")
        return to_svg(figure, name)
