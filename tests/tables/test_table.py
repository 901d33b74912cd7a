"""Tables: lookups, ranks, noise."""

import numpy as np
import pytest

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.tables import Table, TableError

SPACE = NASBench201()
ONE = SPACE.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
OTHER = SPACE.parse("|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")


def isomorphic_pair():
    kinds = {}
    for cell in SPACE:
        first = kinds.setdefault(SPACE.canonical(cell), cell)
        if first != cell:
            return first, cell
    raise AssertionError


def test_exact_rows_come_first_then_equivalent_ones():
    swapped = isomorphic_pair()
    one = Table("t", SPACE, swapped[:1], [1.0], objective="o")
    assert one[swapped[1]] == 1.0
    assert swapped[1] in one
    both = Table("t", SPACE, swapped, [1.0, 2.0], objective="o")
    assert (both[swapped[0]], both[swapped[1]], both.distinct, len(both)) == (1.0, 2.0, 1, 2)


def test_unknown_architectures():
    table = Table("t", SPACE, [OTHER], [1.0], objective="o")
    assert ONE not in table
    assert table.get(ONE) is None
    assert table.get(OTHER) == 1.0
    with pytest.raises(KeyError, match="is not in t"):
        table[ONE]


def test_ranks_and_gaps_in_both_directions():
    archs = list(SPACE)[:5]
    values = [3.0, 1.0, 2.0, 3.0, 0.0]
    up = Table("t", SPACE, archs, values, objective="o")
    assert (up.optimum, up.gap(2.0), up.rank(3.0), up.rank(2.0)) == (3.0, 1.0, 1, 3)
    down = Table("t", SPACE, archs, values, objective="o", direction="minimize")
    assert (down.optimum, down.gap(2.0), down.rank(0.0), down.rank(2.0)) == (0.0, 2.0, 1, 3)


def test_noise_is_a_draw_that_its_seed_decides():
    table = Table("t", SPACE, [OTHER], [2.0], objective="o", repeats=[[1.0, 2.0, 3.0]])
    draws = [table.draw(OTHER, f"0/{i}") for i in range(300)]
    assert draws == [table.draw(OTHER, f"0/{i}") for i in range(300)]
    assert np.abs(np.bincount(np.array(draws, dtype=int))[1:] - 100).max() < 40
    with pytest.raises(TableError, match="no noise to draw"):
        Table("t", SPACE, [OTHER], [2.0], objective="o").draw(OTHER, "0/0")


def test_fingerprints_tell_tables_apart():
    archs = list(SPACE)[:2]
    prints = {
        Table("t", SPACE, rows, values, objective="o").fingerprint
        for rows, values in ((archs, [1, 2]), (archs, [1, 3]), (archs[::-1], [1, 2]))
    }
    assert len(prints) == 3
    assert Table("u", SPACE, archs, [1, 2], objective="p").fingerprint in prints


def test_a_table_needs_rows():
    with pytest.raises(TableError, match="t has no rows"):
        Table("t", SPACE, [], [], objective="o")
