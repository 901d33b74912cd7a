"""What a search knows of finished evaluations, and what it thought of one before."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import pandas

A = TypeVar("A", bound=Hashable)


@dataclass(frozen=True)
class Trial(Generic[A]):
    """One finished evaluation; a failed one has the value NaN."""

    arch: A
    value: float
    constraints: tuple[float, ...] = ()
    """Feasible if none is positive."""

    def __str__(self) -> str:
        return f"{self.arch}: {self.value:.6g}"

    @property
    def feasible(self) -> bool:
        """Whether no constraint is known to be violated."""
        return not any(constraint > 0 for constraint in self.constraints)

    @property
    def told(self) -> float | tuple[float, ...]:
        """What `tell` was given for it."""
        return self.value


@dataclass(frozen=True)
class ParetoTrial(Trial[A]):
    """One finished evaluation of several objectives.

    Its `value` is minus the number of evaluations that dominate it, NaN if the evaluation failed.
    """

    objectives: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.arch}: {', '.join(f'{value:.6g}' for value in self.objectives)}"

    @property
    def told(self) -> tuple[float, ...]:
        """What `tell` was given for it."""
        return self.objectives


@dataclass(frozen=True)
class Prediction:
    """What a search expected of an architecture when it last asked, in the unit of the objective.

    Attributes:
        acquisition: the value of the acquisition function.
        mean: what is expected to be observed.
        deviation: by how much an observation may differ from it, noise included.
    """

    acquisition: float
    mean: float
    deviation: float


def dataframe(trials: Sequence[Trial[Any]]) -> pandas.DataFrame:
    """Return a row for each trial, in order: arch, value, objectives, constraints, feasible.

    Architectures are strings; several objectives or constraints are numbered from 0.

    Raises:
        ImportError: if pandas is not installed; says how to install it.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("trials_dataframe needs pandas: pip install pandas") from None
    rows = [
        {
            "arch": str(trial.arch),
            "value": trial.value,
            **{f"objective_{i}": v for i, v in enumerate(getattr(trial, "objectives", ()))},
            **{f"constraint_{i}": v for i, v in enumerate(trial.constraints)},
            "feasible": trial.feasible,
        }
        for trial in trials
    ]
    return pandas.DataFrame(rows, columns=None if rows else ["arch", "value", "feasible"])
