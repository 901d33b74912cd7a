"""Posteriors of many small batches of points, read from that of all their points together.

To a model, `B` batches of `q` points are `B` problems, each with training data of its own. These
data are copies, and going through them takes GPyTorch nearly all of the time. But each batch is a
part of all the points, whose joint posterior goes through the data once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from botorch.models.gpytorch import GPyTorchModel
from botorch.models.multitask import MultiTaskGP
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.posteriors.posterior import Posterior
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from gpytorch.models import ExactGP
from linear_operator import to_linear_operator
from linear_operator.operators import BlockDiagLinearOperator
from naslib_diffusion.plugins.botorch.models import training_inputs
from torch import Tensor, nn

Law = tuple[Tensor, Tensor]
"""Mean and covariance of one output at some points."""

POINTS, CARD_POINTS = 256, 2048
"""Points whose joint posterior is computed at once, on the CPU and on a card: its covariance has
so many rows and columns, of which small blocks are used."""
LARGEST = 32
"""Points of a batch, those that all have in common left out, up to which blocks are small."""

_free: ContextVar[int] = ContextVar("points of a batch that are not fixed", default=0)


@contextmanager
def varying(points: int) -> Iterator[None]:
    """Say how many points of each batch are varied; all batches have the others in common."""
    token = _free.set(points)
    try:
        yield
    finally:
        _free.reset(token)


@contextmanager
def jointly(acq_function: object) -> Iterator[None]:
    """Let the exact Gaussian processes of an acquisition function go through their data once.

    Inside the context they are of a class of their own, whose answers are the same. Other models
    answer as ever.
    """
    modules = acq_function.modules() if isinstance(acq_function, nn.Module) else ()
    found = (module for module in modules if not isinstance(module, _Joint))
    models: list[Any] = [module for module in found if is_exact(module) and _answers(module)]
    kinds = list(map(type, models))
    for model in models:
        model.__class__ = _joint(type(model))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for model, kind in zip(models, kinds, strict=True):
            model.__class__ = kind


def is_exact(model: nn.Module) -> bool:
    """Whether a model is a Gaussian process on one set of training data, of the same columns."""
    if not isinstance(model, ExactGP) or not isinstance(model, GPyTorchModel):
        return False
    if isinstance(model, MultiTaskGP):  # it adds a column
        return False
    return bool(model.train_inputs) and not model.batch_shape


@torch.no_grad()
def _answers(model: Any) -> bool:
    """Whether a model gives normal laws of just the points that it is asked about."""
    try:
        points = training_inputs(model)[0].flatten(0, -2)[:2]
        return _laws(model.posterior(points), len(points)) is not None
    except Exception:  # what is wrong, it says itself when it is asked
        return False


def is_joint(acq_function: object) -> bool:
    """Whether all models of an acquisition function that are exact processes are such ones now."""
    modules = acq_function.modules() if isinstance(acq_function, nn.Module) else ()
    models = [module for module in modules if isinstance(module, ExactGP)]
    return bool(models) and all(isinstance(model, _Joint) for model in models)


@functools.cache
def _joint(kind: type) -> type:
    return type(kind.__name__, (_Joint, kind), {"__module__": kind.__module__})


class _Joint:
    """What comes before the class of a model in those of `jointly`."""

    def posterior(self, X: Tensor, *args: Any, **kwargs: Any) -> Posterior:
        """Return what the model itself would, for batches of points, `B x q x d`."""
        model: Any = super()
        here: Any = self
        noise, transform = kwargs.get("observation_noise"), kwargs.get("posterior_transform")
        if X.ndim == 3 and len(X) > 1 and is_exact(here) and not (args or torch.is_tensor(noise)):
            plain = {**kwargs, "posterior_transform": None}
            found = _of_batches(lambda points: model.posterior(points, **plain), X)
            if found is not None and transform is not None:
                found = transform(posterior=found, X=here.transform_inputs(X))
            if found is not None:
                return found
        answer: Posterior = model.posterior(X, *args, **kwargs)
        return answer


def _of_batches(posterior: Callable[[Tensor], Posterior], x: Tensor) -> Posterior | None:
    """Return the posterior of batches, `B x q x d`, given that of points, `m x d`.

    What all batches have in the same place, such as pending points, is there once. Where a
    gradient is wanted, `varying` has to confirm that these points are fixed, since what is varied
    has a gradient in each batch. None if it is no normal law of the points.
    """
    same = (x == x[:1]).all(-1).all(0)
    if x.requires_grad and int(same.sum()) != x.shape[1] - _free.get():
        same = torch.zeros_like(same)
    back = same.long().argsort(stable=True).argsort()
    shared, own = x[0, same], x[:, ~same]
    if own.shape[1] > LARGEST:
        return None
    most = CARD_POINTS if x.is_cuda else POINTS
    parts: list[list[Law]] = []
    for part in torch.split(own, max(most // max(own.shape[1], 1), 1)):
        points = torch.cat([part.flatten(0, 1), shared])
        laws = _laws(posterior(points), len(points))
        if laws is None:
            return None
        place = torch.arange(len(points), device=x.device)
        first = place[: part.shape[0] * part.shape[1]].view(part.shape[:2])
        index = torch.cat([first, place[first.numel() :].expand(len(part), -1)], 1)[:, back]
        rows, columns = index[:, :, None], index[:, None, :]
        parts.append([(mean[index], covariance[rows, columns]) for mean, covariance in laws])
    outputs = []
    for output in zip(*parts, strict=True):
        mean, covariance = (torch.cat(own) for own in zip(*output, strict=True))
        outputs.append(MultivariateNormal(mean, to_linear_operator(covariance)))
    one = len(outputs) == 1
    return GPyTorchPosterior(
        outputs[0] if one else MultitaskMultivariateNormal.from_independent_mvns(outputs)
    )


def _laws(posterior: Posterior, count: int) -> list[Law] | None:
    """Return the laws of so many points, one for each output; None if they are not normal ones
    that are independent of each other.
    """
    law: Any = getattr(posterior, "distribution", None)
    if type(law) is MultivariateNormal:
        laws = [(law.mean, law.covariance_matrix)]
    elif type(law) is MultitaskMultivariateNormal and isinstance(
        law.lazy_covariance_matrix, BlockDiagLinearOperator
    ):
        covariances = law.lazy_covariance_matrix.base_linear_op.to_dense()
        laws = list(zip(law.mean.unbind(-1), covariances, strict=True))
    else:
        return None
    return laws if laws[0][0].shape == (count,) else None
