"""What surrogates say of lists that are asked again is computed once."""

from __future__ import annotations

import copy
import gc
import pickle

import torch

from naslib_diffusion.optimize.enumeration import catalogue
from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.spaces.subset import Subset
from naslib_diffusion.surrogates import make_surrogate
from naslib_diffusion.surrogates.once import Kept, lasting
from naslib_diffusion.surrogates.prior import EarlierSearch


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x.sum(1)


def test_only_of_lasting_encodings_and_as_long_as_they_last() -> None:
    count, kept = Counted(), Kept()
    x = torch.rand(3, 2)
    assert torch.equal(kept(count, x), kept(count, x))
    assert count.calls == 2
    lasting(x)
    assert torch.equal(kept(count, x), kept(count, x))
    assert count.calls == 3
    kept(count, x.clone())
    assert count.calls == 4
    for other in (copy.copy(kept), pickle.loads(pickle.dumps(kept))):
        other(count, x)
    assert count.calls == 6
    assert len(kept._found) == 1
    del x
    gc.collect()
    assert len(kept._found) == 0


def test_an_earlier_search_says_the_same_of_a_whole_space_as_of_its_parts() -> None:
    whole = NASBench201()
    cells = whole.sample(200, torch.Generator().manual_seed(0))
    space = Subset(whole, list(dict.fromkeys(cells)))
    values = [float(str(cell).count("nor_conv_3x3")) for cell in cells[:30]]
    prior = EarlierSearch(make_surrogate("gp", space), space, cells[:30], values)  # type: ignore[arg-type]
    (x,) = catalogue(space).parts
    first = prior(x)
    assert prior(x) is first
    assert torch.allclose(prior(x[:7].clone()), first[:7])
