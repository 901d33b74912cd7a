"""The examples of docs/networks.md run and print what they say."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
CODE = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_prints_what_it_says(capsys):
    names = {}
    for block in CODE:
        exec(compile(block, PAGE.name, "exec"), names)
    said = re.findall(r"^print\(.*\)  # (.*)$", "".join(CODE), re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == said
    assert len(said) == 2
