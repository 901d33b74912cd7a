"""How tests run commands."""

import pytest

from naslib_diffusion import cli


@pytest.fixture
def run(capsys):
    """Run a command in this process; return exit code, stdout and stderr."""

    def call(*args):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return call
