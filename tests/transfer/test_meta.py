"""The meta-surrogate: what it learns, how it adapts, how it is stored."""

import json

import pytest
import safetensors
import safetensors.torch
import torch
from scipy.stats import spearmanr

from naslib_diffusion import Search
from naslib_diffusion.spaces import MobileNetV3, NASBench201, NASBenchGraph, Subset
from naslib_diffusion.surrogates.adapted import AdaptedSurrogate, Residual
from naslib_diffusion.surrogates.prior import AdaptivePrior
from naslib_diffusion.tables import benchmark, load_table
from naslib_diffusion.transfer.meta import KEY, SHIPPED, MetaConfig, MetaSurrogate
from naslib_diffusion.transfer.priors import load_priors

SPACE = NASBench201()
RESIDUAL = Residual(0.1, 0.01, (2.0, 3.7))


class Convolutions:
    """Believes in 3x3 convolutions."""

    def belief(self, x):
        count = SPACE.features(x)[1][:, 4]
        return count - 1.0, torch.ones_like(count)


def surrogate():
    return AdaptedSurrogate(SPACE, Convolutions(), RESIDUAL)


def some(n, seed=0):
    return SPACE.encode(SPACE.sample(n, torch.Generator().manual_seed(seed)))


def test_belief_speaks_before_any_observation():
    x = some(20)
    mean, deviation = surrogate().posterior(x)
    assert torch.allclose(mean, Convolutions().belief(x)[0])
    assert (deviation >= 0.1**0.5).all()  # a task may differ more than most
    assert torch.allclose(deviation, deviation[0])


def test_shift_and_unit_are_found():
    x = some(30)
    truth = Convolutions().belief(x)[0]
    fitted = surrogate().fit(x, 7 + 5 * truth)
    new = some(50, seed=1)
    expected = 7 + 5 * Convolutions().belief(new)[0]
    assert (fitted.posterior(new)[0] - expected).abs().mean() < 0.3


def test_one_observation_changes_no_order():
    x, new = some(1), some(40, seed=1)
    before = surrogate().posterior(new)[0]
    after = surrogate().fit(x, torch.tensor([3.0]).double()).posterior(new)[0]
    assert spearmanr(before, after)[0] > 0.95


def test_misleading_belief_is_overruled():
    x, new = some(60), some(200, seed=1)
    fitted = surrogate().fit(x, -2 * Convolutions().belief(x)[0])
    assert spearmanr(fitted.posterior(new)[0], -Convolutions().belief(new)[0])[0] > 0.8


def test_fantasies_keep_the_mean_and_shrink_the_deviation():
    x, y = some(10), torch.randn(10, generator=torch.Generator().manual_seed(0)).double()
    for fitted in (surrogate(), surrogate().fit(x, y)):
        new = some(5, seed=1)
        mean, deviation = fitted.posterior(new)
        after_mean, after_deviation = fitted.fantasize(new).posterior(new)
        assert torch.allclose(mean, after_mean, atol=0.05)
        assert (after_deviation < deviation).all()


def test_posterior_is_differentiable():
    x = some(4).requires_grad_()
    mean, deviation = surrogate().fit(some(5), torch.arange(5.0).double()).posterior(x)
    (gradient,) = torch.autograd.grad((mean + deviation).sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.fixture(scope="module")
def network():
    x = some(400)
    found = MetaSurrogate(SPACE, MetaConfig(47, width=32, steps=300), RESIDUAL)
    found.distil(x, *Convolutions().belief(x))
    return found


def test_network_learns_a_belief(network):
    new = some(100, seed=1)
    truth = Convolutions().belief(new)[0]
    assert isinstance(network, AdaptivePrior)
    assert (network(new) - truth).square().mean() < 0.1 * truth.var()


def test_stored_network_is_the_same(network, tmp_path):
    network.save(tmp_path / "a.safetensors", {"seed": 0})
    again = MetaSurrogate.load(tmp_path / "a.safetensors", SPACE)
    assert torch.allclose(again(some(9)), network(some(9)), atol=1e-5)
    assert again.residual == network.residual


def _foreign(path):
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)


def _huge(path):
    header = {"space": "nasbench201", "config": {"inputs": 10**9}, "residual": {"lengths": [1]}}
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, {KEY: json.dumps(header)})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"x"), "is not a whole safetensors file"),
        (_foreign, "not a prior of this package"),
        (_huge, "damaged"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, write, message):
    write(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=message) as error:
        MetaSurrogate.load(tmp_path / "a.safetensors", SPACE)
    assert "\n" not in str(error.value)


def _change(header, tensors, what):
    """Change one thing of a file that is right otherwise."""
    part, name, value = what
    if part == "tensors":
        tensors[name][0] = value
    elif part == "header":
        header[name] = value
    else:
        header[part][name] = value


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (("header", "format", 999), "has format 999, newer than 1"),
        (("header", "format", None), "no format number"),
        (("residual", "lengths", [2.0]), "its residual needs 2 lengths"),
        (("residual", "lengths", ["x", 1]), "damaged"),
        (("residual", "noise", -1.0), "positive scales"),
        (("residual", "variance", float("nan")), "positive scales"),
        (("config", "inputs", 46), "it has 46 features"),
        (("config", "width", 10**9), "layers of 1000000000 units"),
        (("config", "width", "wide"), "damaged"),
        (("config", "extra", 1), "damaged"),
        (("header", "residual", []), "damaged"),
        (("header", "facts", [1]), "damaged"),
        (("tensors", "spread", 0.0), "spreads of its features must be positive"),
        (
            ("tensors", "layers.0.weight", float("nan")),
            "layers.0.weight holds values that are not",
        ),
        (("tensors", "center", float("inf")), "center holds values that are not finite"),
    ],
)
def test_whatever_is_wrong_with_a_prior_is_said_before_it_is_used(tmp_path, what, message):
    path = tmp_path / "a.safetensors"
    with safetensors.safe_open(SHIPPED / "nasbench201.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    _change(header, tensors, what)
    safetensors.torch.save_file(tensors, path, {KEY: json.dumps(header)})
    with pytest.raises(ValueError, match=message) as error:
        MetaSurrogate.load(path, SPACE)
    assert "a.safetensors" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sparse_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    size = 6 * 10**9
    header = {"a": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    with path.open("wb") as file:
        text = json.dumps(header).encode()
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)
    with pytest.raises(ValueError, match="at most 268,435,456 are read"):
        MetaSurrogate.load(path, SPACE)


def test_wrong_space_is_refused(network, tmp_path):
    network.save(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="is for space 'nasbench201', not for 'nasbenchgraph'"):
        MetaSurrogate.load(tmp_path / "a.safetensors", NASBenchGraph())
    with pytest.raises(ValueError, match="no prior ships for space 'mobilenetv3'"):
        load_priors(["default"], MobileNetV3())


def test_tables_are_priors_too(tmp_path):
    cells = SPACE.sample(40, torch.Generator().manual_seed(0))
    lines = [f"{cell},{str(cell).count('3x3')},1" for cell in dict.fromkeys(cells)]
    (tmp_path / "a.csv").write_text("arch,good,other\n" + "\n".join(lines))
    (prior,) = load_priors([f"{tmp_path}/a.csv:good"], SPACE)
    new = some(50, seed=1)
    assert spearmanr(prior(new), new[..., 5].sum(-1))[0] > 0.5
    with pytest.raises(ValueError, match="choose an objective"):
        load_priors([f"{tmp_path}/a.csv"], SPACE)


@pytest.mark.parametrize(("column", "limit"), [("cifar10_test_200", 12), ("cifar100_test_200", 8)])
def test_shipped_prior_finds_the_best_cell_soon(nasbench201_csv, column, limit):
    table = load_table(nasbench201_csv, SPACE, column)
    search = Search(SPACE, prior=MetaSurrogate.load("default", SPACE), seed=0)
    for _ in range(limit):
        (cell,) = search.ask()
        search.tell([cell], [table[cell]])
    assert search.best.value == table.optimum


def test_shipped_graph_prior_proposes_good_architectures():
    table = benchmark("nasbenchgraph/photo")
    search = Search(table.space, prior=MetaSurrogate.load("default", table.space), seed=0)
    best = max(table[arch] for arch in search.ask(3))
    assert (table.values > best).mean() < 0.02


def test_shipped_graph_prior_is_about_as_sure_of_all_architectures():
    space = NASBenchGraph()
    x = space.encode(space.sample(200, torch.Generator().manual_seed(0)))
    with torch.no_grad():
        deviations = MetaSurrogate.load("default", space).surrogate().posterior(x)[1]
    assert deviations.max() < 1.5 * deviations.min()


def test_shipped_prior_works_in_a_subset():
    cells = SPACE.sample(50, torch.Generator().manual_seed(0))
    space = Subset(SPACE, list(dict.fromkeys(cells)))
    search = Search(space, prior=load_priors(["default"], space))
    first = search.ask(3)
    assert len({space.canonical(cell) for cell in first}) == 3
    search.tell(first, [1.0, 2.0, float("nan")])
    assert search.ask(2)
