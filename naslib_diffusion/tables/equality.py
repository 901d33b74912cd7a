"""What counts as one architecture in a table: whether isomorphic rows agree on the objective."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from naslib_diffusion.spaces.base import A
from naslib_diffusion.spaces.equality import Equality, Exact, structure, under, whole
from naslib_diffusion.tables.table import Table

TOLERANCE = 0.02
"""Share of the variance up to which rows of one class count as agreeing. Trainings that differ by
chance stay below 0.006 in NAS-Bench-201, costs are above 0.15."""


def with_equality(table: Table[A], distinct: Equality | None = None) -> Table[A]:
    """Return the table under an equality: `Table.space` then has it.

    Args:
        table: under any equality.
        distinct: which equality to use. By default it is decided by whether the rows of a class
            agree.
    """
    if distinct is None:
        distinct = "exact" if disagreement(table) > TOLERANCE else "isomorphic"
    space = under(whole(table.space), distinct)
    if space is whole(table.space):
        return table
    return Table(
        table.name,
        space,
        table.archs,
        [table.outcome(arch) for arch in table.archs],
        objective=table.objective,
        direction=table.direction,
        repeats=table.repeats,
    )


def equality(table: Table[Any]) -> Equality:
    """Return what counts as one architecture in a table."""
    return "exact" if isinstance(whole(table.space), Exact) else "isomorphic"


def describe(table: Table[Any]) -> str:
    """Say in a few words what counts as one architecture and why; empty if nothing is merged."""
    share = f"{100 * disagreement(table):.2g} % of the variance of {table.objective}"
    if equality(table) == "exact":
        return f"isomorphic architectures count as different: {share} is between them"
    if len(table) > table.distinct:
        return f"isomorphic architectures count as one: only {share} is between them"
    return ""


def disagreement(table: Table[Any]) -> float:
    """Return which share of the objective's variance lies between rows of one class.

    It is an analysis of variance: the mean square within classes, less what repeated measurements
    say is noise, over the variance of all rows. 0 if no class has two rows.
    """
    canonical = structure(table.space).canonical
    classes: dict[Hashable, list[int]] = {}
    for row, arch in enumerate(table.archs):
        classes.setdefault(canonical(arch), []).append(row)
    freedom = len(table) - len(classes)
    total = float(table.values.var(ddof=1)) if len(table) > 1 else 0.0
    if freedom == 0 or total == 0:
        return 0.0
    groups = [table.values[rows] for rows in classes.values() if len(rows) > 1]
    within = sum(float(np.square(group - group.mean()).sum()) for group in groups) / freedom
    return max(within - _noise(table), 0.0) / total


def _noise(table: Table[Any]) -> float:
    """Return the variance of the rows' values that repeated measurements show; 0 without any."""
    measured = [np.asarray(own, dtype=float) for own in table.repeats or () if len(own) > 1]
    if not measured:
        return 0.0
    return float(np.mean([own.var(ddof=1) / len(own) for own in measured]))
