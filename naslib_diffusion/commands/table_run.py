"""What `search` and `transfer` do on a table: check, run, write and print."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from naslib_diffusion.commands.errors import Interrupted, UserError
from naslib_diffusion.commands.options import make_space, make_table
from naslib_diffusion.commands.output import note_versions, say

if TYPE_CHECKING:
    from naslib_diffusion.runs import Evaluation, Results, RunFolder, Settings
    from naslib_diffusion.search import Prediction
    from naslib_diffusion.surrogates.prior import Prior
    from naslib_diffusion.tables import Table

DEFAULT_BENCHMARK = "nasbench201/cifar100"
RANDOM_START = 10
"""Random evaluations to start, where no prior tells anything."""


def check_priors(context: click.Context) -> None:
    """Refuse a prior that cannot be used, before anything is written; tell what one has seen."""
    names = context.params["prior"]
    if context.params["initial"] is None:
        context.params["initial"] = 0 if names else RANDOM_START
    if not names:
        if context.params["initial"] < 1:
            raise UserError("--initial must be at least 1 where there is no --prior")
        context.params["prior"] = None
        return
    from naslib_diffusion.tables.benchmarks import space_name
    from naslib_diffusion.transfer.meta import MetaSurrogate
    from naslib_diffusion.transfer.priors import load_priors

    benchmark = context.params["benchmark"] or ""
    space = make_space(context.params["space"] or space_name(benchmark))
    try:
        priors = load_priors(names, space, context.params["direction"])
    except ValueError as error:
        raise UserError(f"--prior: {error}") from None
    if any(isinstance(prior, MetaSurrogate) and benchmark in prior.tables for prior in priors):
        say(f"note: the prior has seen {benchmark}; it is for other data sets", err=True)


def run_search(context: click.Context, out: Path | None, resume: bool, quiet: bool) -> None:
    """Run what the options of `search` or `transfer` say, and write and print the results."""
    from naslib_diffusion.runs import RunError, RunFolder
    from naslib_diffusion.runtime.extras import require

    require("matplotlib", "report", "reports")
    if resume:
        if out is None:
            raise UserError("--resume needs --out, the folder of the run to go on with")
        prepare = _resume
    else:
        out, prepare = out or _default_out(context), _start
    try:
        with RunFolder(out) as folder:
            job = prepare(context, folder)
            note_versions(folder)
            if not quiet:
                _announce(job, folder)
            results = _run(job, folder, quiet)
            _finish(results, folder)
    except RunError as error:
        raise UserError(str(error)) from None
    if not quiet:
        from naslib_diffusion.commands.terminal import print_results

        print_results(results, folder)


@dataclass(frozen=True)
class _Job:
    """All that decides what a run does; the user's part of it has been checked."""

    settings: Settings
    table: Table[Any]
    prior: Sequence[Prior]
    saved: Mapping[int, Sequence[Evaluation]] = field(default_factory=dict)
    """Evaluations of each seed in an earlier part of the run."""

    @property
    def done(self) -> int:
        """The number of evaluations of an earlier part of the run."""
        return sum(map(len, self.saved.values()))


def _start(context: click.Context, folder: RunFolder) -> _Job:
    """Check all that the user said, before anything is written; then make the folder."""
    from naslib_diffusion.tables.equality import equality

    settings = _given_settings(context)
    folder.refuse_used()
    table = _checked_table(settings)
    prior, prior_fingerprint = _read_prior(settings, table)
    settings = _with(
        settings,
        fingerprint=table.fingerprint,
        prior_fingerprint=prior_fingerprint,
        direction=table.direction,
        distinct=equality(table),
        seeds=_seeds(context, settings),
    )
    folder.start(settings)
    return _Job(settings, table, prior)


def _resume(context: click.Context, folder: RunFolder) -> _Job:
    """Check that the run in the folder can go on, with what the user said."""
    stored = folder.load_settings()
    settings = _resumed_settings(context, stored)
    table = _checked_table(settings)
    if settings.fingerprint != table.fingerprint:
        raise UserError(f"cannot resume {folder.path}: the table's contents have changed since")
    prior, prior_fingerprint = _read_prior(settings, table)
    if settings.prior_fingerprint not in ("", prior_fingerprint):  # "": of an earlier version
        raise UserError(f"cannot resume {folder.path}: the prior has changed since")
    saved = _saved(folder, settings, table)
    if settings != stored:
        folder.store(settings)
    return _Job(settings, table, prior, saved)


def _read_prior(settings: Settings, table: Table[Any]) -> tuple[Sequence[Prior], str]:
    """Return the priors of a run, and the fingerprint of their files."""
    from naslib_diffusion.transfer.priors import fingerprint, load_priors

    try:
        prior = load_priors(settings.priors, table.space, settings.direction)
        return prior, fingerprint(settings.priors, table.space)
    except ValueError as error:
        raise UserError(f"--prior: {error}") from None


def _given_settings(context: click.Context) -> Settings:
    from naslib_diffusion.runs import Settings

    options = _option_values(context)
    if options["benchmark"] is None and options["table"] is None:
        if any(options[name] is not None for name in ("space", "objective", "api_file")):
            raise UserError("name the measurements to use: --benchmark NAME or --table FILE")
        options["benchmark"] = DEFAULT_BENCHMARK
    return Settings(**options)


def _resumed_settings(context: click.Context, stored: Settings) -> Settings:
    """Return the stored settings, if no option that was given differs but for a larger budget."""
    given = {
        name: value
        for name, value in _option_values(context).items()
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    longer = _with(stored, budget=max(stored.budget, given.get("budget", 0)))
    changes = longer.changes(_with(longer, **given))
    if changes:
        raise UserError(f"cannot resume with other settings: {'; '.join(changes)}")
    return longer


def _seeds(context: click.Context, settings: Settings) -> int:
    """Return how many seeds to run: one where the others would repeat it, unless told."""
    told = context.get_parameter_source("seeds") is click.core.ParameterSource.COMMANDLINE
    return settings.seeds if told or not settings.seeds_agree else 1


def _option_values(context: click.Context) -> dict[str, Any]:
    """Return what the options say, by the names of the settings; paths made absolute."""
    import dataclasses

    from naslib_diffusion.runs import Settings

    names = [field.name for field in dataclasses.fields(Settings)]
    return {name: _stored(context.params[name]) for name in names if name in context.params}


def _stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return "\n".join(value)
    return str(value.absolute()) if isinstance(value, Path) else value


def _with(settings: Settings, **changes: Any) -> Settings:
    import dataclasses

    return dataclasses.replace(settings, **changes)


def _default_out(context: click.Context) -> Path:
    settings = _given_settings(context)
    source = settings.benchmark or f"{Path(settings.table or '').name.split('.')[0]}"
    moment = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{context.info_name}-{source.replace('/', '-')}-{moment}"


def _checked_table(settings: Settings) -> Table[Any]:
    if settings.budget < settings.initial:
        raise UserError(
            f"--budget {settings.budget} is below the {settings.initial} random evaluations of "
            "--initial; raise the one or lower the other"
        )
    table = make_table(
        benchmark=settings.benchmark,
        api_file=settings.api_file,
        space=settings.space,
        table=settings.table,
        objective=settings.objective,
        direction=settings.direction,
        arch_column=settings.arch_column,
        missing=settings.missing,
        distinct=settings.distinct,
        within=settings.bounds,
    )
    if settings.budget > table.distinct:
        raise UserError(
            f"--budget {settings.budget} is more than the {table.distinct} distinct "
            f"architectures of {table.name}"
        )
    if settings.noisy and table.repeats is None:
        raise UserError(f"--noisy: {table.name} has only one value for each architecture")
    return table


def _saved(
    folder: RunFolder, settings: Settings, table: Table[Any]
) -> dict[int, list[Evaluation]]:
    """Return what an earlier part of the run has evaluated."""
    saved = folder.load_trials(settings)
    try:
        for trial in itertools.chain.from_iterable(saved.values()):
            table.space.parse(trial.arch)
    except ValueError as error:
        raise UserError(f"cannot resume {folder.trials}: {error}") from None
    return saved


def _announce(job: _Job, folder: RunFolder) -> None:
    from naslib_diffusion.tables.equality import describe

    settings, table, done = job.settings, job.table, job.done
    say(
        f"{table.name}: {settings.budget} evaluations x {settings.seeds} "
        f"seed{'s' * (settings.seeds > 1)} of {table.distinct:,} distinct architectures"
        + (f", {done} already done" if done else "")
        + f"; results go to {folder.path}"
    )
    if settings.table is not None and table.remarks():
        say(f"{table.objective}: {table.remarks()}")
    reason = describe(table)
    if reason:
        say(f"{reason} (--distinct {settings.distinct})")
    if settings.seeds_agree:
        say(
            "with a prior, nothing is random: every seed would evaluate the same architectures, "
            + ("so that one is run" if settings.seeds == 1 else "so that --seeds 1 is enough")
        )


def _run(job: _Job, folder: RunFolder, quiet: bool) -> Results:
    """Run the search; on Ctrl-C say what is saved."""
    from naslib_diffusion.commands.terminal import Progress
    from naslib_diffusion.runs import (
        PredictionLog,
        Results,
        TrialLog,
        read_predictions,
        read_trials,
        run,
    )

    start, settings = time.perf_counter(), job.settings
    with (
        TrialLog(folder.trials) as log,
        PredictionLog(folder.predictions) as predictions,
        Progress(settings, job.table, job.done, quiet) as progress,
    ):

        def record(evaluation: Evaluation, prediction: Prediction | None) -> None:
            log.append(evaluation)
            predictions.append(evaluation, prediction)
            progress.advance(evaluation)

        try:
            trials = run(settings, job.table, job.saved, record, job.prior)
        except KeyboardInterrupt:
            total = settings.budget * settings.seeds
            done = len(read_trials(folder.trials))  # the bar may be one behind
            raise Interrupted(
                f"{done} of {total} evaluations are saved in {folder.trials}; "
                f"go on with: naslib-diffusion search --out {folder.path} --resume"
            ) from None
    seconds = time.perf_counter() - start
    forecasts = read_predictions(folder.predictions)
    return Results(
        settings, job.table, trials, seconds=seconds, resumed=job.done, forecasts=forecasts
    )


def _finish(results: Results, folder: RunFolder) -> None:
    """Write the summary and the report."""
    import json

    from naslib_diffusion.report import render_report
    from naslib_diffusion.runs import write_atomically

    summary = json.dumps(results.summary(), indent=2) + "\n"
    write_atomically(folder.summary, summary)
    write_atomically(folder.report, render_report(results, str(folder.path)))
