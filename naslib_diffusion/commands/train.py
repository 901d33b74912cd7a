"""`naslib-diffusion train`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from naslib_diffusion.commands.errors import Interrupted, UserError
from naslib_diffusion.commands.options import (
    POSITIVE,
    SEED,
    Finite,
    Whole,
    check_device,
    make_space,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from naslib_diffusion.diffusion.config import TrainConfig
    from naslib_diffusion.diffusion.processes import Processes
    from naslib_diffusion.diffusion.training import Progress, Trained
    from naslib_diffusion.spaces import Space


@dataclass(frozen=True)
class _Job:
    """What to train, and where it goes."""

    space: Space[Any]
    samples: Sequence[Any] | None
    config: TrainConfig
    out: Path
    resume: bool

    @property
    def state(self) -> Path:
        """The file from which a training goes on."""
        return self.out.with_name(f"{self.out.name}.state")


@click.command()
@click.option(
    "--space",
    metavar="NAME",
    default="nasbench201",
    show_default=True,
    help="Space of the architectures: nasbench201, mobilenetv3, nasbenchgraph.",
)
@click.option(
    "--out",
    metavar="CHECKPOINT",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write, .safetensors.",
)
@click.option(
    "--samples",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="CSV with a column `arch`: learn how these architectures are distributed, in place of "
    "the whole space.",
)
@click.option(
    "--steps",
    metavar="N",
    type=POSITIVE,
    default=2000,
    show_default=True,
    help="Steps of the optimiser.",
)
@click.option(
    "--minutes",
    metavar="M",
    type=Finite(min=0, min_open=True),
    help="Stop after so long, if --steps are not done by then.",
)
@click.option(
    "--batch-size",
    metavar="N",
    type=POSITIVE,
    default=256,
    show_default=True,
    help="Architectures per step and process.",
)
@click.option(
    "--seed",
    metavar="N",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the training data, the weights and the batches.",
)
@click.option(
    "--device",
    metavar="DEVICE",
    callback=check_device,
    default="cpu",
    show_default=True,
    help="Where to train: cpu or cuda.",
)
@click.option("--bf16/--fp32", default=None, help="Mixed precision; on by default on a GPU only.")
@click.option(
    "--processes",
    metavar="N",
    type=POSITIVE,
    default=1,
    show_default=True,
    help="Train in several processes (extra `train`); or start the program by torchrun.",
)
@click.option(
    "--threads",
    metavar="N",
    type=POSITIVE,
    default=1,
    show_default=True,
    help="CPU threads per process; more pay off only where nothing else runs.",
)
@click.option(
    "--measure",
    metavar="N",
    type=Whole(min=0),
    default=10_000,
    show_default=True,
    help="Samples to judge the network by in the end; 0 for none.",
)
@click.option("--resume", is_flag=True, help="Go on with the training of --out that was cut off.")
@click.option("--force", is_flag=True, help="Overwrite --out if it exists.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def train(
    *,
    space: str,
    out: Path,
    samples: Path | None,
    device: str,
    bf16: bool | None,
    processes: int,
    threads: int,
    measure: int,
    resume: bool,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a score network for a search space.

    It learns the uniform law over the space, or the law of your own architectures. Progress is
    saved beside the checkpoint at every 100 steps; --resume goes on from there, with the same
    options.

    \b
    Examples:
      naslib-diffusion train --space nasbench201 --out nasbench201.safetensors
      naslib-diffusion train --samples mine.csv --minutes 5 --out mine.safetensors
      naslib-diffusion generate --checkpoint mine.safetensors -n 100 --out cells.csv
    """
    import torch

    from naslib_diffusion.diffusion.config import TrainConfig
    from naslib_diffusion.diffusion.processes import is_first, make_processes
    from naslib_diffusion.runtime.locks import claimed

    torch.set_num_threads(threads)
    mixed = device.startswith("cuda") if bf16 is None else bf16
    config = TrainConfig(**options, precision="bf16" if mixed else "32")
    found = make_space(space)
    job = _Job(found, _read_samples(samples, found), config, out, resume)
    _check_files(job, force)
    with ExitStack() as claims:
        try:
            if is_first():
                claims.enter_context(claimed(out))
                _check_files(job, force)  # another process may just have ended
            group = make_processes(processes, device, config.precision)
        except ValueError as error:
            raise UserError(str(error)) from None
        talks = group.rank == 0 and not quiet
        trained = _train(job, group, talks)
        if group.rank == 0:
            _finish(job, trained, measure, talks)


def _read_samples(path: Path | None, space: Space[Any]) -> Sequence[Any] | None:
    if path is None:
        return None
    from naslib_diffusion.tables import TableError, load_archs

    try:
        return load_archs(path, space)
    except TableError as error:
        raise UserError(f"--samples: {error}") from None


def _check_files(job: _Job, force: bool) -> None:
    """Refuse to overwrite a checkpoint or an unfinished training."""
    out, resume = job.out, job.resume
    if out.is_dir():
        raise UserError(f"{out} is a folder; --out must be a file")
    if out.suffix != ".safetensors":
        raise UserError(f"--out {out}: networks are written as .safetensors; let its name end so")
    if resume and not job.state.exists() and out.exists():
        raise UserError(f"nothing to resume: the training of {out} is finished")
    if os.path.lexists(out) and not (force or resume):
        raise UserError(f"{out} exists already; --force overwrites it")
    if job.state.exists() and not (force or resume):
        raise UserError(
            f"{job.state} holds an unfinished training: --resume goes on with it, "
            "--force starts anew"
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from None


def _train(job: _Job, group: Processes, talks: bool) -> Trained:
    """Train with a progress bar; on Ctrl-C say how to go on."""
    import sys

    from tqdm import tqdm

    from naslib_diffusion.diffusion.training import train as run

    hidden = not (talks and sys.stderr.isatty())
    with tqdm(
        total=100, unit="%", disable=hidden, dynamic_ncols=True, leave=False,
        bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}",
    ) as bar:  # fmt: skip
        try:
            return run(
                job.space,
                job.config,
                samples=job.samples,
                state=job.state,
                resume=job.resume,
                processes=group,
                callback=_shown(bar),
            )
        except ValueError as error:
            raise UserError(str(error)) from None
        except KeyboardInterrupt:
            raise Interrupted(
                f"go on from the last saved state with: the same command and --resume "
                f"({job.state})"
                if job.state.exists()
                else "before the first state was saved"
            ) from None


def _shown(bar: Any) -> Callable[[Progress], None]:
    """Return a callback that moves the bar."""

    def show(progress: Progress) -> None:
        bar.set_postfix_str(f"step {progress.step}, loss {progress.loss:.4f}", refresh=False)
        bar.update(100 * progress.share - bar.n)

    return show


def _finish(job: _Job, trained: Trained, measure: int, talks: bool) -> None:
    """Write the checkpoint with its figures, and remove the state."""
    import dataclasses

    from naslib_diffusion.diffusion.checkpoint import Facts

    network = trained.network.cpu()
    figures: dict[str, Any] = {
        "seconds": round(trained.seconds, 1),
        "cpu_seconds": round(trained.cpu_seconds, 1),
        "loss": trained.loss,
    }
    training = {
        name: value for name, value in dataclasses.asdict(job.config).items() if name != "seed"
    }
    facts = Facts(seed=job.config.seed, step=trained.steps, training=training, figures=figures)
    network.save(job.out, facts)
    if measure:
        figures |= _measured(job, measure)
        network.save(job.out, dataclasses.replace(facts, figures=figures))
    job.state.unlink(missing_ok=True)
    if talks:
        _print_summary(job, figures)


def _measured(job: _Job, n: int) -> dict[str, Any]:
    """Judge the checkpoint as it will be read, by the law that it was to learn."""
    import dataclasses

    import torch

    from naslib_diffusion.diffusion.exact import ExactDenoiser
    from naslib_diffusion.diffusion.network import ScoreNetwork
    from naslib_diffusion.diffusion.quality import measure

    samples, space = job.samples, job.space
    network = ScoreNetwork.load(job.out, space)
    if samples is None:
        exact = None if space.blocks is None else ExactDenoiser(space)
        return dataclasses.asdict(measure(network, space, exact, n=n))

    def law(count: int, random: torch.Generator) -> list[Any]:
        return [samples[i] for i in torch.randint(len(samples), (count,), generator=random)]

    return dataclasses.asdict(measure(network, space, law=law, n=n))


def _print_summary(job: _Job, figures: dict[str, Any]) -> None:
    from rich.table import Table as RichTable

    from naslib_diffusion.commands.terminal import console, shown

    grid = RichTable(title=f"score network of {job.space.name}", title_justify="left")
    for heading in ("", "network", "perfect sampler"):
        grid.add_column(heading, justify="right" if heading else "left")
    percent = "{:.2%}".format
    if "validity" in figures:
        worst = max((figures["relative_errors"] or {"": float("nan")}).values())
        if figures["relative_errors"]:
            grid.add_row("largest relative error of estimates", percent(worst), "0.00%")
        for name, perfect, label in (
            ("validity", None, "valid"),
            ("thresholded_validity", None, "valid without decoding"),
            ("distinct", "perfect_distinct", "distinct"),
            ("node_distance", "perfect_node_distance", "total variation, single choices"),
            ("pair_distance", "perfect_pair_distance", "total variation, pairs of choices"),
        ):
            ideal = 1.0 if perfect is None else figures[perfect]
            grid.add_row(label, percent(figures[name]), percent(ideal))
        grid.add_row("samples per second of processor time", f"{figures['per_second']:,.0f}", "")
    grid.add_row("seconds of training", f"{figures['seconds']:,.0f}", "")
    grid.add_row("seconds of processor time", f"{figures['cpu_seconds']:,.0f}", "")
    screen = console()
    screen.print(grid)
    screen.print(f"[bold cyan]checkpoint: {shown(str(job.out))}[/]", soft_wrap=True)
