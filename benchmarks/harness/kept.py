"""What was measured once is kept, so that a measurement that was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from naslib_diffusion.benchmarks.harness.provenance import facts

from naslib_diffusion.runtime.files import write_atomically

Found = dict[str, Any]


def kept(
    path: Path | None,
    asked: Mapping[str, Any],
    measure: Callable[[], Mapping[str, Any]],
    enough: Callable[[Found], bool] = lambda found: True,
) -> Found:
    """Return what was asked, what `measure` returns, and the facts about that; or read them.

    Args:
        path: where they are kept, as JSON; None if nowhere.
        asked: all that decides what is measured, as JSON has it. What is kept of another
            question is measured anew.
        measure: makes the rest.
        enough: whether what was found goes far enough.
    """
    question = json.loads(json.dumps(asked))
    if path is not None and path.exists():
        found: Found = json.loads(path.read_text())
        if question.items() <= found.items() and enough(found):
            return found
    made = {**question, **measure(), **facts()}
    if path is not None:
        write_atomically(path, (json.dumps(made) + "\n").encode())
    return made
