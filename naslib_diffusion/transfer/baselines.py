"""What an accuracy is to be measured by: chance, and classifiers that need no search."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslib_diffusion.runtime.threads import one_thread
from naslib_diffusion.transfer.dataset import features_of
from naslib_diffusion.transfer.image_set import ImageSet

CHANCE = "chance (the most frequent class)"
PIXELS = "logistic regression on pixels"
FEATURES = "nearest class mean of pretrained features"

MOST = 5000
"""Images that a baseline learns from, at most."""

MOST_SEEN = 500
"""Images that are shown to the pretrained network, at most, of each part."""


@one_thread()
def baselines(
    train: ImageSet, test: ImageSet, encoder: nn.Module | None = None, seed: int = 0
) -> dict[str, float]:
    """Return the accuracy on `test` of each baseline, in percent.

    Args:
        train: images to learn from.
        test: images held out.
        encoder: pretrained network, if there is one; see `dataset.image_encoder`.
        seed: of the choice of images where there are many.
    """
    train = train.sample(MOST, seed)
    often = torch.bincount(train.labels).argmax()
    found = {CHANCE: _percent(often.expand(len(test)), test), PIXELS: _pixels(train, test)}
    if encoder is not None:
        found[FEATURES] = _features(
            train.sample(MOST_SEEN, seed), test.sample(MOST_SEEN, seed), encoder
        )
    return found


def _percent(found: Tensor, test: ImageSet) -> float:
    return 100 * float((found == test.labels).double().mean())


def _pixels(train: ImageSet, test: ImageSet) -> float:
    """Classify by multinomial regression with an L2 penalty of one, as is usual (C = 1)."""
    x, asked = (part.images.flatten(1).float() / 255 for part in (train, test))
    center, spread = x.mean(0), x.std().clamp(min=1e-3)
    x, asked = (x - center) / spread, (asked - center) / spread
    layer = nn.Linear(x.shape[1], len(train.classes))
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = functional.cross_entropy(layer(x), train.labels)
        total = total + 0.5 * layer.weight.square().sum() / len(x)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return _percent(layer(asked).argmax(1), test)


def _features(train: ImageSet, test: ImageSet, encoder: nn.Module) -> float:
    """Classify by the nearest mean of normalised features."""
    known, asked = (
        functional.normalize(features_of(part.images, encoder), dim=1) for part in (train, test)
    )
    present = torch.bincount(train.labels).nonzero()[:, 0]
    means = torch.stack([known[train.labels == label].mean(0) for label in present])
    return _percent(present[torch.cdist(asked, means).argmin(1)], test)
