"""Batches that are read from a joint posterior are those of the model itself."""

import pytest
import torch
from botorch.acquisition import qNoisyExpectedImprovement
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.acquisition.logei import qLogExpectedImprovement, qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective.logei import (
    qLogExpectedHypervolumeImprovement,
    qLogNoisyExpectedHypervolumeImprovement,
)
from botorch.acquisition.objective import ScalarizedPosteriorTransform
from botorch.models import MixedSingleTaskGP, ModelListGP, MultiTaskGP, SingleTaskGP
from botorch.models.transforms import Log, Normalize, Standardize
from botorch.models.transforms.input import InputPerturbation
from botorch.utils.multi_objective.box_decompositions.non_dominated import (
    FastNondominatedPartitioning,
)
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion
from naslib_diffusion.plugins.botorch.joint import is_joint, jointly, varying

from naslib_diffusion.spaces import ProductSpace

pytestmark = pytest.mark.filterwarnings("ignore:A not p.d., added jitter")

D = 4
RANDOM = torch.Generator().manual_seed(0)
X = torch.rand(12, D, dtype=torch.double, generator=RANDOM)
Y = (X.sum(1, keepdim=True) * 3).sin() + 2
POINTS = torch.rand(700, 1, D, dtype=torch.double, generator=RANDOM)
PAIRS = torch.rand(300, 2, D, dtype=torch.double, generator=RANDOM)
SAME = torch.cat([PAIRS, PAIRS[:1, :1].expand(300, 1, D)], 1)
MANY = torch.cat([PAIRS[:40, 0][None].expand(9, 40, D), PAIRS[:9]], 1)
SAME_FIRST = torch.cat([PAIRS[:1, :1].expand(300, 1, D), PAIRS], 1)

MODELS = {
    "plain": lambda: SingleTaskGP(X, Y, outcome_transform=None),
    "standardized": lambda: SingleTaskGP(X, Y, outcome_transform=Standardize(1)),
    "normalized": lambda: SingleTaskGP(X, Y, input_transform=Normalize(D)),
    "known noise": lambda: SingleTaskGP(X, Y, torch.full_like(Y, 0.01)),
    "two outputs": lambda: SingleTaskGP(X, torch.cat([Y, X[:, :1] * 9], 1)),
    "two plain outputs": lambda: SingleTaskGP(
        X, torch.cat([Y, X[:, :1] * 9], 1), outcome_transform=None
    ),
    "list": lambda: ModelListGP(SingleTaskGP(X, Y), SingleTaskGP(X[:9], X[:9, :1] * 9)),
    "mixed": lambda: MixedSingleTaskGP(torch.cat([X, (X[:, :1] > 0.5).double()], 1), Y, [D]),
}
OTHERS = {
    "log": lambda: SingleTaskGP(X, Y, outcome_transform=Log()),
    "tasks": lambda: MultiTaskGP(
        torch.cat([X, torch.arange(12.0)[:, None].double() % 2], 1), Y, task_feature=D
    ),
    "batch of models": lambda: SingleTaskGP(X.repeat(3, 1, 1), Y.repeat(3, 1, 1)),
    "perturbed": lambda: SingleTaskGP(
        X, Y, input_transform=InputPerturbation(torch.zeros(2, D, dtype=torch.double))
    ),
}


class Holder(torch.nn.Module):
    """Any function, to hold the model."""

    def __init__(self, model):
        super().__init__()
        self.model = model


def laws(model, x, **options):
    """The posterior of a model, and what it is where the model goes through its data once."""
    own = model.posterior(x, **options).distribution
    function = Holder(model)
    with jointly(function):
        assert is_joint(function)
        return [own, model.posterior(x, **options).distribution]


def inputs(name, x):
    return torch.cat([x, (x[..., :1] > 0.5).double()], -1) if name == "mixed" else x


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("x", [POINTS, PAIRS, SAME, SAME_FIRST, POINTS[:1], SAME[:3, 2:], MANY])
@pytest.mark.parametrize("noise", [False, True])
def test_laws_are_those_of_the_model(name, x, noise):
    own, found = laws(MODELS[name](), inputs(name, x), observation_noise=noise)
    torch.testing.assert_close(found.mean, own.mean)
    torch.testing.assert_close(found.covariance_matrix, own.covariance_matrix)
    assert found.batch_shape == own.batch_shape


@pytest.mark.parametrize(
    ("x", "free"),
    [(POINTS, 1), (SAME, 2), (SAME_FIRST, 2), (SAME, 3), (SAME, 0), (SAME[:9, 2:], 1), (MANY, 1)],
)
def test_gradients_are_those_of_each_batch(x, free):
    """Also where points that are varied happen to be the same in all batches."""
    slopes = []
    fixed = torch.ones(1, x.shape[1], 1).double()
    if free:
        fixed[:, (x == x[:1]).all(-1).all(0).nonzero()[: x.shape[1] - free]] = 0
    for law in range(2):
        points = x.clone().requires_grad_()
        with varying(free):
            own = laws(MODELS["standardized"](), points)[law]
        value = own.mean.square().sum() + own.covariance_matrix.sin().sum()
        slopes.append(torch.autograd.grad(value, points)[0] * fixed)
    torch.testing.assert_close(slopes[1], slopes[0])


def test_what_transforms_a_posterior_gets_the_same():
    transform = ScalarizedPosteriorTransform(torch.tensor([2.0], dtype=torch.double), 1.0)
    own, found = laws(MODELS["normalized"](), PAIRS, posterior_transform=transform)
    torch.testing.assert_close(found.mean, own.mean)
    torch.testing.assert_close(found.covariance_matrix, own.covariance_matrix)


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_answer_as_ever(name):
    model = OTHERS[name]()
    x = PAIRS[:3]
    own, function = model.posterior(x), Holder(model)
    with jointly(function):
        assert not is_joint(function)
        found = model.posterior(x)
    torch.testing.assert_close(found.mean, own.mean)
    torch.testing.assert_close(found.variance, own.variance)


def test_functions_have_the_same_values():
    model = MODELS["standardized"]()
    both = ModelListGP(MODELS["plain"](), MODELS["standardized"]())
    outputs = MODELS["two outputs"]()
    front = FastNondominatedPartitioning(torch.zeros(2, dtype=torch.double), Y.repeat(1, 2))
    functions = [
        (LogExpectedImprovement(model, best_f=2.5), POINTS),
        (qLogExpectedImprovement(model, best_f=2.5, X_pending=X[:2] + 0.1), PAIRS),
        (qNoisyExpectedImprovement(model, X), PAIRS),
        (qLogNoisyExpectedImprovement(model, X, prune_baseline=True), POINTS),
        (qLogExpectedHypervolumeImprovement(both, [0.0, 0.0], front), PAIRS),
        (qLogExpectedHypervolumeImprovement(outputs, [0.0, 0.0], front), PAIRS),
        (qLogNoisyExpectedHypervolumeImprovement(outputs, [0.0, 0.0], X), PAIRS),
    ]
    for function, x in functions:
        with torch.no_grad():
            own = function(x[:60])
            with jointly(function):
                assert is_joint(function)
                torch.testing.assert_close(function(x[:60]), own)
        assert not is_joint(function)


def test_models_stay_as_they_were():
    space = ProductSpace.categorical([3] * 6)
    x = space.encode(space.sample(20, torch.Generator().manual_seed(0))).flatten(1)
    model = SingleTaskGP(x, x[:, :1] + x[:, 4:5])
    function = qLogExpectedImprovement(model, best_f=1.0)
    candidates, value = optimize_acqf_diffusion(function, space, q=2, options={"seed": 0})
    assert type(model) is SingleTaskGP
    with torch.no_grad():
        torch.testing.assert_close(function(candidates[None])[0], value)
    with jointly(len):
        assert not is_joint(len)


def test_the_end_of_a_call_within_is_not_that_of_the_other():
    model = MODELS["plain"]()

    def fail():
        with jointly(Holder(model)):
            assert type(model) is not SingleTaskGP
            with jointly(Holder(model)):
                pass
            assert type(model) is not SingleTaskGP
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert type(model) is SingleTaskGP
