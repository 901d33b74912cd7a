"""What guides the generation of Table 1."""

import torch
from click.testing import CliRunner
from naslib_diffusion.benchmarks.harness.searching import predictor
from naslib_diffusion.benchmarks.paper import table1

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.tables import benchmark
from naslib_diffusion.transfer.priors import load_priors

SPACE = NASBench201()
CELLS = SPACE.sample(30, torch.Generator().manual_seed(0))
X = SPACE.encode(CELLS)


def test_priors_alone_guide_where_nothing_was_observed():
    priors = load_priors(["default"], SPACE)
    guide = predictor(benchmark("nasbench201/imagenet16"), [], priors)
    order = torch.stack([prior(X) for prior in priors]).mean(0).argsort()
    assert torch.equal(guide(X).argsort(), order)


def test_a_prior_and_cells_guide_together():
    table = benchmark("nasbench201/imagenet16")
    told = torch.tensor([table[cell] for cell in CELLS])
    both = predictor(table, CELLS[:10], load_priors(["zero-cost"], SPACE))(X[10:])
    alone = predictor(table, CELLS[:10])(X[10:])
    ranks = [v.argsort().argsort().double() for v in (told[10:], both, alone)]
    agreement = torch.corrcoef(torch.stack(ranks))[0]
    assert agreement[1] > agreement[2]
    assert agreement[1] > 0.8


def test_cells_or_a_prior_are_needed():
    done = CliRunner().invoke(table1.main, ["--observe", "0"])
    assert done.exit_code == 2
    assert "--prior" in done.output
