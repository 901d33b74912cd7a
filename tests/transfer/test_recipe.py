"""Defaults of trainings come from the images."""

import pytest
import torch

from naslib_diffusion.transfer import Recipe, recipe_for
from naslib_diffusion.transfer.augment import augment, mirror_is_harmless, usual_crop
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.recipe import PRESETS, usual_batch
from naslib_diffusion.transfer.timing import Remaining, measure_pace, spoken


def arrows(n, seed, *, sides):
    """Bright triangles that point left or right, or (without `sides`) up or down; with noise."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    across = torch.arange(12)
    left = (across[:, None] - 5.5).abs() <= across[None] / 2
    shapes = torch.stack([left, left.flip(-1)])
    shapes = shapes if sides else shapes.mT
    images = 180 * shapes[labels].long() + torch.randint(70, (n, 12, 12), generator=random)
    return images[:, None].expand(-1, 3, -1, -1).to(torch.uint8), labels


@pytest.mark.parametrize("n", [40, 400])
@pytest.mark.parametrize("sides", [True, False])
def test_mirroring_where_classes_survive_it(n, sides):
    assert mirror_is_harmless(*arrows(n, 0, sides=sides)) == (not sides)


def test_no_mirroring_without_evidence():
    images, labels = arrows(6, 0, sides=False)
    assert not mirror_is_harmless(images[:2], labels[:2])
    noise = torch.randint(256, (200, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    assert not mirror_is_harmless(noise.to(torch.uint8), torch.arange(200) % 2)


def test_digits_are_not_mirrored():
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    images = torch.tensor(digits.images * 15.9).to(torch.uint8)[:, None]
    labels = torch.tensor(digits.target)
    assert not mirror_is_harmless(images, labels)
    assert not mirror_is_harmless(images[:30], labels[:30])


@pytest.mark.parametrize(
    ("images", "batch"), [(2, 16), (300, 16), (525, 32), (1437, 64), (4096, 256), (50_000, 256)]
)
def test_batch_by_the_number_of_images(images, batch):
    assert usual_batch(images) == batch


@pytest.mark.parametrize(("size", "crop"), [(8, 0), (15, 0), (16, 2), (28, 3), (32, 4), (64, 8)])
def test_crop_by_the_size(size, crop):
    assert usual_crop(size) == crop


def test_recipe_of_cifar_is_that_of_nasbench201():
    rows = torch.arange(25_000) % 10
    images = torch.zeros((), dtype=torch.uint8).expand(25_000, 3, 32, 32)
    known = ImageSet(images, rows, tuple("0123456789"), mirrored=True)
    recipe = recipe_for(known, "paper")
    assert recipe == Recipe()


def test_what_is_given_counts():
    images, labels = arrows(64, 0, sides=False)
    given = {"epochs": 3, "flip": False, "channels": None}
    recipe = recipe_for(ImageSet(images, labels, ("a", "b")), "standard", seed=5, given=given)
    assert (recipe.epochs, recipe.flip, recipe.seed) == (3, False, 5)
    assert recipe.channels == PRESETS["standard"]["channels"]


def test_rate_falls_along_a_cosine():
    weight = torch.nn.Linear(1, 1)
    ours, theirs = Recipe(lr=0.3).optimizer(weight), Recipe(lr=0.3).optimizer(weight)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 7)
    for step in range(7):
        Recipe(lr=0.3).set_rate(ours, step / 7)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
        theirs.step()
        schedule.step()


def test_shifts_and_mirrors_keep_the_pixels():
    images = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4).repeat(50, 1, 1, 1)
    random = torch.Generator().manual_seed(0)
    mirrored = augment(images, flip=True, crop=0, random=random)
    assert {tuple(m.flatten().tolist()) for m in mirrored} == {
        tuple(images[0].flatten().tolist()), tuple(images[0].flip(-1).flatten().tolist())
    }  # fmt: skip
    shifted = augment(images, flip=False, crop=1, random=random)
    assert shifted.shape == images.shape
    assert len({tuple(s.flatten().tolist()) for s in shifted}) == 9
    assert set(shifted.unique().tolist()) <= set(range(17))


def test_pace_counts_every_step():
    images, labels = arrows(40, 0, sides=False)
    data = ImageSet(images, labels, ("up", "down"))
    recipe = recipe_for(data, given={"epochs": 2, "channels": 2, "batch_size": 16})
    pace = measure_pace(data, recipe, "cpu", 1, fixed=False)
    assert pace.threads == 1
    assert pace.seconds > 0
    before = torch.get_num_threads()
    assert measure_pace(data, recipe, "cpu", 2, fixed=True).threads == 2
    assert torch.get_num_threads() == before


def test_remaining_time_follows_the_clock(monkeypatch):
    clock = iter([0.0, 2.0, 4.0, 20.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    remaining = Remaining(10)
    assert remaining.after(1) == 2 * 9
    assert remaining.after(2) == 2 * 8
    assert remaining.after(6) == pytest.approx(20 / 3 * 4)  # one training ended early


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 second"),
        (40, "40 seconds"),
        (170, "3 minutes"),
        (9000, "2.5 hours"),
        (4e5, "4.6 days"),
    ],
)
def test_durations_are_spoken(seconds, text):
    assert spoken(seconds) == text
