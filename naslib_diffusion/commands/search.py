"""`naslib-diffusion search`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from naslib_diffusion.commands.errors import Interrupted, UserError
from naslib_diffusion.commands.options import (
    POSITIVE,
    batch_option,
    make_space,
    make_table,
    quiet_option,
    resume_option,
    seed_option,
    seeds_option,
    strategy_option,
    table_options,
)

if TYPE_CHECKING:
    from naslib_diffusion.runs import Evaluation, Results, RunFolder, Settings
    from naslib_diffusion.search import Prediction
    from naslib_diffusion.tables import Table

DEFAULT_BENCHMARK = "nasbench201/cifar100"
RANDOM_START = 10
"""Random evaluations to start, where no prior tells anything."""


@click.command()
@table_options
@click.option(
    "--budget",
    metavar="N",
    type=POSITIVE,
    default=50,
    show_default=True,
    help="Evaluations of each seed, random ones included.",
)
@seeds_option
@seed_option
@click.option(
    "--initial",
    metavar="N",
    type=click.IntRange(min=0),
    help="Random evaluations of each seed before the surrogate is trusted.  "
    "[default: 10, or 0 with --prior]",
)
@batch_option
@strategy_option
@click.option(
    "--surrogate",
    type=click.Choice(["gp", "ensemble"]),
    default="gp",
    show_default=True,
    help="What ranks candidates: a Gaussian process or an ensemble of networks.",
)
@click.option(
    "--prior",
    metavar="NAME",
    multiple=True,
    help="What is believed beforehand: `zero-cost`, what untrained networks tell; `tasks`, what "
    "other tasks do; `default`, all of these that ship for the space; a .safetensors file; or "
    "tables of other tasks, FILE or FILE:COLUMN. Several are weighed by evidence.",
)
@click.option("--noisy", is_flag=True, help="Each evaluation is one training, not their mean.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the results.  [default: runs/search-NAME-TIME]",
)
@resume_option
@quiet_option
@click.pass_context
def search(
    context: click.Context, /, out: Path | None, resume: bool, quiet: bool, **_: Any
) -> None:
    """Search for the best architectures of a benchmark or of your own table.

    Starts with random architectures, then repeats: fit a surrogate, generate candidates under its
    guidance, evaluate the best. Writes trials.csv (a line per evaluation, at once), summary.json
    and report.html. Without any option it searches nasbench201/cifar100.

    \b
    Examples:
      naslib-diffusion search
      naslib-diffusion search --benchmark nasbench201/imagenet16 --budget 100 --seeds 5
      naslib-diffusion search --benchmark nasbench201/imagenet16 --prior zero-cost
      naslib-diffusion search --space nasbench201 --table mine.csv.gz --objective latency_ms \\
          --direction minimize --out runs/latency
      naslib-diffusion search --out runs/latency --resume
    """
    if not resume:
        check_priors(context)
    run_search(context, out, resume, quiet)


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
    from naslib_diffusion.transfer.meta import MetaSurrogate
    from naslib_diffusion.transfer.priors import load_priors

    benchmark = context.params["benchmark"] or ""
    implied = "nasbenchgraph" if benchmark.startswith("nasbenchgraph/") else "nasbench201"
    space = make_space(context.params["space"] or implied)
    try:
        priors = load_priors(names, space, context.params["direction"])
    except ValueError as error:
        raise UserError(f"--prior: {error}") from None
    if any(isinstance(prior, MetaSurrogate) and benchmark in prior.tables for prior in priors):
        click.echo(f"note: the prior has seen {benchmark}; it is for other data sets", err=True)


def run_search(context: click.Context, out: Path | None, resume: bool, quiet: bool) -> None:
    """Run what the options of `search` or `transfer` say, and write and print the results."""
    settings, table, folder = _prepare(context, out, resume)
    saved = _saved(folder, settings, table) if resume else {}
    if not quiet:
        _announce(settings, table, folder, sum(map(len, saved.values())))
    results = _run(settings, table, folder, saved, quiet)
    _finish(results, folder)
    if not quiet:
        from naslib_diffusion.commands.terminal import print_results

        print_results(results, folder)


def _prepare(
    context: click.Context, out: Path | None, resume: bool
) -> tuple[Settings, Table[Any], RunFolder]:
    """Check all that the user said before anything is written."""
    from naslib_diffusion.runs import RunError, RunFolder
    from naslib_diffusion.tables.equality import equality

    try:
        if resume:
            if out is None:
                raise UserError("--resume needs --out, the folder of the run to go on with")
            folder = RunFolder(out)
            stored = folder.load_settings()
            settings = _resumed_settings(context, stored)
        else:
            settings = _given_settings(context)
            folder = RunFolder(out or _default_out(settings, context.info_name))
            folder.refuse_used()
        table = _checked_table(settings)
        if resume and settings.fingerprint != table.fingerprint:
            raise UserError(f"cannot resume {out}: the table's contents have changed since")
        if resume:
            if settings != stored:
                folder.store(settings)
            return settings, table, folder
        settings = _with(
            settings,
            fingerprint=table.fingerprint,
            distinct=equality(table),
            seeds=_seeds(context, settings),
        )
        folder.start(settings)
    except RunError as error:
        raise UserError(str(error)) from None
    return settings, table, folder


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


def _default_out(settings: Settings, command: str | None) -> Path:
    source = settings.benchmark or f"{Path(settings.table or '').name.split('.')[0]}"
    return Path("runs") / f"{command}-{source.replace('/', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"


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
    from naslib_diffusion.runs import RunError

    try:
        saved = folder.load_trials(settings)
        for trials in saved.values():
            for trial in trials:
                table.space.parse(trial.arch)
    except (RunError, ValueError) as error:
        raise UserError(str(error)) from None
    return saved


def _announce(settings: Settings, table: Table[Any], folder: RunFolder, done: int) -> None:
    from naslib_diffusion.tables.equality import describe

    click.echo(
        f"{table.name}: {settings.budget} evaluations x {settings.seeds} "
        f"seed{'s' * (settings.seeds > 1)} of {table.distinct:,} distinct architectures"
        + (f", {done} already done" if done else "")
        + f"; results go to {folder.path}"
    )
    if settings.table is not None and table.remarks():
        click.echo(f"{table.objective}: {table.remarks()}")
    reason = describe(table)
    if reason:
        click.echo(f"--distinct {settings.distinct}: {reason}")
    if settings.seeds_agree:
        click.echo(
            "with a prior, without random evaluations and without noise all seeds ask the same"
            + (": one is run" if settings.seeds == 1 else "; --seeds 1 is enough")
        )


def _run(
    settings: Settings,
    table: Table[Any],
    folder: RunFolder,
    saved: dict[int, list[Evaluation]],
    quiet: bool,
) -> Results:
    """Run the search; on Ctrl-C say what is saved."""
    from naslib_diffusion.commands.terminal import Progress
    from naslib_diffusion.runs import PredictionLog, Results, TrialLog, read_predictions, run
    from naslib_diffusion.transfer.priors import load_priors

    start, resumed = time.perf_counter(), sum(map(len, saved.values()))
    with (
        TrialLog(folder.trials) as log,
        PredictionLog(folder.predictions) as predictions,
        Progress(settings, table, resumed, quiet) as progress,
    ):

        def record(evaluation: Evaluation, prediction: Prediction | None) -> None:
            log.append(evaluation)
            predictions.append(evaluation, prediction)
            progress.advance(evaluation)

        try:
            prior = load_priors(settings.priors, table.space, settings.direction)
            trials = run(settings, table, saved, record, prior)
        except KeyboardInterrupt:
            total = settings.budget * settings.seeds
            raise Interrupted(
                f"{progress.done} of {total} evaluations are saved in {folder.trials}; "
                f"go on with: naslib-diffusion search --out {folder.path} --resume"
            ) from None
    seconds = time.perf_counter() - start
    forecasts = read_predictions(folder.predictions)
    return Results(settings, table, trials, seconds=seconds, resumed=resumed, forecasts=forecasts)


def _finish(results: Results, folder: RunFolder) -> None:
    """Write the summary and the report."""
    import json

    from naslib_diffusion.report import render_report
    from naslib_diffusion.runs import write_atomically

    summary = json.dumps(results.summary(), indent=2) + "\n"
    write_atomically(folder.summary, summary.encode())
    write_atomically(folder.report, render_report(results, str(folder.path)).encode())
