"""The legend says what the columns of encodings stand for."""

import pytest
import torch

from naslib_diffusion.spaces import (
    Categorical,
    GraphNet,
    Integer,
    MobileNetV3,
    NASBench201,
    NASBenchGraph,
    ProductSpace,
    Real,
    Subnet,
    Subset,
)

PRODUCT = ProductSpace(
    [Categorical(["conv", None, 2], name="op"), Integer(1, 9), Real(0, 1, name="lr")]
)


@pytest.mark.parametrize("space", [NASBench201(), MobileNetV3(), NASBenchGraph(), PRODUCT])
def test_there_is_one_entry_for_each_column(space):
    assert len(space.legend) == space.shape[-1]
    assert len(set(space.legend)) == len(space.legend)


def entries(space, text):
    """What the row of each node says by the legend."""
    (x,) = space.encode([space.parse(text)])
    return [[name for name, on in zip(space.legend, row, strict=True) if on] for row in x]


def test_nasbench201():
    cell = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    rows = ["input", "nor_conv_3x3", "skip_connect", "none", "avg_pool_3x3", "nor_conv_1x1"]
    assert entries(NASBench201(), cell) == [[name] for name in (*rows, "none", "output")]


def test_mobilenetv3():
    subnet = str(Subnet.from_stages([[0, 5]] * 5))
    assert subnet.startswith("2-3-3_2-5-6_0-0-0")
    first = entries(MobileNetV3(), subnet)[:4]
    assert first == [["kernel 3, expansion 3"], ["kernel 5, expansion 6"], [], []]


def test_nasbenchgraph():
    rows = entries(NASBenchGraph(), str(GraphNet((0, 1, 2, 3), (0, 1, 7, 8))))
    assert rows == [
        ["input", "feeds operation 1"],
        ["gat", "feeds operation 2"],
        ["gcn", "feeds operation 3"],
        ["fc", "feeds operation 4"],
        ["skip", "feeds output"],
        ["output"],
    ]


def test_products():
    assert PRODUCT.legend == ("op=conv", "op=None", "op=2", "x1", "lr")
    (x,) = PRODUCT.encode([PRODUCT.parse("[null, 5, 0.25]")])
    assert torch.equal(x, torch.tensor([0, 1, 0, 0.5, 0.25]).double())


def test_an_objective_by_name_is_what_it_says():
    """The sum of a column counts the operation after which it is called."""
    space = NASBench201()
    cells = space.sample(20, torch.Generator().manual_seed(0))
    column = space.legend.index("nor_conv_3x3")
    counts = space.encode(cells)[..., column].sum(1)
    assert counts.tolist() == [str(cell).count("nor_conv_3x3") for cell in cells]


def test_a_view_has_the_legend_of_its_space():
    space = NASBench201()
    assert Subset(space, space.sample(1)).legend == space.legend
    assert not hasattr(Subset(NoLegend(), space.sample(1)), "legend")


class NoLegend(NASBench201):
    """A user's space, which need not have one."""

    @property
    def legend(self):
        raise AttributeError("legend")
