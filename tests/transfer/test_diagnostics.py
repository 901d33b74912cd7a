"""How trainings went: losses survive kills and damage, confusions are those of the network."""

import pytest
import torch

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.transfer.diagnostics import Course, LossLog, diagnose, read_courses
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.recipe import Recipe
from naslib_diffusion.transfer.training import train_cell

CELLS = NASBench201().sample(3, torch.Generator().manual_seed(0))


def images(classes=("dark", "bright"), n=40):
    labels = torch.arange(n) % len(classes)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(60, (n, 3, 8, 8), generator=random) + 120 * labels.view(-1, 1, 1, 1)
    return ImageSet(pixels.clamp(max=255).to(torch.uint8), labels, classes)


def test_losses_are_kept_and_an_epoch_that_ran_twice_counts_once(tmp_path):
    path = tmp_path / "losses.csv"
    with LossLog(path) as log:
        log.append(1, 1, 2.0, 10.0)
        log.append(1, 2, 1.5, 9.5)
        log.append(2, 1, 3.0, 7.0)
    with LossLog(path) as log:  # killed after the epoch, before its checkpoint
        log.append(2, 1, 3.0, 8.0)
        log.append(2, 2, float("nan"), 0.25)
    found = read_courses(path)
    assert found[1] == Course([2.0, 1.5], 19.5)
    assert found[2].losses == [3.0, pytest.approx(float("nan"), nan_ok=True)]
    assert found[2].seconds == 8.25


@pytest.mark.parametrize(
    "content",
    ["", "nonsense\n1,2\n", "step,epoch,loss\n1,1,2\n", "step,epoch,loss,seconds\n1,2\n3,4,5\n"],
)
def test_a_damaged_file_begins_anew(tmp_path, content):
    path = tmp_path / "losses.csv"
    path.write_text(content)
    assert read_courses(path) == {}
    with LossLog(path) as log:
        log.append(1, 1, 0.5, 2.0)
    assert read_courses(path) == {1: Course([0.5], 2.0)}


def test_there_is_no_file_yet(tmp_path):
    assert read_courses(tmp_path / "losses.csv") == {}


def test_confusions_and_accuracy_are_of_one_network():
    data = images(("a", "b", "c"))
    trained = train_cell(CELLS[0], data, data, Recipe(epochs=1, channels=4, cells=1))
    found = diagnose(trained, data)
    assert [sum(row) for row in found.counts] == torch.bincount(data.labels).tolist()
    right = sum(found.counts[i][i] for i in range(3))
    assert 100 * right / len(data) == pytest.approx(trained.accuracy)
    assert found.parameters == sum(p.numel() for p in trained.network.parameters())
