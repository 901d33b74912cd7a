"""`optimize_acqf_diffusion`, in the manner of BoTorch's own tests of its optimizers."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from botorch.acquisition import (
    LogExpectedImprovement,
    UpperConfidenceBound,
    qKnowledgeGradient,
    qLogNoisyExpectedImprovement,
)
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.exceptions.errors import InputDataError, UnsupportedError
from botorch.exceptions.warnings import OptimizationWarning
from botorch.models import MixedSingleTaskGP, SingleTaskGP
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.transforms import t_batch_mode_transform
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion

from naslib_diffusion.spaces import (
    Categorical,
    Integer,
    MobileNetV3,
    NASBench201,
    ProductSpace,
    Real,
)

pytestmark = pytest.mark.filterwarnings("ignore:A not p.d., added jitter")

SPACE = ProductSpace.categorical([4] * 5)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


DTYPES = (torch.float, torch.double)
Q = (1, 2, 3)


class Weighted(AcquisitionFunction):
    """Sum over the points of a batch of `w . x`, less what they have in common with each other.

    Its maximum over single points takes the largest weight of each one-hot.
    """

    def __init__(self, width: int, dtype: torch.dtype = torch.double, fail_at: int | None = None):
        super().__init__(model=None)
        generator = torch.Generator().manual_seed(0)
        weights = torch.randn(width, generator=generator, dtype=torch.double)
        self.register_buffer("weights", weights.to(dtype))
        self.X_pending = None
        self.calls, self.fail_at = 0, fail_at

    def set_X_pending(self, X_pending=None):
        self.X_pending = X_pending

    @t_batch_mode_transform()
    def forward(self, X):
        assert X.dtype == self.weights.dtype
        self.calls += 1
        if self.fail_at is not None and self.X_pending is not None and self.calls > self.fail_at:
            raise RuntimeError("out of memory")
        if self.X_pending is not None:
            X = torch.cat([X, self.X_pending.expand(*X.shape[:-2], *self.X_pending.shape)], -2)
        shared = X @ X.mT
        overlap = shared.sum((-1, -2)) - shared.diagonal(dim1=-1, dim2=-2).sum(-1)
        return (X @ self.weights).sum(-1) - 0.01 * overlap


def points(space, n, seed=0):
    return space.encode(space.sample(n, torch.Generator().manual_seed(seed))).flatten(1)


def fitted(space, n=20, outputs=1, kind=SingleTaskGP, **kwargs):
    x = points(space, n)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(x.shape[1], outputs, generator=generator, dtype=torch.double)
    return kind(x, x @ weights, **kwargs), x


def best_of(acq_function, space, avoid=None):
    x = space.encode(list(space)).flatten(1)
    with torch.no_grad():
        values = torch.cat([acq_function(part[:, None]) for part in x.split(256)])
    if avoid is not None:
        values[(x[:, None] == avoid).all(-1).any(-1)] = -torch.inf
    return float(values.max())


def is_one_hot(candidates, counts):
    blocks = candidates.split(counts, -1)
    return all(bool(((b == 0) | (b == 1)).all()) and bool((b.sum(-1) == 1).all()) for b in blocks)


@pytest.mark.parametrize(("q", "dtype"), list(itertools.product(Q, DTYPES)))
def test_known_argmax(q, dtype):
    acq_function = Weighted(20, dtype)
    candidates, value = optimize_acqf_diffusion(acq_function, SPACE, q)
    assert candidates.shape == (q, 20)
    assert candidates.dtype == dtype
    assert value.shape == ()
    assert is_one_hot(candidates, [4] * 5)
    assert len({tuple(row) for row in candidates.tolist()}) == q
    best = acq_function.weights.view(5, 4).amax(-1).sum()
    if q == 1:
        torch.testing.assert_close(value, best)
    torch.testing.assert_close(value, acq_function(candidates[None])[0])


@pytest.mark.parametrize("q", [2, 3])
def test_sequential_values_are_conditional(q):
    acq_function = Weighted(20)
    candidates, values = optimize_acqf_diffusion(acq_function, SPACE, q, sequential=True)
    assert values.shape == (q,)
    torch.testing.assert_close(values[-1], acq_function(candidates[None])[0])
    torch.testing.assert_close(values[0], acq_function(candidates[None, :1])[0])


def test_joint_batches_are_no_worse_than_sequential_ones():
    model, x = fitted(ProductSpace.categorical([3] * 6))
    acq_function = qLogNoisyExpectedImprovement(model, x)
    space = ProductSpace.categorical([3] * 6)
    options = {"seed": 3}
    greedy, _ = optimize_acqf_diffusion(acq_function, space, 3, sequential=True, options=options)
    joint, value = optimize_acqf_diffusion(acq_function, space, 3, options=options)
    with torch.no_grad():
        assert value >= acq_function(greedy[None])[0] - 1e-9
    assert joint.shape == greedy.shape


def test_no_values_wanted():
    for q in (1, 2):
        candidates, value = optimize_acqf_diffusion(
            Weighted(20), SPACE, q, return_acq_values=False
        )
        assert value is None
        assert len(candidates) == q


@pytest.mark.parametrize("q", Q)
def test_avoids_points(q):
    acq_function = Weighted(20)
    avoid = torch.empty(0, 20, dtype=torch.double)
    before = torch.inf
    for _ in range(3):
        candidates, value = optimize_acqf_diffusion(
            acq_function, SPACE, q, X_avoid=avoid, sequential=True
        )
        first = float(value.flatten()[0])
        assert not (candidates[:, None] == avoid).all(-1).any()
        assert first == pytest.approx(best_of(acq_function, SPACE, avoid))
        assert first <= before
        avoid, before = torch.cat([avoid, candidates]), first


def test_avoids_up_to_canonical_form():
    space = NASBench201()
    model, x = fitted(space)
    acq_function = UpperConfidenceBound(model, beta=0.01)
    first, _ = optimize_acqf_diffusion(acq_function, space, X_avoid=x)
    (cell,) = space.decode(first.view(1, 8, 7))
    twins = [c for c in space if space.canonical(c) == space.canonical(cell) and c != cell]
    avoid = space.encode(twins or [cell]).flatten(1)
    second, _ = optimize_acqf_diffusion(acq_function, space, X_avoid=torch.cat([x, avoid]))
    (other,) = space.decode(second.view(1, 8, 7))
    assert space.canonical(other) != space.canonical(cell)


def test_a_function_as_constraint():
    acq_function = Weighted(20)
    best, _ = optimize_acqf_diffusion(acq_function, SPACE)

    def differs(x):
        return (x * best).sum(-1) <= 2

    candidates, value = optimize_acqf_diffusion(acq_function, SPACE, 2, constraint=differs)
    assert bool(differs(candidates).all())
    slack, same = optimize_acqf_diffusion(
        acq_function, SPACE, 2, constraint=lambda x: 2 - (x * best).sum(-1)
    )
    assert bool(differs(slack).all())
    assert float(value) == pytest.approx(float(same))


def test_tight_linear_constraints_are_repaired():
    space = ProductSpace.categorical([4] * 20)
    indices = torch.arange(0, 80, 4)
    ones = torch.ones(20, dtype=torch.double)
    constraint = [(indices, ones, 18.0), (indices, -ones, -18.0)]  # exactly 18 first choices
    candidates, _ = optimize_acqf_diffusion(Weighted(80), space, constraint=constraint)
    assert float(candidates[:, indices].sum()) == 18
    weights = Weighted(80).weights.view(20, 4)
    gains = (weights[:, 1:].amax(1) - weights[:, 0]).topk(2).values.sum()
    best = weights[:, 0].sum() + gains
    assert float((candidates @ Weighted(80).weights)[0]) == pytest.approx(float(best))


@pytest.mark.parametrize("q", [1, 2])
def test_impossible_constraint(q):
    acq_function = Weighted(20)
    with pytest.raises(InputDataError, match="No feasible points remain"):
        optimize_acqf_diffusion(acq_function, SPACE, q, constraint=lambda x: x[:, 0] > 2)
    assert acq_function.X_pending is None


def test_constraint_of_a_wrong_shape():
    with pytest.raises(ValueError, match="constraint must map"):
        optimize_acqf_diffusion(Weighted(20), SPACE, constraint=lambda x: x > 0)


@pytest.mark.parametrize("q", [1, 2])
def test_fixed_features(q):
    acq_function = Weighted(20)
    candidates, value = optimize_acqf_diffusion(
        acq_function, SPACE, q, fixed_features={2: 1.0, 5: 0.0, 6: 0.0}, sequential=True
    )
    assert bool((candidates[:, 2] == 1).all())
    assert bool((candidates[:, 5:7] == 0).all())
    weights = acq_function.weights.view(5, 4).clone()
    weights[0] = weights[0, 2]
    weights[1, 1:3] = -torch.inf
    assert float(value.flatten()[0]) == pytest.approx(float(weights.amax(1).sum()))


@pytest.mark.parametrize(
    "fixed", [{0: 1.0, 1: 1.0}, {0: 0.5}, {99: 1.0}, {"x": 1.0}, {0.5: 1.0}, [1.0]]
)
def test_fixed_features_that_do_not_fit(fixed):
    with pytest.raises(InputDataError, match="fixed_features"):
        optimize_acqf_diffusion(Weighted(20), SPACE, fixed_features=fixed)


def test_fewer_points_than_restarts():
    space = ProductSpace.categorical([2] * 3)
    candidates, value = optimize_acqf_diffusion(Weighted(6), space)
    assert float(value) == pytest.approx(best_of(Weighted(6), space))
    assert candidates.shape == (1, 6)


@pytest.mark.parametrize("left", [1, 2])
def test_fewer_than_q_left(left):
    space = ProductSpace.categorical([2] * 3)
    everything = space.encode(list(space))
    with pytest.warns(OptimizationWarning, match=f"Requested q=4 .* only {left} possible"):
        candidates, _ = optimize_acqf_diffusion(Weighted(6), space, 4, X_avoid=everything[:-left])
    assert sorted(candidates.tolist()) == sorted(everything[-left:].tolist())


@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("counts", [[2] * 3, [5] * 4])
def test_exhausted_space(q, counts):
    space = ProductSpace.categorical(counts)
    everything = space.encode(list(space))
    with pytest.raises(InputDataError, match="No feasible points remain"):
        optimize_acqf_diffusion(Weighted(sum(counts)), space, q, X_avoid=everything)


def test_last_point_of_a_larger_space():
    space = ProductSpace.categorical([5] * 4)
    everything = space.encode(list(space))
    candidates, _ = optimize_acqf_diffusion(Weighted(20), space, X_avoid=everything[1:])
    assert torch.equal(candidates, everything[:1])


@pytest.mark.parametrize("sequential", [True, False])
def test_pending_points_are_restored(sequential):
    acq_function = Weighted(20)
    before = points(SPACE, 2)
    acq_function.set_X_pending(before)
    optimize_acqf_diffusion(acq_function, SPACE, 2, sequential=sequential)
    assert acq_function.X_pending is before


def test_pending_points_are_restored_when_something_raises():
    for before in (None, points(SPACE, 2)):
        acq_function = Weighted(20, fail_at=10)
        acq_function.set_X_pending(before)
        with pytest.raises(RuntimeError, match="out of memory"):
            optimize_acqf_diffusion(acq_function, SPACE, 3)
        assert acq_function.X_pending is before


def test_unsupported():
    model, _ = fitted(SPACE)
    with pytest.raises(UnsupportedError, match="one-shot"):
        optimize_acqf_diffusion(qKnowledgeGradient(model, num_fantasies=2), SPACE)
    with pytest.raises(UnsupportedError, match="one point at a time"):
        optimize_acqf_diffusion(UpperConfidenceBound(model, beta=1.0), SPACE, 2)
    with pytest.raises(UnsupportedError, match=r"unknown option 'restarts'; supported: generate"):
        optimize_acqf_diffusion(Weighted(20), SPACE, options={"restarts": 3})
    with pytest.raises(ValueError, match="q must be a whole number, at least 1"):
        optimize_acqf_diffusion(Weighted(20), SPACE, 0)
    with pytest.raises(ValueError, match="encoding must be"):
        optimize_acqf_diffusion(Weighted(20), SPACE, encoding="ordinal")
    with pytest.raises(InputDataError, match="X_avoid must be n x 20"):
        optimize_acqf_diffusion(Weighted(20), SPACE, X_avoid=torch.zeros(2, 5))
    with pytest.raises(ValueError, match="NaN"):
        optimize_acqf_diffusion(lambda x: x.sum((-1, -2)) * torch.nan, SPACE)


def test_the_seed_decides():
    space = ProductSpace.categorical([9] * 12)
    model, x = fitted(space)
    acq_function = LogExpectedImprovement(model, best_f=0.0)
    options = {"seed": 5, "polish": False}
    first = optimize_acqf_diffusion(acq_function, space, X_avoid=x, options=options)
    torch.rand(3)
    second = optimize_acqf_diffusion(acq_function, space, X_avoid=x, options=options)
    assert torch.equal(first[0], second[0])
    torch.manual_seed(0)
    third = optimize_acqf_diffusion(acq_function, space, X_avoid=x)
    torch.manual_seed(0)
    assert torch.equal(third[0], optimize_acqf_diffusion(acq_function, space, X_avoid=x)[0])


def test_generator_and_polish_each_help():
    space = ProductSpace.categorical([6] * 12)
    model, _ = fitted(space, 60)
    acq_function = UpperConfidenceBound(model, beta=4.0)
    found = {}
    for generate, polish in itertools.product((False, True), repeat=2):
        options = {"generate": generate, "polish": polish, "seed": 0}
        _, found[generate, polish] = optimize_acqf_diffusion(acq_function, space, options=options)
    assert found[True, False] > found[False, False]
    assert found[True, True] >= found[True, False]
    assert found[False, True] > found[False, False]


@pytest.mark.parametrize("encoding", ["one-hot", "index"])
def test_models_without_gradient(encoding):
    space = ProductSpace.categorical([4] * 5)
    x = points(space, 25)
    index = x.view(-1, 5, 4).argmax(-1).double()
    y = index[:, :2].sum(1, keepdim=True) - (index[:, 2:3] - 1).square()
    inputs = index if encoding == "index" else x
    model = MixedSingleTaskGP(inputs, y, cat_dims=list(range(inputs.shape[1])))
    acq_function = UpperConfidenceBound(model, beta=4.0)
    everything = space.encode(list(space))
    if encoding == "index":
        everything = everything.view(-1, 5, 4).argmax(-1).double()
    with torch.no_grad():
        best = acq_function(everything[:, None]).max()
    candidates, value = optimize_acqf_diffusion(acq_function, space, encoding=encoding)
    assert candidates.shape == (1, inputs.shape[1])
    assert float(value) == pytest.approx(float(best))
    alone, value = optimize_acqf_diffusion(
        acq_function, space, encoding=encoding, options={"polish": False, "seed": 0}
    )
    with torch.no_grad():
        assert value > acq_function(everything[:, None]).median()  # guided by values alone
    assert len(alone) == 1


def test_index_encoding_with_arguments():
    space = ProductSpace([Categorical(("a", "b", "c")), Real(0.0, 2.0), Categorical(range(4))])
    acq_function = Weighted(3)
    fixed = {0: 1.0, 1: 0.25}
    avoid = torch.tensor([[1.0, 0.25, 0.0]], dtype=torch.double)
    candidates, _ = optimize_acqf_diffusion(
        acq_function, space, X_avoid=avoid, fixed_features=fixed, encoding="index"
    )
    assert candidates[0, :2].tolist() == [1.0, 0.25]
    assert float(candidates[0, 2]) in {1.0, 2.0, 3.0}
    with pytest.raises(InputDataError, match="index outside"):
        optimize_acqf_diffusion(acq_function, space, X_avoid=avoid + 5, encoding="index")
    with pytest.raises(InputDataError, match=r"column 2 is an index in 0 \.\.\. 3"):
        optimize_acqf_diffusion(acq_function, space, fixed_features={2: 9.0}, encoding="index")
    with pytest.raises(ValueError, match="needs a ProductSpace"):
        optimize_acqf_diffusion(acq_function, NASBench201(), encoding="index")


def test_mixed_space():
    space = ProductSpace([Categorical(("a", "b", "c")), Real(0.0, 1.0), Integer(1, 5)])

    def peak(X):
        return -(X[..., 0, 3] - 0.3).square() + X[..., 0, 1] - (X[..., 0, 4] - 0.7).square()

    candidates, value = optimize_acqf_diffusion(peak, space)
    assert candidates[0, :3].tolist() == [0.0, 1.0, 0.0]
    assert float(candidates[0, 3]) == pytest.approx(0.3, abs=1e-4)
    assert float(candidates[0, 4]) == pytest.approx(0.7)
    assert float(value) == pytest.approx(1.0, abs=1e-7)
    bounded, _ = optimize_acqf_diffusion(
        peak, space, constraint=lambda x: 0.2 - x[:, 3], fixed_features={1: 0.0}
    )
    assert 0.19 <= float(bounded[0, 3]) <= 0.2 + 1e-8
    assert float(bounded[0, 1]) == 0


@pytest.mark.parametrize("space", [NASBench201(), MobileNetV3()])
def test_structural_spaces(space):
    model, x = fitted(space)
    acq_function = qLogNoisyExpectedImprovement(model, x)
    candidates, value = optimize_acqf_diffusion(acq_function, space, 2, X_avoid=x)
    archs = space.decode(candidates.view(-1, *space.shape))
    assert all(map(space.is_valid, archs))
    assert torch.equal(space.encode(archs).flatten(1), candidates)
    assert torch.isfinite(value)


def test_several_objectives():
    space = ProductSpace.categorical([3] * 6)
    model, x = fitted(space, 8, outputs=2)
    acq_function = qLogNoisyExpectedHypervolumeImprovement(
        model,
        torch.tensor([-2.0, -2.0], dtype=torch.double),
        x,
        sampler=SobolQMCNormalSampler(torch.Size([8]), seed=0),
    )
    candidates, value = optimize_acqf_diffusion(acq_function, space, X_avoid=x)
    assert float(value) == pytest.approx(best_of(acq_function, space, x), abs=1e-6)
    assert not (candidates == x).all(-1).any()


def test_constrained_acquisition_function():
    model, x = fitted(SPACE, outputs=2)
    from botorch.acquisition.objective import GenericMCObjective

    acq_function = qLogNoisyExpectedImprovement(
        model,
        x,
        objective=GenericMCObjective(lambda y, X=None: y[..., 0]),
        constraints=[lambda y: y[..., 1]],
    )
    _, value = optimize_acqf_diffusion(acq_function, SPACE)
    assert float(value) == pytest.approx(best_of(acq_function, SPACE), abs=1e-6)


def test_users_rule_of_a_space_holds():
    space = ProductSpace(SPACE.parameters, lambda p: sum(p.values) % 3 == 0)
    candidates, value = optimize_acqf_diffusion(Weighted(20), space, 2, sequential=True)
    assert all(map(space.is_valid, space.decode(candidates)))
    assert float(value[0]) == pytest.approx(best_of(Weighted(20), space))


def test_no_warnings():
    model, x = fitted(SPACE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="A not p.d.")  # GPyTorch's
        optimize_acqf_diffusion(qLogNoisyExpectedImprovement(model, x), SPACE, X_avoid=x)
