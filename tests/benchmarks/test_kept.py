"""What was measured once is not measured again."""

from __future__ import annotations

import json
from pathlib import Path

from naslib_diffusion.benchmarks.harness.kept import kept


def test_what_is_kept_is_read_until_another_question_is_asked(tmp_path: Path) -> None:
    calls: list[int] = []

    def measure() -> dict[str, int]:
        calls.append(1)
        return {"answer": len(calls)}

    path = tmp_path / "kept.json"
    first = kept(path, {"seed": (0, 1)}, measure)
    assert (first["seed"], first["answer"]) == ([0, 1], 1)
    assert {"versions", "commit", "machine", "finished"} <= set(first)
    assert kept(path, {"seed": (0, 1)}, measure) == first == json.loads(path.read_text())
    assert kept(path, {"seed": (0, 2)}, measure)["answer"] == 2  # in place of the first
    assert kept(path, {"seed": (0, 2)}, measure, lambda found: found["answer"] > 2)["answer"] == 3
    assert kept(None, {"seed": (0, 2)}, measure)["answer"] == 4
