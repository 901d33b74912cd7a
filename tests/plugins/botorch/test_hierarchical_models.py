"""BoTorch's own models of hierarchical spaces, over declared ones."""

import pytest
import torch
from botorch.acquisition import LogExpectedImprovement
from naslib_diffusion.plugins.botorch import optimize_acqf_diffusion

from naslib_diffusion.spaces import DeclaredSpace, Real, When

hierarchical = pytest.importorskip("botorch.models.hierarchical.conditional_kernel_gp")


def test_the_maximum_of_a_hierarchical_model_is_found():
    space = DeclaredSpace(
        {
            "optimiser": ["sgd", "adam"],
            "momentum": When(Real(0, 1), optimiser="sgd"),
            "decay": When(Real(0, 1), optimiser="adam"),
            "rate": Real(0, 1),
        }
    )
    told = space.sample(12, torch.Generator().manual_seed(0))
    values = [
        -abs(a.get("momentum", 0.2) - 0.7) - abs(a["rate"] - 0.3)
        for a in (arch.as_dict() for arch in told)
    ]
    y = torch.tensor(values, dtype=torch.double)[:, None]
    adam, momentum, decay = map(space.legend.index, ("optimiser=adam", "momentum", "decay"))
    model = hierarchical.HierarchicalConditionalKernelGP(
        space.encode(told), y, {adam: {0.0: [momentum], 1.0: [decay]}}, use_saas_prior=False
    ).eval()
    function = LogExpectedImprovement(model, y.max())
    candidates, value = optimize_acqf_diffusion(function, space, q=1)
    drawn = space.encode(space.sample(5000, torch.Generator().manual_seed(1)))
    with torch.no_grad():
        assert value >= function(drawn[:, None]).max()
    (arch,) = space.decode(candidates)
    assert torch.equal(space.encode([arch]), candidates)
