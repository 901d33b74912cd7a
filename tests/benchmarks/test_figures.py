"""The figures of README.md are those of the measurements that docs/results/figures.yaml names."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
LIST = RESULTS / "figures.yaml"
NUMBER = re.compile(r"(?<![\w.,-])(?:\d[\d,]*)?\.?\d+(?:e-?\d+)?(?!\w|-[A-Za-z])")
"""A number that is no part of a name: not those of CIFAR-10 and ImageNet16-120."""
LISTED = yaml.safe_load(LIST.read_text(encoding="utf-8")) if LIST.exists() else {}


def numbers(text):
    return [found.replace(",", "") for found in NUMBER.findall(plain(text))]


def plain(text):
    """Text without the marks of Markdown, and with single spaces."""
    return " ".join(re.sub(r"[*`]", "", text).split())


def passage(page, start):
    """What follows the words on a page, to the end of their row or paragraph."""
    begins = [i for i, line in enumerate(page.splitlines()) if line.startswith(start)]
    assert len(begins) == 1, f"{len(begins)} passages begin with {start!r}"
    lines = page.splitlines()[begins[0] :]
    if start.startswith("|"):
        return lines[0][len(start) :]
    end = next((i for i, line in enumerate(lines) if i and not line.startswith("  ")), len(lines))
    return "\n".join(lines[:end])[len(start) :]


def rows_of(name):
    """All rows of tables: the words that tell one from another, and its cells by column."""
    text = (RESULTS / name).read_text(encoding="utf-8")
    if name.endswith(".json"):
        rows = [
            {key: str(value) for key, value in row.items()} for row in json.loads(text)["rows"]
        ]
        return [({*row.values()}, row) for row in rows]
    found, heading, header, before = [], "", [], {}
    for line in text.splitlines():
        if not line.startswith("|"):
            heading, header = plain(line.lstrip("# ")) if line.startswith("#") else heading, []
            continue
        cells = [plain(cell) for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        if not header:
            header, before = cells, cells[:1]
        elif set("".join(cells)) - set("- "):
            before = cells[:1] if cells[0] else before  # an empty first cell repeats that above it
            found.append(
                ({heading, header[0], *before, *cells}, dict(zip(header, cells, strict=True)))
            )
    return found


def source(entry):
    """The numbers at a source, as text."""
    if "after" in entry:
        text = plain((RESULTS / entry["in"]).read_text(encoding="utf-8"))
        assert text.count(entry["after"]) == 1, f"{entry} is not at one place"
        return numbers(text.partition(entry["after"])[2])
    rows = [cells for words, cells in rows_of(entry["in"]) if {*entry["row"]} <= words]
    rows = [cells for cells in rows if entry["cell"] in cells]
    assert len(rows) == 1, f"{entry} fits {len(rows)} rows"
    return numbers(str(rows[0][entry["cell"]]))


def same(told, value):
    """Whether a figure is a value, rounded to as many decimals as are written."""
    decimals = len(told.partition(".")[2])
    return abs(float(told) - float(value)) <= 0.5 * 10**-decimals + 1e-12


def test_rounding():
    assert same(".00007", "6.957e-05")
    assert same("17.5", "17.5")
    assert not same("17.5", "17.4")
    assert not same(".00007", "4.9e-05")


@pytest.mark.parametrize(
    ("page", "start"), [(page, start) for page, own in LISTED.items() for start in own]
)
def test_a_figure_is_that_of_its_source(page, start):
    told = numbers(passage((ROOT / page).read_text(encoding="utf-8"), start))
    entries = LISTED[page][start]
    assert len(told) == len(entries), f"{start}: {told} have {len(entries)} sources"
    for number, entry in zip(told, entries, strict=True):
        if entry != "paper" and "constant" not in entry:
            value = source(entry)[entry.get("nth", 0)]
            assert same(number, value), f"{start}: {number}, but {value} in {entry}"


@pytest.mark.skipif(not LISTED, reason="this is no checkout: there is no docs/results")
def test_every_row_of_the_comparison_has_sources():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*$", text.partition("## How it compares")[2], re.MULTILINE)[2:]
    assert rows
    for row in rows:
        assert any(row.startswith(start) for start in LISTED["README.md"]), row
