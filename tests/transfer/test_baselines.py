"""What accuracies are measured by."""

import pytest
import torch
from torch import nn

from naslib_diffusion.transfer.baselines import CHANCE, FEATURES, PIXELS, baselines
from naslib_diffusion.transfer.image_set import ImageSet


class Corner(nn.Module):
    """Features that only see the first pixel."""

    def forward(self, images):
        """Take two channels of the corner."""
        return images[:, :2, 0, 0]


def coloured(n):
    """Class 0 is red, class 1 green; three of four are red."""
    labels = (torch.arange(n) % 4 == 0).long()
    images = torch.randint(80, (n, 3, 8, 8), generator=torch.Generator().manual_seed(n))
    images[torch.arange(n), labels] += 150
    return ImageSet(images.to(torch.uint8), labels, ("red", "green"))


def test_values():
    found = baselines(coloured(80), coloured(40), Corner())
    assert found == {CHANCE: 75.0, PIXELS: 100.0, FEATURES: 100.0}
    assert set(baselines(coloured(80), coloured(40))) == {CHANCE, PIXELS}


def test_regression_on_digits_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    images = torch.tensor(digits.images * 255 / 16).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    whole = ImageSet(images, torch.tensor(digits.target), tuple("0123456789"))
    train, test = whole.split(0.2, 0)
    x, asked = (part.images.flatten(1).double() / 255 for part in (train, test))
    spread = x.std()
    model = linear.LogisticRegression(max_iter=1000).fit(x / spread, train.labels)
    expected = 100 * model.score(asked / spread, test.labels)
    assert baselines(train, test)[PIXELS] == pytest.approx(expected, abs=0.6)
