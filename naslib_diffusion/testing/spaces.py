"""Conformance suite for search spaces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from naslib_diffusion.spaces.base import (
    AtomBlock,
    Block,
    Factor,
    Space,
    UniformBlock,
    UnionBlock,
    count_values,
    draw,
)
from naslib_diffusion.spaces.paths import PathBlock
from naslib_diffusion.spaces.variables import Spelled, settle

_LISTED = 2**14
"""Unions of up to so many values are checked value by value, larger ones part by part."""


class SpaceTestCase:
    """Checks that a space keeps the promises of the `Space` protocol.

    Subclass it in a test module, with a name that pytest collects:

        class TestMySpace(SpaceTestCase):
            @pytest.fixture
            def space(self):
                return MySpace()

            def enumerate(self, space):  # optional, for small spaces
                return list(space)
    """

    rejects: ClassVar[bool] = False
    """Whether some decoded encodings are not valid, so that the blocks are not the exact law."""

    garbage: ClassVar[Sequence[str]] = (
        "",
        " ",
        "garbage",
        "null",
        "{}",
        "[1, ",
        "|x~0|",
        "a\nb\n",
    )
    """Strings that no architecture of the space has."""

    draws: ClassVar[int] = 4000
    """Samples for the test of the law."""

    @pytest.fixture
    def space(self) -> Space[Any]:
        """Return the space to check."""
        raise NotImplementedError("define a fixture `space` in the subclass of SpaceTestCase")

    def enumerate(self, space: Space[Any]) -> Iterable[Any] | None:
        """Return all architectures of a small space, or None."""
        return None

    def test_samples_are_valid(self, space: Space[Any]) -> None:
        """`sample` returns as many valid architectures as asked for."""
        archs = _sample(space, 64)
        assert len(archs) == 64
        assert all(space.is_valid(arch) for arch in archs)
        assert space.sample(0) == []

    def test_sampling_depends_on_the_generator_only(self, space: Space[Any]) -> None:
        """Equal generators give equal samples; the global state is neither used nor moved."""
        state = torch.random.get_rng_state()
        first, second = _sample(space, 32), _sample(space, 32)
        assert first == second
        assert torch.equal(state, torch.random.get_rng_state())

    def test_encoding_round_trip(self, space: Space[Any]) -> None:
        """`decode` inverts `encode`; encodings have the shape, type and range of the protocol."""
        archs = _sample(space, 64)
        x = space.encode(archs)
        assert x.shape == (64, *space.shape)
        assert x.dtype == torch.double
        assert x.device.type == "cpu"
        assert x.min() >= 0
        assert x.max() <= 1
        assert space.decode(x) == archs
        assert space.encode([]).shape == (0, *space.shape)
        assert space.decode(x[:0]) == []

    def test_valid_draws_are_encoded_once(self, space: Space[Any]) -> None:
        """`encode` and `decode` agree on what valid draws from the blocks stand for.

        Where something has no effect in an architecture, `encode` may write another value than
        was drawn, but what it writes stands for the same architecture, and stays as it is.
        """
        drawn = draw(_blocks(space), 256, torch.Generator().manual_seed(3))
        archs = [a for a in space.decode(drawn.view(-1, *space.shape)) if space.is_valid(a)]
        own = space.encode(archs)
        again = space.decode(own)
        pairs = zip(archs, again, strict=True)
        changed = [a for a, b in pairs if space.canonical(a) != space.canonical(b)]
        assert not changed, f"{changed[0]} is another architecture once it is encoded and decoded"
        assert torch.allclose(space.encode(again), own, rtol=0, atol=1e-9)

    def test_string_round_trip(self, space: Space[Any]) -> None:
        """`parse` inverts `str`, and strings tell architectures apart."""
        archs = _sample(space, 64)
        assert [space.parse(str(arch)) for arch in archs] == archs
        assert len({str(arch) for arch in archs}) == len(set(archs))

    def test_parse_explains_garbage(self, space: Space[Any]) -> None:
        """`parse` raises a ValueError of one line."""
        for text in self.garbage:
            with pytest.raises(ValueError, match=r"\S") as caught:
                space.parse(text)
            assert "\n" not in str(caught.value)

    def test_spelling_round_trip(self, space: Space[Any]) -> None:
        """If the space tells its variables, they spell architectures, those that exist only."""
        if not isinstance(space, Spelled):
            pytest.skip("the space tells no variables")
        names = [variable.name for variable in space.variables]
        assert len(set(names)) == len(names)
        for arch in _sample(space, 32):
            values = space.spell(arch)
            asked = settle(space.variables, lambda variable: values[variable.name])  # noqa: B023
            assert asked == values, f"{arch} has values of variables that do not exist beside them"
            assert space.read_spelling(values) == arch
            fillers = {variable.name: variable.filler for variable in space.variables}
            assert space.read_spelling({**fillers, **values}) == arch, "fillers are ignored"
            with pytest.raises(KeyError):
                space.read_spelling({})

    def test_any_tensor_decodes(self, space: Space[Any]) -> None:
        """Every tensor decodes, to a valid architecture unless the space `rejects`."""
        generator = torch.Generator().manual_seed(0)
        x = space.encode(_sample(space, 16))
        noise = torch.randn(x.shape, generator=generator, dtype=torch.double)
        for level in (0.1, 1.0, 100.0):
            for noisy in (x + level * noise, (x + level * noise).float(), level * noise):
                self._check_decoded(space, noisy)
        for constant in (0.0, 1.0):
            self._check_decoded(space, torch.full_like(x, constant))

    def test_blocks_cover_the_encoding(self, space: Space[Any]) -> None:
        """Each coordinate is in one block, and encodings lie on the blocks' atoms."""
        x = space.encode(_sample(space, 64)).flatten(1)
        covered = torch.zeros(x.shape[1], dtype=torch.long)
        for block in _blocks(space):
            covered[list(block.columns)] += 1
            assert block.width > 0
            if isinstance(block, AtomBlock):
                assert block.atoms.dtype == torch.double
                assert torch.unique(block.atoms, dim=0).shape == block.atoms.shape
                assert _distances(x, block).min(-1).values.max() < 1e-9
            elif isinstance(block, UnionBlock):
                assert _part_distances(x, block).min(-1).values.max() < 1e-9
            elif isinstance(block, PathBlock):
                if block.count <= _LISTED:
                    distances = torch.cdist(x[:, list(block.columns)], block.values())
                    assert distances.min(-1).values.max() < 1e-6
            else:
                assert isinstance(block, UniformBlock)
                assert block.width == 1
        assert covered.eq(1).all()

    def test_blocks_are_the_law(self, space: Space[Any]) -> None:
        """Samples, and draws from the blocks when decoded, have the same marginals."""
        blocks = _blocks(space)
        if self.rejects:
            pytest.skip("the space rejects some of what its blocks describe")
        law = draw(blocks, self.draws, torch.Generator().manual_seed(1)).view(-1, *space.shape)
        from_law = space.encode(space.decode(law)).flatten(1)
        from_sample = space.encode(_sample(space, self.draws)).flatten(1)
        for block in blocks:
            if isinstance(block, AtomBlock):
                part = slice(block.start, block.start + block.width)
                assert torch.allclose(from_law[:, part], law.flatten(1)[:, part])
            for law_bins, bins in zip(
                _bins(from_law, block), _bins(from_sample, block), strict=True
            ):
                statistic, threshold = _chi_square(law_bins, bins)
                assert statistic <= threshold, f"block at {block.start}: samples do not follow it"

    def test_neighbors(self, space: Space[Any]) -> None:
        """Neighbours are valid, distinct, other than the architecture, and reproducible."""
        for arch in _sample(space, 16):
            near = space.neighbors(arch, torch.Generator().manual_seed(0))
            assert near == space.neighbors(arch, torch.Generator().manual_seed(0))
            assert near or space.size == 1 or self.rejects
            assert all(space.is_valid(a) for a in near)
            assert arch not in near
            assert str(arch) not in {str(a) for a in near}
            assert len(set(near)) == len(near)

    def test_canonical(self, space: Space[Any]) -> None:
        """Canonical forms are hashable and survive the string form."""
        for arch in _sample(space, 64):
            key = space.canonical(arch)
            assert hash(key) == hash(space.canonical(space.parse(str(arch))))
            assert key == space.canonical(space.parse(str(arch)))

    def test_features_respect_canonical_forms(self, space: Space[Any]) -> None:
        """Architectures of equal canonical form have equal features."""
        listed = self.enumerate(space)
        archs = list(dict.fromkeys(listed if listed is not None else _sample(space, 1000)))
        if listed is None:
            archs += space.neighbors(archs[0], torch.Generator().manual_seed(0))
        first: dict[Any, int] = {}
        same = [first.setdefault(space.canonical(arch), i) for i, arch in enumerate(archs)]
        for group in space.features(space.encode(archs)):
            assert group.shape[0] == len(archs)
            assert group.ndim == 2
            odd = (group - group[same]).abs().amax(1).gt(1e-9).nonzero().flatten().tolist()
            pair = [str(archs[i]) for i in (odd[0], same[odd[0]])] if odd else []
            assert not odd, f"{len(odd)} differ from their canonical twins, such as {pair}"

    def test_features_are_differentiable(self, space: Space[Any]) -> None:
        """Gradients on relaxed architectures are those of finite differences."""
        x, y, z = space.encode(_sample(space, 24)).view(3, 8, *space.shape)
        x = (0.5 * x + 0.3 * y + 0.2 * z).requires_grad_()
        generator = torch.Generator().manual_seed(2)
        direction = torch.randn(x.shape, generator=generator, dtype=torch.double)
        groups = space.features(x)
        for i, group in enumerate(groups):
            weights = torch.randn(group.shape, generator=generator, dtype=torch.double)
            (gradient,) = torch.autograd.grad((group * weights).sum(), x, retain_graph=True)
            assert gradient.isfinite().all()
            with torch.no_grad():
                h = 1e-6
                ahead = (space.features(x + h * direction)[i] * weights).flatten(1).sum(-1)
                behind = (space.features(x - h * direction)[i] * weights).flatten(1).sum(-1)
                slope = (gradient * direction).flatten(1).sum(-1)
                assert torch.allclose(slope, (ahead - behind) / (2 * h), rtol=1e-4, atol=1e-6)

    def test_enumeration(self, space: Space[Any]) -> None:
        """`size` counts canonical forms; encodings and strings tell all architectures apart."""
        listed = self.enumerate(space)
        if listed is None:
            pytest.skip("the subclass of SpaceTestCase does not enumerate the space")
        archs = list(listed)
        assert all(space.is_valid(arch) for arch in archs)
        assert len(set(archs)) == len(archs) == len({str(arch) for arch in archs})
        assert space.decode(space.encode(archs)) == archs
        assert space.size is not None
        forms = len({space.canonical(arch) for arch in archs})
        assert forms <= space.size if self.rejects else forms == space.size

    def _check_decoded(self, space: Space[Any], x: Tensor) -> None:
        archs = space.decode(x)
        assert len(archs) == len(x)
        assert self.rejects or all(space.is_valid(arch) for arch in archs)


def _sample(space: Space[Any], n: int) -> list[Any]:
    return space.sample(n, torch.Generator().manual_seed(0))


def _blocks(space: Space[Any]) -> Sequence[Block]:
    """Return the law of a space, with the atoms of small unions written out."""
    blocks = space.blocks
    if blocks is None:
        pytest.skip("the law of the space does not factorise")
    return [
        block.expand()
        if isinstance(block, UnionBlock)
        and count_values(block) <= _LISTED
        and all(factor.weights is None for factor in block.factors)
        else block
        for block in blocks
    ]


def _distances(x: Tensor, block: AtomBlock) -> Tensor:
    """Distances of a block's coordinates to its atoms, `B x K`."""
    part = x[:, block.start : block.start + block.width]
    return torch.cdist(part, block.atoms, compute_mode="donot_use_mm_for_euclid_dist")


def _factor_distances(x: Tensor, block: UnionBlock, factor: Factor) -> Tensor:
    """Distances of a factor's coordinates to its atoms, `B x K`."""
    part = x[:, block.start : block.start + block.width][:, list(factor.columns)]
    return torch.cdist(part, factor.atoms, compute_mode="donot_use_mm_for_euclid_dist")


def _part_distances(x: Tensor, block: UnionBlock) -> Tensor:
    """Distances of a union's coordinates to its parts, `B x P`."""
    nearest = [_factor_distances(x, block, f).amin(-1).square() for f in block.factors]
    parts = [torch.stack([nearest[i] for i in part]).sum(0) for part in block.parts]
    return torch.stack(parts, -1).sqrt()


def _bins(x: Tensor, block: Block, bins: int = 50) -> Iterator[Tensor]:
    """Count flattened encodings, `B x D`, by their atom or their part of the unit interval.

    Of a large union by part, and within all parts that have a factor by its atom; of paths by
    whether a coordinate is nearer to 0 or 1.
    """
    if isinstance(block, PathBlock):
        for column in block.columns:
            yield torch.bincount((x[:, column] > 0.5).long(), minlength=2).double()
        return
    if isinstance(block, UnionBlock):
        own = _part_distances(x, block).argmin(-1)
        yield torch.bincount(own, minlength=len(block.parts)).double()
        for i, factor in enumerate(block.factors):
            has = torch.tensor([i in part for part in block.parts])[own]
            atom = _factor_distances(x, block, factor).argmin(-1).where(has, len(factor.atoms))
            yield torch.bincount(atom, minlength=len(factor.atoms) + 1).double()
        return
    if isinstance(block, AtomBlock):
        index = _distances(x, block).argmin(-1) % bins
    else:
        index = (x[:, block.start] * bins).long().clamp(0, bins - 1)
    yield torch.bincount(index, minlength=bins).double()


def _chi_square(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Return the two-sample statistic of equally many counts and its 4-sigma threshold."""
    a, b = a[a + b > 0], b[a + b > 0]
    statistic = float(((a - b).square() / (a + b)).sum())
    freedom = len(a) - 1
    if freedom == 0:
        return statistic, 0.0
    spread = 2 / (9 * freedom)  # Wilson and Hilferty's approximation of the quantile
    return statistic, freedom * (1 - spread + 4 * math.sqrt(spread)) ** 3
