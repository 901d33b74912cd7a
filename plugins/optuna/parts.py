"""Which parameters of a study are searched jointly, and how they spell architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from naslib_diffusion.plugins.optuna.codecs import VariableCodec, codec_of
from naslib_diffusion.plugins.optuna.inference import Common, complete, constants, groups, joint
from naslib_diffusion.plugins.optuna.spaces import Codec, ProductCodec, Rule
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

Distributions = dict[str, BaseDistribution]


class Parts:
    """The joint search space, in groups of parameters that occur together.

    Args:
        space: that the user told, if any: an architecture space, or distributions by name.
        is_valid: bans combinations.
        group: whether to split conditional search spaces into groups.
        earlier: trials of other studies, which tell what to plan before the first one of this.

    Attributes:
        told: how trials spell the space that the user told.
    """

    def __init__(
        self, space: Any, is_valid: Rule | None, group: bool, earlier: Sequence[FrozenTrial]
    ) -> None:
        self.told: Codec[Any] | None = None if space is None else codec_of(space, is_valid)
        self._fixed = isinstance(space, Mapping)
        self._is_valid, self._group = is_valid, group
        found = groups(trial.distributions for trial in complete(earlier))
        self._expected = [joint(part, {}) for part in found]
        self._common = Common()

    def __call__(self, study: Study) -> list[Distributions]:
        """Return the groups."""
        parts = []
        names: Distributions = {}
        if self.told is not None:
            names = self.told.distributions
            parts.append(self._adopted(study, self.told))
        if not self._fixed:
            parts += [joint(part, names) for part in self._inferred(study)]
        return [part for part in parts if part]

    def planned(self, study: Study, name: str) -> Distributions:
        """Return the parameters that are planned together with one that is not searched yet.

        The space that the user told has it, or, before the first trial, earlier studies have.
        These may have other ranges and choices than the study will, so that a plan is no promise.
        Empty if nobody knows the parameter.
        """
        if self.told is not None and name in self.told.distributions:
            told: Distributions = self.told.distributions
            return told
        part: Distributions = next((own for own in self._expected if name in own), {})
        if not part or self._fixed or complete(study.get_trials(deepcopy=False)):
            return {}
        return part

    def codec(
        self,
        study: Study,
        share: Distributions,
        others: Mapping[str, Any],
        fixed: Mapping[str, Any] | None = None,
    ) -> Codec[Any]:
        """Return how trials spell the architectures of one group.

        Args:
            study: which it is.
            share: the group.
            others: values of other groups, for the user's rule to see.
            fixed: values of this group that are given.
        """
        if isinstance(self.told, VariableCodec) and share.keys() <= self.told.distributions.keys():
            return self.told.given(fixed or {})
        if not fixed and self.told is not None and share.keys() == self.told.distributions.keys():
            return self.told
        seen = {} if self._is_valid is None else constants(self._inferred(study))
        return ProductCodec(share, self._is_valid, {**seen, **others}, fixed=fixed)

    def _inferred(self, study: Study) -> list[Distributions]:
        """Return what finished trials have in common, or the groups that occur together."""
        if not self._group:
            return [self._common(study)]
        done = complete(study.get_trials(deepcopy=False))
        parts: list[Distributions] = groups(t.distributions for t in done)
        return parts

    def _adopted(self, study: Study, codec: Codec[Any]) -> Distributions:
        """Return the distributions by which this study spells architectures; empty if unknown.

        Optuna demands equal choices in equal order, and trials may have an order of their own. A
        parameter that no trial had yet is planned with the others when it is suggested.
        """
        if self._fixed:
            return {n: d for n, d in codec.distributions.items() if not d.single()}
        latest: Distributions = {}
        for trial in study.get_trials(deepcopy=False):
            latest.update(trial.distributions)
        return {name: latest[name] for name in codec.distributions if name in latest}
