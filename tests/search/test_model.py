"""What a search believes: what candidates have to beat."""

from __future__ import annotations

import pytest
import torch

from naslib_diffusion.search.model import MANY, Modeler
from naslib_diffusion.search.trials import Trial
from naslib_diffusion.spaces import ProductSpace, Real

SPACE = ProductSpace([Real(0, 1), Real(0, 1)])
POINTS = SPACE.sample(MANY + 2, torch.Generator().manual_seed(0))


def beyond(archs, values, maximize=True):
    """Return how far above the best target lies what candidates have to beat."""
    modeler = Modeler.of(
        SPACE, "gp", (), None, maximize=maximize, noisy=False, device=torch.device("cpu")
    )
    model = modeler.fit([Trial(*pair) for pair in zip(archs, values, strict=True)], [])
    best = max(values) if maximize else min(values)
    return model.best - float(model.scales[0](torch.tensor([best], dtype=torch.double)))


@pytest.mark.parametrize("sign", [1, -1])
def test_on_a_plateau_one_more_is_no_improvement(sign):
    values = [sign * value for value in (0.0, 0.25, *[0.5] * MANY)]
    assert beyond(POINTS, values, maximize=sign > 0) > 0.1


def test_few_that_are_equally_the_best_are_no_plateau():
    assert beyond(POINTS, [0.0, 0.25, 0.25, *[0.5] * (MANY - 1)]) == 0


def test_the_same_architecture_many_times_is_no_plateau():
    archs = [*POINTS[:2], *[POINTS[2]] * MANY]
    assert beyond(archs, [0.0, 0.25, *[0.5] * MANY]) == 0


def test_where_all_are_alike_anything_better_is_an_improvement():
    assert beyond(POINTS, [0.5] * len(POINTS)) == 0
