"""The command line, `naslib-diffusion`: every user's error is one line and exit code 2."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from naslib_diffusion import __version__
from naslib_diffusion.commands.bench import bench
from naslib_diffusion.commands.cite import cite
from naslib_diffusion.commands.compare import compare
from naslib_diffusion.commands.data import data
from naslib_diffusion.commands.errors import Interrupted, UserError
from naslib_diffusion.commands.generate import generate
from naslib_diffusion.commands.groups import Group
from naslib_diffusion.commands.naslib import naslib
from naslib_diffusion.commands.report import report
from naslib_diffusion.commands.search import search
from naslib_diffusion.commands.train import train
from naslib_diffusion.commands.transfer import transfer
from naslib_diffusion.commands.zero_cost import zero_cost
from naslib_diffusion.runtime.extras import MissingExtra
from naslib_diffusion.runtime.text import printable

USER_ERROR = 2
INTERRUPTED = 130


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    epilog="`naslib-diffusion COMMAND --help` explains each command, with examples.",
)
@click.version_option(__version__, prog_name="naslib-diffusion")
@click.pass_context
def cli(context: click.Context) -> None:
    """Search for neural architectures by generating good ones: guided diffusion.

    \b
    Find a good NAS-Bench-201 cell for CIFAR-100 with 50 evaluations:
      naslib-diffusion search
    Generate 1,000 cells guided by 50 measurements of your own table:
      naslib-diffusion generate -n 1000 --table FILE.csv --objective COLUMN
    Find and train a network for a folder of images:
      naslib-diffusion transfer --data FOLDER --out runs/images
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (
    search, generate, transfer, naslib, compare, report, train, zero_cost, data, bench, cite,
):  # fmt: skip
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(_run(args))


def _run(args: Sequence[str] | None) -> int:
    try:
        code = cli.main(args, prog_name="naslib-diffusion", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt, Interrupted) as stop:
        return _fail("interrupted", str(stop) or "nothing was lost", INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as help_text:  # a group without a command
        help_text.show()
        return USER_ERROR
    except click.ClickException as error:
        return _fail("error", error.format_message(), USER_ERROR)
    except (UserError, MissingExtra) as error:
        return _fail("error", str(error), USER_ERROR)
    except OSError as error:
        return _os_error(error)
    else:
        return code if isinstance(code, int) else 0


def _os_error(error: OSError) -> int:
    if error.errno == errno.EPIPE:
        # who read our output has gone: keep the interpreter from flushing into the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    where = f": {error.filename}" if error.filename else ""
    return _fail("error", f"{error.strerror or error}{where}", USER_ERROR)


def _fail(kind: str, message: str, code: int) -> int:
    """Print one line on stderr, whatever the message holds."""
    click.echo(f"{kind}: {printable(' '.join(message.split()))}", err=True)
    return code


if __name__ == "__main__":
    main()
