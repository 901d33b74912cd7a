"""One call of `optimize_acqf_diffusion` in the terms of the engine."""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.exceptions.errors import InputDataError, UnsupportedError
from naslib_diffusion.plugins.botorch.checks import check_model, check_points
from naslib_diffusion.plugins.botorch.coding import Coding, coding_of
from naslib_diffusion.plugins.botorch.constraints import Constraint, Rule, slack_of
from naslib_diffusion.plugins.botorch.joint import varying
from naslib_diffusion.plugins.botorch.models import reference, training_inputs
from naslib_diffusion.plugins.botorch.options import MIN_BATCH, effort
from naslib_diffusion.plugins.botorch.pending import copied, pending, refusal
from torch import Tensor

from naslib_diffusion.diffusion.guidance import Guide
from naslib_diffusion.optimize import Effort, Maximizer
from naslib_diffusion.spaces import Space, UniformBlock
from naslib_diffusion.spaces.batches import Batch, Batches
from naslib_diffusion.spaces.equality import structure
from naslib_diffusion.spaces.fixed import Fixed

Found = tuple[list[Any], Tensor]
"""Architectures, and the value of all, or of each."""

NOTHING_LEFT = (
    "No feasible points remain after removing `X_avoid` and filtering out infeasible points."
)
NOT_FOUND = (
    "No point was found that meets the constraint. Over continuous columns, it is searched for "
    "along the gradient: give linear constraints as tuples (an equality as two of opposite signs) "
    "and others as functions that PyTorch can differentiate, negative where broken, not booleans."
)


@dataclass(frozen=True)
class Task:
    """A call in the engine's terms.

    Attributes:
        acq_function: what to maximise.
        space: where, columns fixed.
        coding: between encodings and the model's columns.
        known: canonical keys of what must not be returned.
        rule: how far candidates, `n x d`, are from breaking constraints, `n x M`; None without.
        fixed: value by column of the model.
        effort: how hard to try.
        seed: of all random decisions.
        like: has the dtype and device of the model.
    """

    acq_function: AcquisitionFunction
    space: Space[Any]
    coding: Coding
    known: frozenset[Hashable]
    rule: Rule | None
    fixed: Mapping[int, float]
    effort: Effort
    seed: int
    like: Tensor

    @staticmethod
    def of(
        acq_function: AcquisitionFunction,
        space: Space[Any],
        X_avoid: Tensor | None,
        constraint: Constraint | None,
        fixed_features: Mapping[int, float] | None,
        options: Mapping[str, Any] | None,
        encoding: str,
    ) -> Task:
        """Check the arguments of a call, and translate them; see `optimize_acqf_diffusion`."""
        coding = coding_of(space, encoding)
        like = reference(acq_function, X_avoid)
        fixed = _fixed(fixed_features or {})
        try:
            searched = Fixed(space, coding.columns(fixed)) if fixed else space
        except ValueError as error:
            raise InputDataError(f"fixed_features {fixed}: {error}") from None
        chosen_effort = effort(searched, acq_function, options)
        known = frozenset(_keys(space, coding, X_avoid))
        check_model(space, coding, training_inputs(acq_function))
        seed = (options or {}).get("seed")
        return Task(
            acq_function=acq_function,
            space=searched,
            coding=coding,
            known=known,
            rule=slack_of(constraint, coding.width, like.dtype),
            fixed=fixed,
            effort=chosen_effort,
            seed=int(torch.randint(2**31, ())) if seed is None else int(seed),
            like=like,
        )

    def batch(self, q: int, sequential: bool) -> Found:
        """Return up to `q` architectures: greedy, then improved jointly where that is possible.

        Functions of one point at a time stay greedy, with one value for each; functions of `q`
        points that know no pending ones are maximised jointly at once.

        Raises:
            UnsupportedError: if neither is possible.
        """
        points = self.candidates(self.space.decode(torch.zeros(q, *self.space.shape)))
        jointly = refusal(self.acq_function, points)
        if hasattr(self.acq_function, "X_pending") and not refusal(self.acq_function, points[:1]):
            chosen, values = self._greedy(q)
            return (chosen, values) if sequential or jointly else self._joint(q, chosen)
        name = type(self.acq_function).__name__
        if jointly:
            raise UnsupportedError(
                f"{name} takes one point at a time and knows no pending ones, or does not take "
                f"{q}: use another q, or a Monte Carlo acquisition function ({jointly})"
            )
        if sequential:
            raise UnsupportedError(
                f"{name} takes all points of a batch at once and knows no pending ones: leave out "
                "sequential=True"
            )
        return self._joint(q, [])

    def single(self, chosen: list[Any] | None = None) -> Found:
        """Return the best point that is not among the chosen, in a list, and its value.

        Raises:
            InputDataError: if there is none, and nothing is chosen yet.
        """
        taken = {*self.known, *map(self.space.canonical, chosen or ())}
        seed = self.seed + len(taken) - len(self.known)
        maximizer = Maximizer(self.space, self.effort, device=self.like.device, seed=seed)
        best = maximizer(self._guide, known=taken, slack=self._slack)
        if not best.archs and not chosen:
            raise InputDataError(self._nothing)
        found = best.archs[:1]
        return found, self._value(found) if found else self.like.new_empty(0)

    def candidates(self, archs: list[Any]) -> Tensor:
        """Return the model's inputs of architectures, `n x d`."""
        inputs: Tensor = self.coding.inputs(self.space.encode(archs).flatten(1))
        for column, value in self.fixed.items():  # as it was given, up to rounding
            same = (inputs[:, column] - value).abs() <= 1e-6
            inputs[:, column] = torch.where(same, value, inputs[:, column])
        return inputs.to(self.like)

    def _greedy(self, q: int) -> Found:
        """Choose one point after the other, each with those before it pending."""
        task = replace(self, acq_function=copied(self.acq_function))
        before = pending(task.acq_function)
        chosen: list[Any] = []
        values: list[Tensor] = []
        for _ in range(q):
            found, value = task.single(chosen)
            if not found:
                break
            chosen += found
            values.append(value)
            points = self.candidates(chosen)
            task.acq_function.set_X_pending(
                points if before is None else torch.cat([before, points], dim=-2)
            )
        return chosen, torch.stack(values)

    def _joint(self, q: int, chosen: list[Any]) -> Found:
        """Maximise over whole batches, from a chosen one, if any, and from generated ones."""
        count = len(chosen) or q
        batches = Batches(self.space, count, self.known)
        smaller = replace(self.effort, chunk=max(self.effort.chunk // count, MIN_BATCH))
        joint = Maximizer(batches, smaller, device=self.like.device, seed=self.seed)
        starts = [Batch(tuple(chosen))] if chosen else []
        best = joint(self._guide, slack=self._slack, starts=starts)
        if not best.archs:
            raise InputDataError(self._nothing)
        members = list(best.archs[0].members)
        return members, self._value(members)

    @torch.no_grad()
    def _value(self, archs: list[Any]) -> Tensor:
        """Return the value of one batch by itself: rounding in others' company is another."""
        value: Tensor = self.acq_function(self.candidates(archs)[None])
        return value.squeeze().to(self.like)

    def _guide(self, x: Tensor) -> Tensor:
        """Evaluate the acquisition function on encodings, `B x *shape` or `B x q x *shape`."""
        flat = x.reshape(len(x), -1, self._width)
        with varying(flat.shape[1]):
            values: Tensor = self.acq_function(self.coding.inputs(flat).to(self.like.dtype))
        return values

    @property
    def _slack(self) -> Guide | None:
        """How far flat encodings, `R x D` or `R x qD`, are from breaking the constraints."""
        rule = self.rule
        if rule is None:
            return None
        return lambda x: rule(self.coding.inputs(x.reshape(-1, self._width))).view(len(x), -1)

    @property
    def _nothing(self) -> str:
        blocks = self.space.blocks or ()
        continuous = any(isinstance(block, UniformBlock) for block in blocks)
        return NOT_FOUND if continuous and self.rule is not None else NOTHING_LEFT

    @property
    def _width(self) -> int:
        return math.prod(self.space.shape)


def _fixed(features: Mapping[int, float]) -> dict[int, float]:
    """Return value by column; raises InputDataError for what is neither."""
    try:
        return {operator.index(column): float(value) for column, value in features.items()}
    except (AttributeError, TypeError, ValueError):
        raise InputDataError(
            f"fixed_features must map numbers of columns to numbers, not {features!r}"
        ) from None


def _keys(space: Space[Any], coding: Coding, points: Tensor | None) -> set[Hashable]:
    """Return the canonical keys of points, `n x d`."""
    if points is None or not len(points):
        return set()
    check_points(space, coding, points, "X_avoid")
    x = coding.encodings(points.detach().double().cpu())
    archs = structure(space).decode(x.view(-1, *space.shape))  # not members that are near
    return set(map(space.canonical, archs))
