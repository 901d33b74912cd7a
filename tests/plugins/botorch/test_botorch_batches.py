"""Batches: functions that cache what is pending, that take one point only, and that take q."""

from __future__ import annotations

import pytest
import torch
from botorch.acquisition import qLogNoisyExpectedImprovement, qNoisyExpectedImprovement
from botorch.acquisition.max_value_entropy_search import qLowerBoundMaxValueEntropy
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.monte_carlo import qNoisyExpectedHypervolumeImprovement
from botorch.acquisition.preference import AnalyticExpectedUtilityOfBestOption
from botorch.acquisition.thompson_sampling import PathwiseThompsonSampling
from botorch.exceptions.errors import UnsupportedError
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.pairwise_gp import PairwiseGP
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.box_decompositions.non_dominated import (
    FastNondominatedPartitioning,
)
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion

from naslib_diffusion.spaces import ProductSpace

pytestmark = [
    pytest.mark.filterwarnings("ignore:A not p.d., added jitter"),
    pytest.mark.filterwarnings("ignore::botorch.exceptions.warnings.BotorchWarning"),
    pytest.mark.filterwarnings("ignore:.*has known numerical issues"),
]

SPACE = ProductSpace.categorical([3] * 5)
OPTIONS = {"seed": 0}
SINGLE = (qLogNoisyExpectedImprovement, qNoisyExpectedImprovement)
SEVERAL = (qLogNoisyExpectedHypervolumeImprovement, qNoisyExpectedHypervolumeImprovement)


def data(outputs=1, n=12, dtype=torch.double):
    x = SPACE.encode(SPACE.sample(n, torch.Generator().manual_seed(0))).flatten(1)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(x.shape[1], outputs, generator=generator, dtype=torch.double)
    return x.to(dtype), torch.tanh(x @ weights).to(dtype)


def noisy(kind, model, x, y, **kwargs):
    arguments = (x,) if kind in SINGLE else (y.amin(0) - 0.1, x)
    sampler = SobolQMCNormalSampler(torch.Size([32]), seed=7)
    return kind(model, *arguments, sampler=sampler, prune_baseline=False, **kwargs)


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize("kind", [*SINGLE, *SEVERAL])
def test_functions_that_cache_pending_points_stay_as_they_were(kind, waiting):
    x, y = data(1 if kind in SINGLE else 2)
    model = SingleTaskGP(x, y)
    kwargs = {"X_pending": x[:2].flip(1)} if waiting else {}
    function = noisy(kind, model, x, y, **kwargs)
    baseline = function.X_baseline.clone()
    joint, value = optimize_acqf_diffusion(function, SPACE, 3, options=OPTIONS)
    assert torch.equal(function.X_baseline, baseline)
    greedy, values = optimize_acqf_diffusion(function, SPACE, 3, options=OPTIONS, sequential=True)
    assert torch.equal(function.X_baseline, baseline)
    with torch.no_grad():
        fresh = noisy(kind, model, x, y, **kwargs)
        assert float(value) == pytest.approx(float(fresh(joint[None])), abs=1e-6)
        assert float(value) >= float(fresh(greedy[None])) - 1e-6
        first = noisy(kind, model, x, y, **kwargs)
        assert float(values[0]) == pytest.approx(float(first(greedy[None, :1])), abs=1e-6)


def test_functions_of_one_point_give_greedy_batches():
    x, y = data()
    function = qLowerBoundMaxValueEntropy(SingleTaskGP(x, y), x)
    candidates, values = optimize_acqf_diffusion(function, SPACE, 3, options=OPTIONS)
    assert values.shape == (3,)
    assert len({tuple(row) for row in candidates.tolist()}) == 3
    assert function.X_pending is None
    with torch.no_grad():
        assert float(values[0]) == pytest.approx(float(function(candidates[:1, None])))
        function.set_X_pending(candidates[:1])
        assert float(values[1]) == pytest.approx(float(function(candidates[1:2, None])))


def test_functions_of_whole_batches_are_maximised_jointly():
    x, _ = data()
    model = PairwiseGP(x, torch.arange(12).view(6, 2))
    function = AnalyticExpectedUtilityOfBestOption(pref_model=model)
    candidates, value = optimize_acqf_diffusion(function, SPACE, 2, options=OPTIONS)
    every = SPACE.encode(list(SPACE)).flatten(1)
    with torch.no_grad():
        assert float(value) == pytest.approx(float(function(candidates[None])))
        pairs = torch.stack([every[:-1], every[1:]], 1)
        assert float(value) >= float(function(pairs).max())
    with pytest.raises(UnsupportedError, match="leave out sequential=True"):
        optimize_acqf_diffusion(function, SPACE, 2, sequential=True)
    # newer versions of BoTorch say it themselves
    with pytest.raises(UnsupportedError, match=r"only supports q=2|use another q"):
        optimize_acqf_diffusion(function, SPACE, 3)


@pytest.mark.parametrize("q", [2, 3])
def test_analytic_functions_of_several_objectives_take_one_point(q):
    """BoTorch does not check it: with as many points as its message names it returns a number."""
    x, y = data()
    both = torch.cat([y, -y.flip(0)], 1)
    worst = both.min(0).values - 0.1
    boxes = FastNondominatedPartitioning(worst, both)
    function = ExpectedHypervolumeImprovement(SingleTaskGP(x, both), worst.tolist(), boxes)
    with pytest.raises(UnsupportedError, match="use another q, or a Monte Carlo"):
        optimize_acqf_diffusion(function, SPACE, q, options=OPTIONS)
    assert len(optimize_acqf_diffusion(function, SPACE, 1, options=OPTIONS)[0]) == 1


def test_paths_are_maximised_each_on_its_own():
    torch.manual_seed(0)
    x, y = data()
    function = PathwiseThompsonSampling(SingleTaskGP(x, y))
    candidates, value = optimize_acqf_diffusion(function, SPACE, 3, options=OPTIONS)
    with torch.no_grad():
        every = SPACE.encode(list(SPACE)).flatten(1)[:, None].expand(-1, 3, -1)
        best = function._pathwise_forward(every).amax(0).sum()
        assert float(value) == pytest.approx(float(function(candidates[None])))
    assert float(value) >= float(best) - 0.2  # the members have to be distinct


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
def test_lists_of_models_decide_on_the_dtype(dtype):
    x, y = data(2, dtype=dtype)
    model = ModelListGP(*(SingleTaskGP(x, y[:, i : i + 1]) for i in range(2)))
    function = noisy(qLogNoisyExpectedHypervolumeImprovement, model, x, y)
    candidates, value = optimize_acqf_diffusion(
        function, SPACE, 2, X_avoid=x.double(), options=OPTIONS
    )
    assert candidates.dtype == value.dtype == dtype
