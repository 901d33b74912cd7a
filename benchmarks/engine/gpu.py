"""How fast the engine is on a card and on the CPU, beside what would be possible there."""

from __future__ import annotations

import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from naslib_diffusion.benchmarks.engine import gpu_bounds as bounds
from naslib_diffusion.benchmarks.harness.common import out_option, save, show

from naslib_diffusion import GuidedGenerator, Search
from naslib_diffusion.diffusion import ScoreNetwork, TrainConfig, train
from naslib_diffusion.diffusion.processes import make_processes
from naslib_diffusion.diffusion.quality import choices, node_distance, thresholded_validity
from naslib_diffusion.diffusion.samplers import sample_dpmpp_2m
from naslib_diffusion.spaces import MobileNetV3, NASBench201, ProductSpace, Space
from naslib_diffusion.surrogates import GaussianProcess, UpperConfidenceBound

Rows = Iterator[dict[str, object]]

STRENGTH = 5.0
"""Of guidance where single batches are denoised."""
TRAINING = {"nasbench201": 1000, "mobilenetv3": 7500}
"""Steps that Table 3's figures take."""
CELL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


@dataclass(frozen=True)
class Machine:
    """Where to measure, and how much."""

    devices: tuple[str, ...]
    quick: bool

    @property
    def runs(self) -> int:
        """How often to time what is short."""
        return 1 if self.quick else 3

    @property
    def card(self) -> str | None:
        """The card, if there is one."""
        return "cuda" if "cuda" in self.devices else None


def row(
    what: str, device: str, value: float, unit: str, *, bound: float | None = None, by: str = "",
    aim: str = "",
) -> dict[str, object]:  # fmt: skip
    """Return one line of the table; `by` says what the bound is."""
    return {
        "what": what,
        "device": device,
        "value": _short(value),
        "unit": unit,
        "bound": "" if bound is None else _short(bound),
        "bound by": by,
        "aim": aim,
    }


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def fitted(space: Space[Any], points: int, device: str) -> GaussianProcess:
    """Return a structural Gaussian process on a random quadratic function of the encoding."""
    random = torch.Generator().manual_seed(0)
    x = space.encode(space.sample(points, random))
    flat = x.flatten(1)
    a, b = (torch.randn(flat.shape[1], generator=random, dtype=torch.double) for _ in range(2))
    y = flat @ a + (flat @ b).square()
    return GaussianProcess(space).fit(x.to(device), ((y - y.mean()) / y.std()).to(device))


def device_itself(machine: Machine) -> Rows:
    """Measure what the device does at best."""
    for device in machine.devices:
        yield row("copy, read and written", device, bounds.copy_rate(device) / 1e9, "GB/s")
        yield row("matrix product, fp32", device, bounds.matmul_rate(device) / 1e12, "Tflop/s")
        if device == "cuda":
            rate = bounds.matmul_rate(device, torch.bfloat16)
            yield row("matrix product, bf16", device, rate / 1e12, "Tflop/s")


def distinct_cells(machine: Machine) -> Rows:
    """Measure 1,000 distinct guided cells of NAS-Bench-201."""
    space, count = NASBench201(), 100 if machine.quick else 1000
    for device in machine.devices:
        guide = UpperConfidenceBound(fitted(space, 100, device))
        generator = GuidedGenerator(space, device=device, seed=0)
        taken = bounds.seconds(partial(generator.generate, count, guide), device, machine.runs)
        aim = "<= 0.03" if device == "cuda" else "<= 0.2"
        yield row(f"{count:,} guided cells, GP of 100", device, taken, "s", aim=aim)


def denoising(machine: Machine) -> Rows:
    """Measure guided denoising of one large batch, its memory, and what a plain loop takes."""
    space = NASBench201()
    for device in machine.devices:
        rows = 262_144 if device == "cuda" and not machine.quick else 1024
        gp = fitted(space, 100, device)
        generator = GuidedGenerator(space, device=device, seed=0)
        guide = UpperConfidenceBound(gp)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        taken = bounds.seconds(
            partial(generator.denoise, rows, guide, STRENGTH), device, runs=machine.runs
        )
        if device == "cuda":
            peak = torch.cuda.max_memory_allocated() / 1e9
            yield row(f"peak memory at {rows:,} rows", device, peak, "GB", aim="< 8")
        plain = bounds.graphed(bounds.plain_loop(gp, rows, device), device)
        rate = rows / bounds.seconds(plain, device)
        yield row(
            f"guided denoising, {rows:,} rows", device, rows / taken, "cells/s", bound=rate,
            by="plain loop" + ", captured" * (device == "cuda"),
            aim=">= 2,000,000; half the bound" if device == "cuda" else "half the bound",
        )  # fmt: skip
        moved = 2 * 4 * 56 * bounds.STEPS / bounds.copy_rate(device)
        yield row("  the same", device, rows / taken, "cells/s", bound=1 / moved,
                  by="each step reads and writes a row once")  # fmt: skip
        free = bounds.seconds(partial(generator.denoise, rows), device, machine.runs)
        yield row(f"unguided denoising, {rows:,} rows", device, rows / free, "cells/s")


def networks(machine: Machine) -> Rows:
    """Measure sampling from the shipped score networks, and what comes out."""
    aims = {"nasbench201": ">= 1,000,000", "mobilenetv3": ">= 250,000"}
    for space in (NASBench201(), MobileNetV3()):
        for device in machine.devices:
            rows = 65_536 if device == "cuda" and not machine.quick else 256
            network = ScoreNetwork.load(space.name, space).to(device)
            generator: GuidedGenerator[Any] = GuidedGenerator(
                space, denoiser=network, device=device, seed=0
            )
            taken = bounds.seconds(partial(generator.denoise, rows), device, machine.runs)
            bare = bounds.bare_network(network, rows, space.shape, device)
            label = f"{space.name} network, 10 steps, {rows:,} rows"
            by = "CUDA graph of the bare network" if device == "cuda" else "the bare network"
            aim = aims[space.name] if device == "cuda" else ""
            yield row(label, device, rows / taken, "archs/s", bound=rows / bare, by=by, aim=aim)
            kind = torch.bfloat16 if device == "cuda" else torch.float
            work = bounds.STEPS * bounds.network_operations(network, space.shape[0])
            limit = bounds.matmul_rate(device, kind) / work
            yield row("  the same", device, rows / taken, "archs/s", bound=limit,
                      by="products alone")  # fmt: skip
            large = device == machine.devices[0] and not machine.quick
            yield from _sampled(space, network, device, 10_000 if large else 500)


def _sampled(space: Space[Any], network: ScoreNetwork, device: str, n: int) -> Rows:
    """Judge samples as docs/networks.md does: second order, 20 steps."""
    generator: GuidedGenerator[Any] = GuidedGenerator(
        space, denoiser=network, device=device, seed=0, steps=20, sampler=sample_dpmpp_2m
    )
    x = generator.denoise(n).double().cpu()
    random = torch.Generator().manual_seed(0)
    reference = choices(space, space.sample(5 * n, random))
    valid = 100 * thresholded_validity(space, x)
    yield row(f"{space.name}: thresholded validity", device, valid, "%", aim="docs/networks.md")
    ideal = node_distance(choices(space, space.sample(n, random)), reference)
    apart = node_distance(choices(space, space.decode(x)), reference)
    yield row(f"{space.name}: total variation", device, apart, "", bound=ideal,
              by="as many draws from the law")  # fmt: skip


def asks(machine: Machine) -> Rows:
    """Measure how long a search takes to ask: as it chooses by itself, and on the CPU."""
    spaces: list[tuple[str, Space[Any], tuple[int, ...]]] = [
        ("NAS-Bench-201", NASBench201(), (100, 20, 300)),
        ("60 x 9", ProductSpace.categorical([9] * 60), (200, 20, 1000)),
        ("MobileNetV3", MobileNetV3(), (100, 20, 300)),
    ]
    aims = {("NAS-Bench-201", 100): "<= 0.1", ("60 x 9", 200): "<= 0.5"}
    for name, space, sizes in spaces:
        for points in sizes[:1] if machine.quick else sizes:
            on_cpu = _ask(space, points, "cpu", machine)
            label = f"ask, {name}, {points} points"
            yield row(label, "cpu", on_cpu, "s", aim=aims.get((name, points), ""))
            if machine.card:
                chosen = _ask(space, points, None, machine)
                aim = "<= a third" if points == 1000 else "<= 1.05 of the bound"
                yield row(label, "its choice", chosen, "s", bound=on_cpu, by="CPU", aim=aim)
                if points >= 300:  # where the choice is nearest to being wrong
                    forced = _ask(space, points, "cuda", machine)
                    yield row(label, "cuda", forced, "s", bound=on_cpu, by="CPU")


def _ask(space: Space[Any], points: int, device: str | None, machine: Machine) -> float:
    archs = space.sample(points, torch.Generator().manual_seed(1))
    search = Search(space, seed=0, device=device)
    search.tell(archs, [_objective(arch) for arch in archs])

    def step() -> None:
        found = search.ask()
        search.tell(found, [_objective(arch) for arch in found])

    # the first ask of all fits hyperparameters from nothing
    taken: float = bounds.seconds(step, machine.devices[0], runs=machine.runs)
    return taken


def _objective(arch: object) -> float:
    """Return a number that depends on all of an architecture."""
    total = sum(map(ord, str(arch)))
    return float(total % 97)


def acquisition(machine: Machine) -> Rows:
    """Measure a joint batch under BoTorch's qLogEI, with the model on the device."""
    from botorch.acquisition.logei import qLogExpectedImprovement
    from botorch.models import SingleTaskGP
    from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion

    nodes, count, points = (10, 4, 30) if machine.quick else (60, 9, 500)
    batch = 2 if machine.quick else 8
    space = ProductSpace.categorical([count] * nodes)
    random = torch.Generator().manual_seed(7)
    effects = torch.randn(nodes * count, generator=random, dtype=torch.double)
    x = space.encode(space.sample(points, random)).flatten(1)
    y = (x @ effects)[:, None]
    on_cpu = None
    for device in reversed(machine.devices):
        model = SingleTaskGP(x.to(device), y.to(device))
        function = qLogExpectedImprovement(model, best_f=float(y.max()))
        start = time.perf_counter()
        _, value = optimize_acqf_diffusion(function, space, q=batch, options={"seed": 3})
        taken = time.perf_counter() - start
        label = f"optimize_acqf_diffusion, {nodes} x {count}, {points} points, q = {batch}"
        if device == "cuda":
            yield row(label, device, taken, "s", bound=on_cpu, by="CPU", aim="<= a fifth")
        else:
            on_cpu = taken
            yield row(label, device, taken, "s")
        yield row("  value", device, float(value), "", aim="the same")


def cell_training(machine: Machine) -> Rows:
    """Measure the training of a cell on images, and of four side by side, beside bare steps."""
    from naslib_diffusion.transfer.recipe import Recipe

    device = machine.devices[0]
    small = machine.quick or device == "cpu"
    n, channels, cells = (256, 4, 1) if small else (25_600, 16, 5)
    by = "steps alone" + ", CUDA graph" * (device == "cuda")
    label = f"training a cell, {channels} channels, {cells} a stage"
    cell = NASBench201().parse(CELL)
    for copies, name, aim in ((1, label, ">= 18,000"), (4, "  four side by side", ">= 40,000")):
        bare = bounds.bare_cell_training(
            cell, device, copies=copies, channels=channels, cells=cells
        )
        recipe = Recipe(epochs=3, channels=channels, cells=cells)
        rate = _trained_images([cell] * copies, n, recipe, device)
        yield row(name, device, rate, "images/s", bound=bare, by=by, aim="" if small else aim)


def _trained_images(cells: list[Any], n: int, recipe: Any, device: str) -> float:
    """Return images per second of trainings side by side, in epochs after the first."""
    from naslib_diffusion.transfer.image_set import ImageSet
    from naslib_diffusion.transfer.training import train_cells

    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=random)
    data = ImageSet(images, torch.randint(0, 10, (n,), generator=random), tuple("0123456789"))
    ends: list[float] = []

    def note(index: int, epoch: int, loss: float) -> None:
        if index == len(cells) - 1:
            ends.append(time.perf_counter())

    train_cells(cells, data, data.sample(256, 0), recipe, device=device, callback=note)
    return len(cells) * 2 * n / (ends[2] - ends[0])


def score_training(machine: Machine) -> Rows:
    """Measure the training of score networks, and what they give; on the CPU a few steps of it."""
    device = machine.devices[0]
    small = machine.quick or device == "cpu"
    spaces: dict[str, Space[Any]] = {"nasbench201": NASBench201(), "mobilenetv3": MobileNetV3()}
    aims = {"nasbench201": "<= 5", "mobilenetv3": "<= 30"}
    for name, space in spaces.items():
        whole = TRAINING[name]
        steps = 10 if small else whole
        processes = make_processes(1, device, "bf16" if device == "cuda" else "32")
        trained = train(space, TrainConfig(steps=steps), processes=processes)
        taken = trained.seconds * whole / steps
        part = "" if steps == whole else f", from {steps}"
        yield row(f"score network, {name}, {whole:,} steps{part}", device, taken, "s",
                  aim=aims[name] if device == "cuda" else "")  # fmt: skip
        spent = 1000 * trained.cpu_seconds / steps
        yield row("  processor time of a step", device, spent, "ms")
        if steps == whole:
            yield from _sampled(space, trained.network.to(device), device, 10_000)


SECTIONS: dict[str, Callable[[Machine], Rows]] = {
    "device": device_itself,
    "cells": distinct_cells,
    "denoising": denoising,
    "networks": networks,
    "ask": asks,
    "score-training": score_training,
    "cell-training": cell_training,
    "acquisition": acquisition,
}
"""By the name that `--only` takes, in the order in which they are measured: the one that takes the
CPU minutes comes last."""


@click.command()
@out_option
@click.option(
    "--quick", is_flag=True, help="Small sizes, which show only whether everything runs."
)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(SECTIONS)),
    help="Measure this part alone; may be given several times.",
)
@click.option(
    "--seconds", default=230.0, show_default=True, help="Start no part after this much time."
)
def main(out: Path | None, quick: bool, only: tuple[str, ...], seconds: float) -> None:
    """Measure speed on a GPU and compare it with the GPU's bounds; without a GPU, time the CPU."""
    warnings.filterwarnings("ignore", module="botorch|gpytorch|linear_operator")
    present = torch.cuda.is_available()
    machine = Machine(("cuda", "cpu") if present else ("cpu",), quick)
    name = torch.cuda.get_device_name() if present else f"no GPU; CPU {platform.machine()}"
    click.echo(f"torch {torch.__version__}, {name}")
    start, rows, failed, skipped = time.perf_counter(), [], [], []
    for section in only or SECTIONS:
        if time.perf_counter() - start > seconds:
            skipped.append(section)
            continue
        try:
            for line in SECTIONS[section](machine):
                rows.append(line)
                click.echo("  ".join(str(v) for v in line.values() if v))
        except Exception:
            traceback.print_exc(limit=6)
            failed.append(section)
        click.echo(f"[{time.perf_counter() - start:.0f} s] {section}")
    notes = [f"{word}: {', '.join(names)}" for word, names in
             (("failed", failed), ("left out for lack of time", skipped)) if names]  # fmt: skip
    if rows:
        show(f"Speed, {name}", rows, notes)
        save(out, "gpu", rows, device=name, quick=quick, failed=failed, skipped=skipped)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
