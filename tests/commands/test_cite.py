"""`cite` and CITATION.cff name the same works."""

import re
from pathlib import Path

import yaml

from naslib_diffusion import __version__

ROOT = Path(__file__).resolve().parents[2]


def test_cite_prints_what_the_citation_file_says(run):
    code, text, _ = run("cite")
    assert code == 0
    facts = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (paper,) = facts["references"]
    assert facts["version"] == __version__
    assert re.findall(r"  title *= \{(.*)\},", text) == [facts["title"], paper["title"]]
    authors = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    assert authors in text
    assert facts["authors"][0]["name"] in text
    assert f"version = {{{__version__}}}" in text
    assert f"year      = {{{paper['year']}}}" in text
    assert paper["url"] in text
