"""Conformance suite for surrogates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from naslib_diffusion.spaces.base import Space
from naslib_diffusion.surrogates.base import Surrogate

SurrogateFactory = Callable[[], Surrogate]


class SurrogateTestCase:
    """Checks that a surrogate keeps the promises of the `Surrogate` protocol.

    Subclass it in a test module, with a name that pytest collects:

        class TestMySurrogate(SurrogateTestCase):
            @pytest.fixture
            def space(self):
                return NASBench201()

            @pytest.fixture
            def surrogate(self, space):  # makes a new one at each call
                return lambda: MySurrogate(space)
    """

    correlation: ClassVar[float] = 0.5
    """Least rank correlation with a smooth function on unseen architectures, after 60 seen."""

    @pytest.fixture
    def space(self) -> Space[Any]:
        """Return the space of the encodings; it needs at least 100 architectures."""
        raise NotImplementedError("define a fixture `space` in the subclass of SurrogateTestCase")

    @pytest.fixture
    def surrogate(self, space: Space[Any]) -> SurrogateFactory:
        """Return a function that makes a new surrogate, not fitted yet."""
        raise NotImplementedError(
            "define a fixture `surrogate` in the subclass of SurrogateTestCase"
        )

    def test_posterior(self, space: Space[Any], surrogate: SurrogateFactory) -> None:
        """`fit` returns the surrogate; mean and deviation have the shape and type of scores."""
        x = _encodings(space, 40)
        unfitted = surrogate()
        model = unfitted.fit(x[:20], smooth(space, x)[:20])
        assert model is unfitted
        for rows in (x, x[:1], _relaxed(x)):
            mean, deviation = model.posterior(rows)
            for values in (mean, deviation):
                assert values.shape == (len(rows),)
                assert values.dtype == torch.double
                assert bool(values.isfinite().all())
            assert bool((deviation > 0).all())

    def test_rows_do_not_depend_on_each_other(
        self, space: Space[Any], surrogate: SurrogateFactory
    ) -> None:
        """The posterior of a batch is that of its rows one by one."""
        x = _encodings(space, 30)
        model = surrogate().fit(x[:20], smooth(space, x)[:20])
        rows = [model.posterior(row[None]) for row in x]
        for i, batch in enumerate(model.posterior(x)):
            torch.testing.assert_close(batch, torch.cat([row[i] for row in rows]))

    def test_learns_a_smooth_function(
        self, space: Space[Any], surrogate: SurrogateFactory
    ) -> None:
        """Ranks unseen architectures much better than chance, and is close at those seen."""
        x = _encodings(space, 400)
        y = smooth(space, x)
        model = surrogate().fit(x[:60], y[:60])
        mean, _ = model.posterior(x)
        ranks = torch.stack([v[60:].argsort().argsort().double() for v in (mean, y)])
        assert torch.corrcoef(ranks)[0, 1] >= self.correlation
        assert (mean - y)[:60].abs().mean() < 0.25 * (y[:60] - y[:60].mean()).abs().mean()

    def test_depends_on_the_data_only(
        self, space: Space[Any], surrogate: SurrogateFactory
    ) -> None:
        """Equal data give equal posteriors, whatever was fitted before or is random elsewhere."""
        x = _encodings(space, 30)
        y = smooth(space, x)
        state = torch.random.get_rng_state()
        first = surrogate().fit(x[:20], y[:20]).posterior(x)
        assert torch.equal(state, torch.random.get_rng_state())
        torch.rand(3)
        again = surrogate().fit(x[5:], -y[5:]).fit(x[:20], y[:20]).posterior(x)
        for a, b in zip(first, again, strict=True):
            assert torch.equal(a, b)

    def test_gradient(self, space: Space[Any], surrogate: SurrogateFactory) -> None:
        """Gradients at relaxed architectures agree with central differences."""
        seen = _encodings(space, 20)
        model = surrogate().fit(seen, smooth(space, seen))
        x = _relaxed(seen).requires_grad_()
        direction = torch.randn(
            x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double
        )
        step = 1e-6
        for i in range(2):
            (gradient,) = torch.autograd.grad(model.posterior(x)[i].sum(), x)
            with torch.no_grad():
                ahead, behind = (model.posterior(x + s * step * direction)[i] for s in (1, -1))
            torch.testing.assert_close(
                (gradient * direction).flatten(1).sum(1),
                (ahead - behind) / (2 * step),
                rtol=1e-3,
                atol=1e-5,
            )

    def test_repeats_are_noise(self, space: Space[Any], surrogate: SurrogateFactory) -> None:
        """Of several targets of one encoding the mean lies between, also where most repeat."""
        x = _encodings(space, 2)
        targets = torch.tensor([[0.4, 0.9, 1.0, 1.1, 1.6], [-1.6, -1.1, -1.0, -0.9, -0.4]])
        repeats = targets.shape[1]
        mean, deviation = (
            surrogate()
            .fit(x.repeat_interleave(repeats, 0), targets.double().flatten())
            .posterior(x)
        )
        assert bool((targets.amin(1) < mean).all())
        assert bool((mean < targets.amax(1)).all())
        assert bool(deviation.isfinite().all())

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_few_observations(
        self, space: Space[Any], surrogate: SurrogateFactory, n: int
    ) -> None:
        """One, two or three observations give a posterior; its order is theirs."""
        x = _encodings(space, 30)
        y = torch.tensor([0.0]) if n == 1 else torch.linspace(-1, 1, n)
        model = surrogate().fit(x[:n], y.double())
        mean, deviation = model.posterior(x)
        assert bool(mean.isfinite().all())
        assert bool((deviation > 0).all())
        assert bool((mean[:n].diff() > 0).all())
        assert bool(torch.isfinite(torch.stack(model.fantasize(x[-2:]).posterior(x))).all())

    def test_equal_targets(self, space: Space[Any], surrogate: SurrogateFactory) -> None:
        """Targets that are all equal give a flat mean and a usable deviation."""
        x = _encodings(space, 30)
        mean, deviation = surrogate().fit(x[:10], torch.zeros(10).double()).posterior(x)
        assert mean[:10].abs().max() < 0.1
        assert bool(deviation.isfinite().all())
        assert bool((deviation > 0).all())

    def test_fantasize(self, space: Space[Any], surrogate: SurrogateFactory) -> None:
        """Fantasies do not raise the deviation where they are, keep the mean, and are a copy."""
        x = _encodings(space, 30)
        model = surrogate().fit(x[:20], smooth(space, x)[:20])
        mean, deviation = model.posterior(x)
        for fantasized in (model.fantasize(x[20:]), model.fantasize(x[20:]).fantasize(x[20:])):
            new_mean, new_deviation = fantasized.posterior(x)
            torch.testing.assert_close(new_mean, mean, rtol=0, atol=1e-3)
            assert bool((new_deviation <= deviation + 1e-6).all())
        for before, after in zip((mean, deviation), model.posterior(x), strict=True):
            assert torch.equal(before, after)


def smooth(space: Space[Any], x: Tensor) -> Tensor:
    """A smooth function of the features with a mean of about 0: `B x *shape` to `B`."""
    reference = space.features(_encodings(space, 256, seed=99))
    total = torch.zeros(len(x), dtype=torch.double)
    generator = torch.Generator().manual_seed(7)
    for group, seen in zip(space.features(x), reference, strict=True):
        weights = torch.randn(group.shape[1], generator=generator, dtype=torch.double)
        level = (seen @ weights).mean()
        spread = (seen @ weights).std().clamp(min=1e-6)
        total = total + torch.tanh((group @ weights - level) / (2 * spread))
    return 2 * total / len(reference)


def _encodings(space: Space[Any], n: int, seed: int = 0) -> Tensor:
    """Encode up to `n` architectures of different form, `n x *shape`; the same at each call."""
    archs = space.sample(3 * n, torch.Generator().manual_seed(seed))
    distinct = {space.canonical(arch): arch for arch in archs}
    return space.encode(list(distinct.values())[:n])


def _relaxed(x: Tensor) -> Tensor:
    """Mix neighbouring rows, so that no coordinate is that of an architecture."""
    return 0.5 * x + 0.3 * x.roll(1, 0) + 0.2 * x.roll(2, 0)
