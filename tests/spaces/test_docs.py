"""The examples of docs/spaces.md run and print what they say; its space passes the suite."""

import re
from pathlib import Path

from naslib_diffusion.testing import SpaceTestCase

PAGE = Path(__file__).resolve().parents[2] / "docs" / "spaces.md"
CODE = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run():
    """Run all blocks of the page as one module."""
    names = {"__name__": __name__}
    for block in CODE:
        exec(compile(block, PAGE.name, "exec"), names)
    return names


NAMES = run()
TestStacks = NAMES["TestStacks"]


def test_the_page_tests_its_space_by_the_suite():
    assert issubclass(TestStacks, SpaceTestCase)
    assert NAMES["space"].size == 9 + 27 + 81 - (4 + 8 + 16)


def test_the_page_prints_what_it_says(capsys):
    run()
    samples, best, count = capsys.readouterr().out.splitlines()
    said = re.findall(r"^print\(.*\)  # (.*)$", "".join(CODE), re.MULTILINE)
    assert said[0] == samples
    assert said[1].startswith("64-64-64-16")
    assert sorted(best.split("-")) == ["16", "64", "64", "64"]
    assert said[2].split() == [count, "=", "9", "+", "27", "+", "81"]
