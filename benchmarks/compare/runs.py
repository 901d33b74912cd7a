"""One search of one method, kept as one JSON file, so that it is never run twice."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from naslib_diffusion.benchmarks.baselines.method import Method
from naslib_diffusion.benchmarks.baselines.methods import find
from naslib_diffusion.benchmarks.compare.tasks import Task, signed
from naslib_diffusion.benchmarks.harness.provenance import facts

from naslib_diffusion.runtime.files import write_atomically
from naslib_diffusion.spaces import Space
from naslib_diffusion.spaces.base import A

Run = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One search.

    Attributes:
        task: what is searched.
        method: its name.
        seed: of the random start, and of the method.
        budget: evaluations, the random start included.
        start: evaluations of the random start.
    """

    task: Task
    method: str
    seed: int
    budget: int
    start: int

    @property
    def file(self) -> str:
        """Name of the file that keeps it."""
        words = (self.task.name, self.method, str(self.seed))
        return "__".join(re.sub(r"[^\w.-]+", "-", word) for word in words) + ".json"

    def identity(self) -> Run:
        """Return all that decides what the search does."""
        entry = find(self.method)
        return {
            "task": self.task.name,
            "fingerprint": self.task.searched.fingerprint,
            "method": self.method,
            "source": entry.source,
            "settings": json.loads(json.dumps(dict(entry.settings))),
            "seed": self.seed,
            "start": self.start if entry.start else 0,
        }


def run(job: Job, folder: Path | None) -> Run:
    """Search, or read the same search where it is kept with at least this budget."""
    torch.set_num_threads(1)
    identity = job.identity()
    path = None if folder is None else folder / job.file
    if path is not None and path.exists():
        found: Run = json.loads(path.read_text())
        if identity.items() <= found.items() and found["budget"] >= job.budget:
            return found
    made = {**identity, "budget": job.budget, **search(job), **facts()}
    if path is not None:
        write_atomically(path, (json.dumps(made) + "\n").encode())
    return made


def search(job: Job) -> Run:
    """Return architectures, values and the CPU seconds that the method took for all of them.

    It ends early when nothing better is left to find.
    """
    table, entry = job.task.searched, find(job.method)
    method: Method[Any] = entry.maker()(table.space, job.seed)
    start = random_start(table.space, job.seed, job.start) if entry.start else []
    archs: list[Any] = []
    values: list[float] = []
    seconds = 0.0
    while len(archs) < job.budget and (not values or max(values) < signed(table, table.optimum)):
        before = time.process_time()
        arch = start[len(archs)] if len(archs) < len(start) else method.ask()
        value = float(signed(table, table[arch]))
        method.tell(arch, value)
        seconds += time.process_time() - before
        archs.append(arch)
        values.append(value)
    best = [archs[values.index(max(values[: i + 1]))] for i in range(len(values))]
    judge = job.task.reported or table
    return {
        "archs": [str(arch) for arch in archs],
        "values": signed(table, values).tolist(),
        "reported": [judge[arch] for arch in best],
        "seconds": round(seconds, 3),
    }


def random_start(space: Space[A], seed: int, count: int) -> list[A]:
    """Return distinct random architectures, the same for all methods."""
    generator = torch.Generator().manual_seed(2**31 + seed)  # not that of a method
    found: dict[Any, A] = {}
    while len(found) < count:
        (arch,) = space.sample(1, generator)
        found.setdefault(space.canonical(arch), arch)
    return list(found.values())
