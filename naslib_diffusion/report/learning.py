"""The figures of trainings: losses by epoch, and what a network confuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from naslib_diffusion.report.figures import legend_above
from naslib_diffusion.report.svg import COLORS, HEIGHT, new_figure, style, to_svg

MAX_NAME = 12
"""Characters of a class that fit beside a row."""
SHORT = 3
"""Characters of a class that fit below a column without being turned."""


def loss_curves(losses: Mapping[int, Sequence[float]], best: int, name: str = "losses") -> str:
    """Mean loss by epoch of each training, the best one on top.

    Args:
        losses: by number of the training.
        best: number of the training whose network is kept.
        name: of the figure.
    """
    with style(name):
        figure, axes = new_figure()
        others = False
        for step, own in losses.items():
            epochs, lonely = range(1, len(own) + 1), "o" if len(own) == 1 else None
            if step == best:
                axes.plot(
                    epochs, own, color=COLORS["accent"], marker=lonely, zorder=3, label="the best"
                )
            else:
                label = None if others else "the others"
                axes.plot(epochs, own, color=COLORS["space"], marker=lonely, lw=1.2, label=label)
                others = True
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        legend_above(axes, 2)
        return to_svg(figure, name)


def confusion_matrix(
    counts: Sequence[Sequence[int]], classes: Sequence[str], name: str = "confusion"
) -> str:
    """Shares of each class by what it is taken for; the darker, the more, with the counts.

    Args:
        counts: images of each class (row) that are taken for each class (column).
        classes: names.
        name: of the figure.
    """
    with style(name):
        figure, axes = new_figure()
        figure.set_size_inches(figure.get_figwidth(), max(HEIGHT, 1.0 + 0.3 * len(counts)))
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                color = COLORS["accent" if i == j else "random"]
                share = count / max(sum(row), 1)
                axes.add_patch(
                    Rectangle((j - 0.5, i - 0.5), 1, 1, color=color, alpha=0.75 * share, lw=0)
                )
                if count:
                    axes.text(j, i, str(count), ha="center", va="center", fontsize=10)
        names = [n if len(n) <= MAX_NAME else f"{n[: MAX_NAME - 1]}…" for n in classes]
        places = range(len(names))
        if max(map(len, names)) > SHORT:
            axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        else:
            axes.set_xticks(places, names)
        axes.set_yticks(places, names)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(visible=False)
        axes.set_xlabel("taken for")
        axes.set_ylabel("class")
        return to_svg(figure, name)
