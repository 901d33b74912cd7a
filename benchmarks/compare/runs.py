"""One search of one method, kept as one JSON file, so that it is never run twice."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from naslib_diffusion.benchmarks.baselines.method import Method
from naslib_diffusion.benchmarks.baselines.methods import Entry, find
from naslib_diffusion.benchmarks.compare.tasks import BRIEF_COST, Task, signed
from naslib_diffusion.benchmarks.harness.kept import kept

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
            "settings": dict(entry.settings),
            "seed": self.seed,
            "start": self.start if entry.start else 0,
        }


def run(job: Job, folder: Path | None) -> Run:
    """Search, or read the same search where it is kept with at least this budget."""
    torch.set_num_threads(1)
    path = None if folder is None else folder / job.file
    found: Run = kept(
        path,
        job.identity(),
        lambda: {"budget": job.budget, **search(job)},
        lambda found: found["budget"] >= job.budget,
    )
    return found


def search(job: Job) -> Run:
    """Return architectures, values and the CPU seconds that the method took for all of them.

    It ends early when nothing better is left to find. Where short trainings add up to a whole one,
    that counts as one more evaluation of the best so far.
    """
    table, entry = job.task.searched, find(job.method)
    meter = Meter(job.task)
    method = make(job.task, entry, job.seed, meter)
    start = random_start(table.space, job.seed, job.start) if entry.start else []
    archs: list[Any] = []
    values: list[float] = []
    seconds = 0.0
    while len(archs) < job.budget and (not values or max(values) < signed(table, table.optimum)):
        before = time.process_time()
        arch = start[len(archs)] if len(archs) < len(start) else method.ask()
        while values and meter.due() and len(archs) < job.budget - 1:
            archs.append(archs[values.index(max(values))])
            values.append(max(values))
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


class Meter:
    """Evaluates after short trainings, and counts what they cost.

    Args:
        task: what is searched.

    Attributes:
        spent: cost since a whole evaluation was counted for it.
    """

    def __init__(self, task: Task) -> None:
        self._task, self.spent = task, 0.0

    def __call__(self, arch: Any) -> float:
        """Return the value after a short training, to be maximised."""
        brief = self._task.brief
        assert brief is not None
        self.spent += BRIEF_COST
        return float(signed(brief, brief[arch]))

    def due(self) -> bool:
        """Whether a whole evaluation was spent; it is counted then."""
        if self.spent < 1:
            return False
        self.spent -= 1
        return True


def make(task: Task, entry: Entry, seed: int, meter: Meter | None = None) -> Method[Any]:
    """Return a method for a task.

    Raises:
        ValueError: if it cannot search it; says why.
    """
    if not entry.brief:
        return entry.maker()(task.searched.space, seed)
    if task.brief is None:
        raise ValueError(f"there are no short trainings of {task.name}")
    made: Method[Any] = entry.make(
        task.searched.space,
        seed,
        brief=meter or Meter(task),
        cost=BRIEF_COST,
        **entry.settings,
    )
    return made


def random_start(space: Space[A], seed: int, count: int) -> list[A]:
    """Return distinct random architectures, the same for all methods."""
    generator = torch.Generator().manual_seed(2**31 + seed)  # not that of a method
    found: dict[Any, A] = {}
    while len(found) < count:
        (arch,) = space.sample(1, generator)
        found.setdefault(space.canonical(arch), arch)
    return list(found.values())
