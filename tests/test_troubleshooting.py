"""docs/troubleshooting.md quotes messages that exist, and each message that is raised."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OPEN = "…"
"""What stands in the page for names and numbers that a message fills in."""
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = [
    message
    for line in re.findall(r"^### `.*|^`.*(?=\n:   )", PAGE, re.MULTILINE)  # headings and terms
    for message in re.findall(r"`([^`]+)`", line)
]
TREES = [
    ast.parse(path.read_text(encoding="utf-8"))
    for folder in ("naslib_diffusion", "plugins")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
FAULTS = {"AttributeError", "NotImplementedError", "TypeError"}
"""Of a program, not of its user."""
STOPS = {"Interrupted"}
SHORTEST = 8
"""Letters and spaces that a message has of its own: others only pass another message on."""


def texts() -> str:
    """Return all text in the code; what is filled in is missing."""
    nodes = (node for tree in TREES for node in ast.walk(tree))
    found = (node.value for node in nodes if isinstance(node, ast.Constant))
    return "\n".join(text for text in found if isinstance(text, str))


def raised() -> Iterator[str]:
    """Yield the messages of all errors that the code raises, open where something is filled in."""
    for node in (node for tree in TREES for node in ast.walk(tree)):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
            continue
        if ast.unparse(node.exc.func) not in FAULTS | STOPS:
            message = template(node.exc.args[0])
            if len(re.sub(r"[^a-z ]", "", message)) >= SHORTEST:
                yield message


def template(text: ast.expr) -> str:
    if isinstance(text, ast.Constant):
        return str(text.value)
    if isinstance(text, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else OPEN
                       for part in text.values)  # fmt: skip
    return OPEN


def pattern(message: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part.strip()) for part in message.split(OPEN)))


def test_it_quotes_messages_that_exist():
    known = texts()
    assert len(QUOTED) > 200
    for message in QUOTED:
        parts = [part.strip() for part in message.split(OPEN)]
        assert all(part in known for part in parts if len(part) > 3), message


def test_it_quotes_each_message_that_is_raised():
    patterns = [pattern(message) for message in QUOTED]
    missing = [m for m in raised() if not any(p.search(m) for p in patterns)]
    assert not missing, f"not in docs/troubleshooting.md: {missing[:5]}"


def test_no_quoted_message_stands_for_everything():
    assert all(len(re.sub(r"[^a-z]", "", message)) > 3 for message in QUOTED)
