"""Cells are trained for real."""

import dataclasses
import itertools
import json
from contextlib import contextmanager

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from naslib_diffusion.runtime import graphs
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.nasbench201_network import live_edges
from naslib_diffusion.transfer import (
    CellNetwork,
    Recipe,
    load_cell,
    train_cell,
    train_cells,
    trainer,
)
from naslib_diffusion.transfer.image_set import ImageSet
from naslib_diffusion.transfer.trained import Normal, check_export

SPACE = NASBench201()
BEST = SPACE.parse(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
)
SKIPS = "|skip_connect~0|nor_conv_1x1~1|none~2|"
TINY = Recipe(epochs=3, batch_size=16, channels=4, cells=1, flip=False, crop=0)


def stripes(n, seed):
    """Images with horizontal or vertical stripes."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    phase = torch.randint(2, (n,), generator=random)
    rows = (torch.arange(8)[None] + phase[:, None]) % 2 * 200
    images = rows[:, None, :, None].expand(n, 3, 8, 8).clone()
    images[labels == 1] = images[labels == 1].mT
    noise = torch.randint(50, images.shape, generator=random)
    return ImageSet((images + noise).to(torch.uint8), labels, ("horizontal", "vertical"))


@contextmanager
def in_double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


TRAIN, TEST = stripes(64, 0), stripes(32, 1)


def test_size_of_nasbench201_networks():
    """Parameters (in millions) as NAS-Bench-201 gives them, CIFAR-10."""
    all_3x3 = SPACE.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
        "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    count = sum(p.numel() for p in CellNetwork(all_3x3, 10).parameters())
    assert count == pytest.approx(1.531546e6, rel=1e-6)


def test_dead_edges_get_no_layers():
    cell = SPACE.parse("|none~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|")
    assert live_edges(cell) == [3]
    nothing = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert live_edges(nothing) == []
    assert CellNetwork(nothing, 3, channels=2, cells=1)(torch.rand(2, 3, 8, 8)).shape == (2, 3)


def test_copies_are_independent_networks():
    images = torch.rand(4, 3, 8, 8)
    pair = CellNetwork(BEST, 5, channels=4, cells=1, copies=2).eval()
    both = pair(torch.cat([images, torch.rand(4, 3, 8, 8)], 1))
    again = pair(torch.cat([images, torch.rand(4, 3, 8, 8)], 1))
    assert torch.allclose(both[:, :5], again[:, :5], atol=1e-6)
    assert not torch.allclose(both[:, 5:], again[:, 5:], atol=1e-6)


def test_training_learns_and_can_be_stored(tmp_path):
    trained = train_cell(BEST, TRAIN, TEST, dataclasses.replace(TINY, epochs=6))
    assert trained.accuracy > 90
    trained.save(tmp_path / "a.safetensors")
    again = load_cell(tmp_path / "a.safetensors")
    assert torch.allclose(again(TEST.images), trained(TEST.images), atol=1e-4)
    assert (again.cell, again.classes, again.size) == (BEST, TEST.classes, 8)
    trained.export(tmp_path / "a.pt")
    scripted = torch.jit.load(tmp_path / "a.pt")
    assert torch.allclose(scripted(TEST.images / 255), trained(TEST.images), atol=1e-3)


def test_onnx_export_computes_the_same(tmp_path):
    onnx = pytest.importorskip("onnx", reason="ONNX export needs the package onnx")
    pytest.importorskip("onnxscript", reason="ONNX export needs the package onnxscript")
    from onnx.reference import ReferenceEvaluator

    trained = train_cell(BEST, TRAIN, TEST, dataclasses.replace(TINY, epochs=1))
    trained.export(tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model)
    pixels = TEST.images[:3] / 255  # another number of images than that of the export
    (name,) = [entry.name for entry in model.graph.input]
    (logits,) = ReferenceEvaluator(model).run(None, {name: pixels.numpy()})
    assert torch.allclose(torch.tensor(logits), trained(TEST.images[:3]), atol=1e-3)


def test_side_by_side_each_cell_is_trained_as_alone(tmp_path):
    cells, told = [BEST, SPACE.parse("|skip_connect~0|+|none~0|skip_connect~1|+" + SKIPS)], []
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    train_cell(cells[1], TRAIN, TEST, dataclasses.replace(TINY), checkpoint=paths[1])
    both = train_cells(
        cells, TRAIN, TEST, TINY, checkpoints=paths, callback=lambda *facts: told.append(facts[:2])
    )
    assert told == [(0, 1), (0, 2), (0, 3)], "the second was finished"
    for cell, trained in zip(cells, both, strict=True):
        alone = train_cell(cell, TRAIN, TEST, TINY)
        assert torch.equal(trained(TEST.images), alone(TEST.images))
        assert trained.accuracy == alone.accuracy


def test_one_that_diverges_does_not_stop_the_others():
    calm, wild = Recipe.optimizer, itertools.count()

    def optimizer(recipe, network):
        found = calm(recipe, network)
        if not next(wild):
            found.param_groups[0]["weight_decay"] = 1e30
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recipe, "optimizer", optimizer)
        diverged, fine = train_cells([BEST, BEST], TRAIN, TEST, TINY)
    assert diverged.accuracy != diverged.accuracy
    assert fine.accuracy == train_cell(BEST, TRAIN, TEST, TINY).accuracy


def test_what_a_recording_reads_is_replaced_in_place(monkeypatch):
    """A recording that is none computes anew what it was made of; 70 images leave a rest of 6."""
    data, recipe = stripes(70, 0), dataclasses.replace(TINY, epochs=4, flip=True, crop=1)
    plain, recorded, make = train_cell(BEST, data, TEST, recipe), [], trainer.Trainer.__init__

    def capture(function, *generators, warm_up):
        assert not warm_up, "that would be a step"
        recorded.append(function)
        return function

    def recording(self, *args):
        make(self, *args)
        self.step = graphs.Recorded(self._take_step, plain=trainer.PLAIN, warm_up=False)

    monkeypatch.setattr(graphs, "capture", capture)
    monkeypatch.setattr(trainer.Trainer, "__init__", recording)
    again = train_cell(BEST, data, TEST, recipe)
    assert len(recorded) == 2, "one for each size of a batch"
    assert torch.equal(again(TEST.images), plain(TEST.images))


def test_steps_of_a_card_s_optimizer_are_the_usual_ones(monkeypatch, tmp_path):
    """It is fused, takes its rate from a tensor, and goes on from momenta of any strides."""

    def fused(self, network):
        return torch.optim.SGD(
            network.parameters(),
            torch.tensor(self.lr),
            momentum=self.momentum,
            nesterov=True,
            weight_decay=self.weight_decay,
            fused=True,
        )

    usual = train_cell(BEST, TRAIN, TEST, TINY)
    monkeypatch.setattr(Recipe, "optimizer", fused)
    assert torch.allclose(
        train_cell(BEST, TRAIN, TEST, TINY)(TEST.images), usual(TEST.images), atol=1e-4
    )

    def cut(epoch, loss):
        if epoch == 2:
            raise InterruptedError

    path = tmp_path / "state.safetensors"
    with pytest.raises(InterruptedError):
        train_cell(BEST, TRAIN, TEST, TINY, checkpoint=path, callback=cut)
    rest = train_cell(BEST, TRAIN, TEST, TINY, checkpoint=path)
    assert torch.allclose(rest(TEST.images), usual(TEST.images), atol=1e-4)


def test_gradients_get_the_strides_of_their_parameters():
    weight = torch.nn.Parameter(torch.zeros(6, 4, 1, 1).to(memory_format=torch.channels_last))
    values = torch.arange(24.0).view(6, 4, 1, 1)
    weight.grad = values.as_strided((6, 4, 1, 1), (4, 1, 1, 1))
    trainer._align(weight)
    assert weight.grad.stride() == weight.stride()
    assert torch.equal(weight.grad, values)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_recorded_steps_are_plain_ones(monkeypatch):
    """With 70 images, batches of 16 and of 6 are recorded."""
    data, recipe = stripes(70, 0), dataclasses.replace(TINY, epochs=6, flip=True, crop=1)

    def losses():
        told = []
        trained = train_cells(
            [BEST, BEST], data, TEST, recipe, device="cuda", callback=lambda *f: told.append(f[2])
        )
        assert all(one.accuracy > 80 for one in trained)
        assert told[::2] == pytest.approx(told[1::2], rel=0.1, abs=0.02)
        return told

    recorded = losses()
    monkeypatch.setattr(trainer, "PLAIN", 10**9)
    assert recorded == pytest.approx(losses(), rel=0.1, abs=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_card_does_not_wait_within_an_epoch():
    device, normal = torch.device("cuda"), Normal.of(TRAIN.images)
    there = dataclasses.replace(
        TRAIN, images=TRAIN.images.to(device), labels=TRAIN.labels.to(device)
    )
    recipe = dataclasses.replace(TINY, flip=True, crop=1)
    training = trainer.Trainer(BEST, there, normal, recipe, device)
    list(training.epoch())  # constants are copied once
    training.end_epoch()
    torch.cuda.set_sync_debug_mode("error")
    try:
        list(training.epoch())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    training.end_epoch()


def test_cut_off_training_goes_on(tmp_path):
    class CutOff(Exception):
        pass

    def cut(epoch, loss):
        if epoch == 2:
            raise CutOff

    path = tmp_path / "state.safetensors"
    whole = train_cell(BEST, TRAIN, TEST, TINY)
    with pytest.raises(CutOff):
        train_cell(BEST, TRAIN, TEST, TINY, checkpoint=path, callback=cut)
    epochs = []
    rest = train_cell(
        BEST, TRAIN, TEST, TINY, checkpoint=path, callback=lambda epoch, _: epochs.append(epoch)
    )
    assert epochs == [2, 3]  # the second was cut off before it was saved
    assert torch.allclose(rest(TEST.images), whole(TEST.images), atol=1e-4)
    epochs.clear()
    again = train_cell(
        BEST, TRAIN, TEST, TINY, checkpoint=path, callback=lambda epoch, _: epochs.append(epoch)
    )
    assert epochs == []  # it is finished: only its accuracy is measured
    assert again.accuracy == whole.accuracy


def other_shapes(tensors, facts):
    return {name: tensor.flatten()[:1].clone() for name, tensor in tensors.items()}, facts


def without_weights(tensors, facts):
    return {name: t for name, t in tensors.items() if name.startswith("momentum")}, facts


def not_finite(tensors, facts):
    return {n: t * float("nan") if t.is_floating_point() else t for n, t in tensors.items()}, facts


def too_far(tensors, facts):
    return tensors, {**facts, "epochs": "9"}


@pytest.mark.parametrize("harm", [other_shapes, without_weights, not_finite, too_far, None])
def test_a_checkpoint_that_is_no_use_starts_the_training_anew(tmp_path, harm):
    path, epochs = tmp_path / "state.safetensors", []
    whole = train_cell(BEST, TRAIN, TEST, TINY, checkpoint=path)
    with safe_open(path, "pt") as file:
        facts, key = json.loads(file.metadata()["naslib_diffusion_cell"]), file.keys()
        tensors = {name: file.get_tensor(name) for name in key}
    if harm is None:
        path.write_bytes(b"damaged")
    else:
        tensors, facts = harm(tensors, facts)
        save_file(tensors, path, {"naslib_diffusion_cell": json.dumps(facts)})
    again = train_cell(
        BEST, TRAIN, TEST, TINY, checkpoint=path, callback=lambda epoch, _: epochs.append(epoch)
    )
    assert epochs == [1, 2, 3]
    assert torch.equal(again(TEST.images), whole(TEST.images))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, in_double])
def test_training_is_the_same_in_every_context(context):
    with context():
        inside = train_cell(BEST, TRAIN, TEST, TINY)
    outside = train_cell(BEST, TRAIN, TEST, TINY)
    with torch.no_grad():
        assert torch.equal(inside(TEST.images), outside(TEST.images))


def test_export_is_checked_without_a_network(monkeypatch):
    check_export(".pt")
    with pytest.raises(ValueError, match=r"no export to '.h5' files"):
        check_export(".h5")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs onnx and onnxscript: pip install"):
        check_export(".onnx")


def test_diverged_training_ends_early():
    epochs = []
    recipe = dataclasses.replace(TINY, lr=1e20)
    trained = train_cell(BEST, TRAIN, TEST, recipe, callback=lambda epoch, _: epochs.append(epoch))
    assert trained.accuracy != trained.accuracy
    assert len(epochs) < recipe.epochs


def test_files_that_are_no_cell_are_refused_in_one_line(tmp_path):
    path, key = tmp_path / "a.safetensors", "naslib_diffusion_cell"
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        load_cell(path)
    train_cell(BEST, TRAIN, TEST, TINY).save(path)
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()[key])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    huge = {**facts["recipe"], "channels": 10**9}
    others = ({"recipe": huge}, {"arch": "odd"}, {"classes": ["a"]})
    for text in ("", "[]", "{}", *(json.dumps(facts | other) for other in others)):
        save_file(tensors, path, {key: text})
        with pytest.raises(ValueError, match="cannot read the trained cell") as refused:
            load_cell(path)
        assert len(str(refused.value).splitlines()) == 1
