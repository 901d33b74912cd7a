"""`naslib-diffusion zero-cost`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from naslib_diffusion.commands.errors import Interrupted, UserError
from naslib_diffusion.commands.options import POSITIVE, SEED, Whole, make_space, quiet_option
from naslib_diffusion.commands.output import say


@click.command("zero-cost")
@click.option(
    "--space", metavar="NAME", required=True, help="Search space that can build its networks."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write, .safetensors: a prior for `--prior FILE`.",
)
@click.option(
    "--count",
    metavar="N",
    type=Whole(min=10),
    default=1000,
    show_default=True,
    help="How many untrained networks to score.",
)
@click.option(
    "--batch-size",
    metavar="N",
    type=Whole(2, 1024),
    default=32,
    show_default=True,
    help="How many images of noise each network is shown.",
)
@click.option(
    "--size",
    metavar="N",
    type=Whole(4, 512),
    default=16,
    show_default=True,
    help="Height and width of the images of noise.",
)
@click.option(
    "--outputs",
    metavar="N",
    type=POSITIVE,
    default=10,
    show_default=True,
    help="Number of outputs (classes) of each network.",
)
@click.option(
    "--seed",
    metavar="N",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the sample, the networks' weights and the images.",
)
@quiet_option
def zero_cost(
    space: str,
    out: Path,
    count: int,
    batch_size: int,
    size: int,
    outputs: int,
    seed: int,
    quiet: bool,
) -> None:
    """Make a zero-cost prior: what untrained networks tell of a space's architectures.

    Builds a sample of the space, scores each network without training (parameters, NASWOT,
    synaptic flow, on noise), and teaches a small network what they tell of all others. Nothing is
    trained and no data is needed. After Ctrl-C the same command goes on where it stopped.

    \b
    Example:
      naslib-diffusion zero-cost --space nasbench201 --out zero_cost.safetensors
      naslib-diffusion search --benchmark nasbench201/cifar10 --prior zero_cost.safetensors
    """
    from naslib_diffusion.runtime.locks import claimed
    from naslib_diffusion.transfer.untrained import Measuring
    from naslib_diffusion.transfer.zero_cost import learn

    if not out.absolute().parent.is_dir():
        raise UserError(f"--out: there is no folder {out.absolute().parent}")
    how = Measuring(count=count, batch=batch_size, size=size, outputs=outputs, seed=seed)
    log = out.with_name(f"{out.name}.scores.csv")
    try:
        with claimed(out):
            network = learn(make_space(space), how, log, _progress(quiet))
            network.save(out, network.facts)
            log.unlink(missing_ok=True)
    except KeyboardInterrupt:
        raise Interrupted(
            f"the scores so far are in {log}; the same command goes on from there"
        ) from None
    except ValueError as error:
        raise UserError(str(error)) from None
    if not quiet:
        say(
            f"{out}: learned from {network.facts['count']:,} untrained networks; "
            f"squared error of what it learned {network.facts['squared_error']:.2g}"
        )


def _progress(quiet: bool) -> Any:
    from tqdm import tqdm

    def progress(archs: Sequence[Any]) -> Iterator[Any]:
        hidden = quiet or not sys.stderr.isatty()
        return iter(tqdm(archs, unit="network", disable=hidden, dynamic_ncols=True, leave=False))

    return progress
