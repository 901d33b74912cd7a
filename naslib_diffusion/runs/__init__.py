"""Runs of a search on a table: their settings, their record on disk, and what came out."""

from naslib_diffusion.runs.folder import RunError, RunFolder
from naslib_diffusion.runs.predictions import Forecast, PredictionLog, read_predictions
from naslib_diffusion.runs.results import Results, SeedResult
from naslib_diffusion.runs.runner import evaluate, run
from naslib_diffusion.runs.settings import Settings
from naslib_diffusion.runs.trials import Evaluation, TrialLog, read_trials
from naslib_diffusion.runtime.files import write_atomically

__all__ = [
    "Evaluation",
    "Forecast",
    "PredictionLog",
    "Results",
    "RunError",
    "RunFolder",
    "SeedResult",
    "Settings",
    "TrialLog",
    "evaluate",
    "read_predictions",
    "read_trials",
    "run",
    "write_atomically",
]
