"""The help of commands with many options: every option once, in a section, within the terminal."""

import click
import pytest

from naslib_diffusion.cli import cli
from naslib_diffusion.commands.groups import Sectioned
from naslib_diffusion.commands.options import SECTIONS

COMMANDS = {name: own for name, own in cli.commands.items() if isinstance(own, Sectioned)}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_one_section(name):
    command = COMMANDS[name]
    context = click.Context(command, info_name=name, terminal_width=80)
    shown = [record for records in command.records(context).values() for record in records]
    assert len(set(shown)) == len(shown) == len(command.get_params(context))
    ((last, _),) = command.records(context)["Other options"]
    assert last.endswith("--help")  # "-h" too, where the program has run
    text = command.get_help(context)
    titles = [line[:-1] for line in text.splitlines() if line[:-1] in SECTIONS]
    assert titles == [title for title in SECTIONS if title in titles]
    options = text[text.index(f"{titles[0]}:") :]
    assert max(map(len, options.splitlines())) <= 80


def test_sections_name_options_that_there_are():
    known = {parameter.name for command in COMMANDS.values() for parameter in command.params}
    assert {name for names in SECTIONS.values() for name in names} == known


def test_an_option_that_no_section_names_comes_last():
    command = Sectioned("x", sections={"First": ["b"]}, params=[
        click.Option(["--a"], help="A."), click.Option(["--b"], help="B."),
    ])  # fmt: skip
    records = command.records(click.Context(command, help_option_names=["--help"]))
    assert list(records) == ["First", "Other options"]
    assert [option for option, _ in records["First"]] == ["--b TEXT"]
    assert "--help" in [option for option, _ in records["Other options"]]


def test_a_measurement_that_is_nearly_one_is_suggested():
    bench = cli.commands["bench"]
    with pytest.raises(click.UsageError, match=r"no measurement 'tabel1'; did you mean table1\?"):
        bench.main(["tabel1"], standalone_mode=False)
    with pytest.raises(click.UsageError, match="No such command 'xyz'"):
        bench.main(["xyz"], standalone_mode=False)
