"""Unguided sampling follows the uniform law, whatever the sampler."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import chisquare

from naslib_diffusion.diffusion import (
    ExactDenoiser,
    geometric_sigmas,
    karras_sigmas,
    sample_ancestral,
    sample_dpmpp_2m,
    sample_euler,
    sample_heun,
    sample_predictor_corrector,
)
from naslib_diffusion.spaces import AtomBlock, NASBench201

FAST = (sample_euler, sample_heun, sample_dpmpp_2m, sample_ancestral)


@pytest.mark.parametrize("sampler", [*FAST, sample_predictor_corrector])
def test_unguided_nasbench201_is_uniform(sampler, generator):
    space = NASBench201()
    sigmas = geometric_sigmas(60) if sampler is sample_predictor_corrector else karras_sigmas(10)
    x = torch.randn(4000, *space.shape, generator=generator, dtype=torch.double)
    x = sampler(ExactDenoiser(space), x * sigmas[0], sigmas, generator=generator)
    operations = torch.tensor([cell.operations for cell in space.decode(x)])
    marginals = torch.stack([torch.bincount(column, minlength=5) for column in operations.T])
    pairs = torch.stack(
        [
            torch.bincount(5 * operations[:, i] + operations[:, j], minlength=25)
            for i, j in itertools.combinations(range(6), 2)
        ]
    )
    # the smallest of 6 and of 15 p-values
    assert chisquare(marginals.numpy(), axis=1).pvalue.min() > 1e-3
    assert chisquare(pairs.numpy(), axis=1).pvalue.min() > 1e-3


@pytest.mark.parametrize("sampler", FAST)
def test_unequal_atoms_get_equal_shares(sampler, generator):
    """Without symmetry between the atoms, uniformity is not automatic."""
    atoms = torch.tensor([[0.0], [0.1], [0.3], [1.0]], dtype=torch.double)
    denoiser = ExactDenoiser([AtomBlock(0, atoms)])
    sigmas = karras_sigmas(80, 0.01, 10.0)
    x = 10 * torch.randn(4000, 1, generator=generator, dtype=torch.double)
    x = sampler(denoiser, x, sigmas, generator=generator)
    counts = torch.bincount((x - atoms.T).abs().argmin(1), minlength=4)
    assert (counts / 4000 - 0.25).abs().max() < 0.03


@pytest.mark.parametrize("sampler", [*FAST, sample_predictor_corrector])
def test_the_result_is_clean(sampler, law, generator):
    x = sampler(law.denoiser, law.noise(500, 3.0, generator), karras_sigmas(20, 0.05))
    assert bool(((x - law.discretise(x)).abs().amax(1) < 0.05).double().mean() > 0.97)


@pytest.mark.parametrize("sampler", [*FAST, sample_predictor_corrector])
def test_seeds_reproduce_and_callbacks_are_told(sampler, law):
    sigmas = karras_sigmas(6)
    told = []
    runs = [
        sampler(
            law.denoiser,
            law.noise(10, 3.0, torch.Generator().manual_seed(0)),
            sigmas,
            generator=torch.Generator().manual_seed(seed),
            callback=told.append,
        )
        for seed in (1, 1, 2)
    ]
    assert torch.equal(runs[0], runs[1])
    stochastic = sampler in (sample_ancestral, sample_predictor_corrector)
    assert torch.equal(runs[0], runs[2]) != stochastic
    assert [step.index for step in told[:6]] == list(range(6))
    assert [step.sigma for step in told[:6]] == sigmas[:-1].tolist()
    assert told[0].denoised.shape == told[0].x.shape == (10, 16)


def test_second_order_is_closer_to_the_exact_path(law, generator):
    start = law.noise(200, 2.0, generator)
    path = sample_euler(law.denoiser, start, karras_sigmas(2000, 0.3, 2.0))
    coarse = karras_sigmas(12, 0.3, 2.0)
    errors = [
        float((sampler(law.denoiser, start, coarse) - path).square().mean())
        for sampler in (sample_euler, sample_heun, sample_dpmpp_2m)
    ]
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[0] / 2


@pytest.mark.parametrize("sigmas", [[], [1.0], [1.0, 0.5], [1.0, 1.0, 0.0], [0.5, 1.0, 0.0]])
def test_levels_must_decrease_to_zero(sigmas, law):
    with pytest.raises(ValueError, match="sigmas must decrease to 0"):
        sample_euler(law.denoiser, torch.zeros(1, 16), torch.tensor(sigmas))
