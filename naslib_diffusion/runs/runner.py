"""Runs a search on a table, over several seeds, and goes on from what is already known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from naslib_diffusion.optimize.pool import SpaceExhausted
from naslib_diffusion.runs.settings import Settings
from naslib_diffusion.runs.trials import Evaluation
from naslib_diffusion.search import Prediction, Search
from naslib_diffusion.surrogates.prior import Prior
from naslib_diffusion.tables import Table

Record = Callable[[Evaluation, Prediction | None], None]


def run(
    settings: Settings,
    table: Table[Any],
    saved: Mapping[int, Sequence[Evaluation]],
    record: Record,
    prior: Sequence[Prior] = (),
) -> list[Evaluation]:
    """Search with every seed; return all evaluations, saved and new.

    Args:
        settings: of the run.
        table: where evaluations are looked up.
        saved: finished evaluations of each seed, in order, from an earlier part of the same run.
        record: called with each new evaluation as soon as it is finished, and with what the
            search had expected of it, if anything.
        prior: what `settings.priors` names.
    """
    done: list[Evaluation] = []
    for seed in settings.all_seeds:
        done += run_seed(settings, table, seed, saved.get(seed, ()), record, prior)
    return done


def run_seed(
    settings: Settings,
    table: Table[Any],
    seed: int,
    saved: Sequence[Evaluation],
    record: Record,
    prior: Sequence[Prior] = (),
) -> list[Evaluation]:
    """Search with one seed.

    Whole batches that are saved are told as they are. A batch that was cut off is asked for again,
    which gives the same architectures, and finished. The last batch is asked for as a whole too,
    whatever the budget leaves of it, so that a larger budget later goes on with the same.
    """
    search = Search(
        table.space,
        settings.surrogate,
        settings.strategy,
        seed=seed,
        initial=settings.initial,
        direction=settings.direction,
        prior=prior,
    )
    done: list[Evaluation] = []
    while len(done) < settings.budget:
        size = min(settings.batch, settings.budget - len(done))
        batch = list(saved[len(done) : len(done) + size])
        archs = [table.space.parse(trial.arch) for trial in batch]
        if len(batch) < size:
            asked = _ask(search, settings.batch)
            archs += [arch for arch in asked if arch not in archs][: size - len(batch)]
        for arch in archs[len(batch) :]:
            step = len(done) + len(batch) + 1
            batch.append(
                Evaluation(seed, step, str(arch), evaluate(table, arch, seed, step, settings))
            )
            record(batch[-1], search.predict(arch))
        search.tell(archs, [trial.value for trial in batch])
        done += batch
    return done


def _ask(search: Search[Any], n: int) -> list[Any]:
    """Ask for `n` architectures, or for those that are left."""
    try:
        return search.ask(n)
    except SpaceExhausted as exhausted:
        return exhausted.found


def evaluate(table: Table[Any], arch: Any, seed: int, step: int, settings: Settings) -> float:
    """Look `arch` up; with noise, draw one of its trainings, the same one each time it is run."""
    return table.draw(arch, f"{seed}/{step}") if settings.noisy else table.outcome(arch)
