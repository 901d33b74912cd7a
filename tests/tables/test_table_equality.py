"""Whether isomorphic rows agree, and what follows."""

import numpy as np
import pytest

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.tables import Table, load_table, with_equality
from naslib_diffusion.tables.equality import disagreement, equality

SPACE = NASBench201()
CELLS = list(SPACE)[::7]


def table(value, archs=CELLS, **options):
    return Table("t", SPACE, archs, [value(a) for a in archs], objective="o", **options)


def accuracy(cell):
    """The same for all cells of a class."""
    return float(len(SPACE.canonical(cell)))


def size(cell):
    """Operations that lead nowhere count, too."""
    return float(sum(op in (2, 3) for op in cell.operations))


def test_rows_that_agree_are_one():
    found = with_equality(table(accuracy))
    assert equality(found) == "isomorphic"
    assert disagreement(found) == 0
    assert found.distinct == len({SPACE.canonical(cell) for cell in CELLS}) < len(CELLS)


def test_rows_that_disagree_are_told_apart():
    plain = table(size)
    found = with_equality(plain)
    assert equality(found) == "exact"
    assert disagreement(found) == disagreement(plain) > 0.1
    assert found.distinct == len(found) == len(CELLS)
    assert found.fingerprint == plain.fingerprint
    twins = next(
        (a, b)
        for a in CELLS
        for b in CELLS
        if size(a) != size(b) and SPACE.canonical(a) == SPACE.canonical(b)
    )
    assert [found[cell] for cell in twins] == [size(cell) for cell in twins]


@pytest.mark.parametrize("distinct", ["isomorphic", "exact"])
@pytest.mark.parametrize("value", [accuracy, size])
def test_the_user_decides(distinct, value):
    assert equality(with_equality(table(value), distinct)) == distinct


def test_noise_is_not_disagreement():
    """Ten measurements of noise as large as the signal: the means of twins differ by chance."""
    random = np.random.default_rng(0)
    draws = [[accuracy(c) + e for e in random.normal(0, 60, 3)] for c in CELLS]
    values = [float(np.mean(own)) for own in draws]
    noisy = Table("t", SPACE, CELLS, values, objective="o", repeats=draws)
    blind = Table("t", SPACE, CELLS, values, objective="o")
    assert disagreement(blind) > 0.2
    assert disagreement(noisy) < 0.25 * disagreement(blind)


def test_nothing_to_compare():
    assert disagreement(table(size, CELLS[:1])) == 0
    assert disagreement(table(lambda cell: 1.0)) == 0


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("cifar10_test_200", "isomorphic"),
        ("cifar100_test_12", "isomorphic"),
        ("cifar10_pgd_eps2", "isomorphic"),
        ("cifar10_edgegpu_latency_ms", "exact"),
        ("cifar10_eyeriss_latency_ms", "exact"),
        ("params_m", "exact"),
    ],
)
def test_real_columns(nasbench201_csv, column, expected):
    found = with_equality(load_table(nasbench201_csv, SPACE, column))
    assert equality(found) == expected
    assert found.distinct == {"isomorphic": 6466, "exact": 15625}[expected]
