"""A search in a file, and how its trials read."""

import json
import math

import pytest

from naslib_diffusion import Search
from naslib_diffusion.search import ParetoSearch
from naslib_diffusion.spaces import Categorical, NASBench201, ProductSpace, Real

SPACE = NASBench201()
PRODUCT = ProductSpace([Categorical(["a", "b"], name="block"), Real(1e-4, 1, True, name="lr")])
OPTIONS = {"strategy": "mutation", "initial": 3, "candidates": 8, "seed": 5, "device": "cpu"}


def value(arch):
    return float(len(str(arch)) % 7)


def begun(space=SPACE, **options):
    search = Search(space, **OPTIONS, **options)
    for _ in range(4):
        (arch,) = search.ask()
        search.tell(arch, value(arch))
    search.tell(space.sample(1)[0], math.nan)
    search.ask(2)
    return search


@pytest.mark.parametrize("distinct", ["isomorphic", "exact"])
@pytest.mark.parametrize("space", [SPACE, PRODUCT], ids=["cells", "product"])
def test_the_loaded_search_asks_what_the_other_one_asks(tmp_path, space, distinct):
    search = begun(space, distinct=distinct, direction="minimize")
    search.save(tmp_path / "search.json")
    loaded = Search.load(tmp_path / "search.json", space, device="cpu")
    assert loaded.pending == search.pending
    assert [(t.arch, t.constraints) for t in loaded.trials] == [
        (t.arch, t.constraints) for t in search.trials
    ]
    for _ in range(2):
        archs = search.ask(2)
        assert loaded.ask(2) == archs
        search.tell(archs, list(map(value, archs)))
        loaded.tell(archs, list(map(value, archs)))


def test_several_objectives_and_constraints(tmp_path):
    search = ParetoSearch(SPACE, ["maximize", "minimize"], **OPTIONS)
    archs = search.ask(4)
    search.tell(archs, [(value(a), i) for i, a in enumerate(archs)], [[i - 2] for i in range(4)])
    search.save(tmp_path / "s.json")
    loaded = ParetoSearch.load(tmp_path / "s.json", device="cpu")
    assert loaded.trials == search.trials
    assert loaded.ask() == search.ask()
    with pytest.raises(ValueError, match=r"holds a ParetoSearch; read it with ParetoSearch.load"):
        Search.load(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "not the file of a search"),
        ({"version": 2}, "its version is 2, not 1"),
        ({"space": ["mobilenetv3", [8, 7]]}, "of space 'mobilenetv3'"),
        ({"space": ["mine", [8, 7]]}, "of space 'mine'"),
        ({"settings": {"seed": "x"}}, "setting 'seed' cannot be 'x'"),
        ({"settings": {"seed": -1}}, "'seed' is -1, out of range"),
        ({"settings": {"evil": 1}}, "setting 'evil' cannot be 1"),
        ({"settings": {"prior": "object"}}, "cannot hold the argument 'prior'"),
        ({"trials": [{"arch": "x", "value": 1, "constraints": []}]}, "not a NAS-Bench-201 cell"),
        ({"trials": 3}, "damaged"),
        ({"asked": [1]}, "1 is not a string"),
        ({"predicted": [[]]}, "predicts 1 of 7 architectures"),
        ({"predicted": [[["x", 1, 1]]] * 7}, "cannot read"),
        ({"predicted": [[[1.0]]] * 7}, "cannot go on"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "s.json"
    begun().save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=message) as error:
        Search.load(path, SPACE)
    assert "\n" not in str(error.value)


def test_files_that_are_missing_or_no_json(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*nothing\.json: No such file"):
        Search.load(tmp_path / "nothing.json")
    (tmp_path / "s.json").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match=r"cannot read .*s\.json"):
        Search.load(tmp_path / "s.json")
    begun(PRODUCT).save(tmp_path / "p.json")
    with pytest.raises(ValueError, match="space 'product' cannot be made from its name"):
        Search.load(tmp_path / "p.json")


def test_the_best_reads_well():
    search = Search(SPACE, **OPTIONS)
    cell = SPACE.sample(1)[0]
    search.tell(cell, 93.25)
    assert str(search.best) == f"{cell}: 93.25"
    several = ParetoSearch(SPACE, ["maximize"] * 2, **OPTIONS)
    several.tell(cell, (1.5, 2))
    assert str(several.best) == f"{cell}: 1.5, 2"


def test_trials_as_a_table():
    pytest.importorskip("pandas")
    search = Search(SPACE, **OPTIONS)
    assert list(search.trials_dataframe().columns) == ["arch", "value", "feasible"]
    archs = search.ask(2)
    search.tell(archs, [1, math.nan], [[0.5], [-1]])
    frame = search.trials_dataframe()
    assert list(frame["arch"]) == list(map(str, archs))
    assert list(frame["feasible"]) == [False, True]
    assert list(frame["constraint_0"]) == [0.5, -1]


def test_one_architecture_or_its_string():
    search = Search(SPACE, **OPTIONS)
    a, b, c = SPACE.sample(3)
    search.tell(a, 1.0)
    search.tell(str(b), 2)
    search.tell([str(c)], [3.0])
    assert [(t.arch, t.value) for t in search.trials] == [(a, 1), (b, 2), (c, 3)]
    with pytest.raises(ValueError, match="'a string' is not a NAS-Bench-201 cell"):
        search.tell(["a string"], [1.0])
    with pytest.raises(ValueError, match="told with a list of values; give it one value"):
        search.tell(str(a), [1.0])
    with pytest.raises(ValueError, match="told with a list of values; give it one value"):
        search.tell(a, [1.0])
    with pytest.raises(ValueError, match="not an architecture of space 'nasbench201'"):
        search.tell([a], 1.0)
    assert len(search.trials) == 3


def test_exact_searches_may_ask_for_twins():
    cells = list(SPACE)
    twins = [cell for cell in cells if SPACE.canonical(cell) == SPACE.canonical(cells[0])]
    for distinct, left in (("isomorphic", 6465), ("exact", 15624)):
        search = Search(SPACE, distinct=distinct, **OPTIONS)
        search.tell(twins[0], 1.0)
        assert search.space.size - len(search.history.asked) == left
    with pytest.raises(ValueError, match="distinct must be"):
        Search(SPACE, distinct="equal")


def test_points_have_names():
    point = PRODUCT.parse('["a", 0.5]')
    assert (point["lr"], point.as_dict()) == (0.5, {"block": "a", "lr": 0.5})
    assert PRODUCT.sample(1)[0].as_dict().keys() == {"block", "lr"}
    with pytest.raises(KeyError, match="'lrr' is not a parameter; there are: block, lr"):
        point["lrr"]
