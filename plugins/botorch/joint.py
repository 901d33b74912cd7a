"""Posteriors of many small batches of points, read from that of all their points together.

To a model, `B` batches of `q` points are `B` problems, each with training data of its own. These
data are copies, and going through them takes GPyTorch nearly all of the time. But each batch is a
part of all the points, whose joint posterior goes through the data once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from botorch.models.gpytorch import GPyTorchModel
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.posteriors.posterior import Posterior
from gpytorch.distributions import MultivariateNormal
from gpytorch.models import ExactGP
from linear_operator import to_linear_operator
from torch import Tensor, nn

POINTS, CARD_POINTS = 256, 2048
"""Points whose joint posterior is computed at once, on the CPU and on a card: its covariance has
so many rows and columns, of which small blocks are used."""


@contextmanager
def jointly(acq_function: object) -> Iterator[None]:
    """Let the exact Gaussian processes of an acquisition function go through their data once.

    Inside the context they are of a class of their own, whose answers are the same. Other models
    answer as ever.
    """
    modules = acq_function.modules() if isinstance(acq_function, nn.Module) else ()
    models: list[Any] = [m for m in modules if is_exact(m) and not isinstance(m, _Joint)]
    kinds = list(map(type, models))
    for model in models:
        model.__class__ = _joint(type(model))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for model, kind in zip(models, kinds, strict=True):
            model.__class__ = kind


def is_exact(model: nn.Module) -> bool:
    """Whether a model is a Gaussian process of one output on one set of training data."""
    if not isinstance(model, ExactGP) or not isinstance(model, GPyTorchModel):
        return False
    return bool(model.train_inputs) and model.num_outputs == 1 and not model.batch_shape


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

    What all batches have in the same place, such as pending points, is there once, unless a
    gradient is wanted, which is that of each batch. None if it is no normal law of the points.
    """
    if x.requires_grad:
        same = torch.zeros(x.shape[1], dtype=torch.bool, device=x.device)
    else:
        same = (x == x[:1]).all(-1).all(0)
    back = same.long().argsort(stable=True).argsort()
    shared, own = x[0, same], x[:, ~same]
    most = CARD_POINTS if x.is_cuda else POINTS
    means, covariances = [], []
    for part in torch.split(own, max(most // max(own.shape[1], 1), 1)):
        points = torch.cat([part.flatten(0, 1), shared])
        law: Any = getattr(posterior(points), "distribution", None)
        if type(law) is not MultivariateNormal or law.event_shape != points.shape[:1]:
            return None
        place = torch.arange(len(points), device=x.device)
        first = place[: part.shape[0] * part.shape[1]].view(part.shape[:2])
        index = torch.cat([first, place[first.numel() :].expand(len(part), -1)], 1)[:, back]
        means.append(law.mean[index])
        covariances.append(law.covariance_matrix[index[:, :, None], index[:, None, :]])
    covariance = to_linear_operator(torch.cat(covariances))
    return GPyTorchPosterior(MultivariateNormal(torch.cat(means), covariance))
