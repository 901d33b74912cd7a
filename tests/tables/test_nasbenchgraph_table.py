import pytest

from naslib_diffusion.spaces.nasbenchgraph import OPERATIONS
from naslib_diffusion.tables import TableError, benchmark, benchmark_names
from naslib_diffusion.tables.nasbenchgraph import GRAPHS

package = pytest.importorskip("nas_bench_graph")

COMPLETE = [name for name in GRAPHS if name != "proteins"]


def test_names():
    assert {f"nasbenchgraph/{name}" for name in GRAPHS} < set(benchmark_names())
    assert len(GRAPHS) == 9


@pytest.mark.parametrize("dataset", COMPLETE)
def test_all_26206_architectures_are_measured(dataset):
    table = benchmark(f"nasbenchgraph/{dataset}")
    assert (len(table), table.distinct, table.complete) == (26206, 26206, True)
    assert table.space.name == "nasbenchgraph"
    assert 0 <= table.values.min() < table.values.max() <= 1
    assert table.optimum == table[max(table, key=lambda pair: pair[1])[0]]


def test_proteins_are_a_subset():
    table = benchmark("nasbenchgraph/proteins")
    assert (len(table), table.distinct, table.complete) == (2021, 2021, False)
    assert table.space.size == 2021
    used = {OPERATIONS[op] for arch in table.archs for op in arch.operations}
    assert used == {"gcn", "sage", "arma", "fc", "skip"}


@pytest.mark.parametrize("dataset", ["cora", "proteins"])
def test_values_are_those_that_the_package_looks_up(dataset):
    table = benchmark(f"nasbenchgraph/{dataset}")
    data = package.light_read(dataset)
    for arch in table.space.sample(300):
        names = [OPERATIONS[op] for op in arch.operations]
        key = package.Arch(list(arch.wiring), names).valid_hash()
        assert table[arch] == data[key]["valid_perf"]


def test_a_missing_package_is_one_clear_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TableError, match=r"nas-bench-graph, .*\n?.*pip install .*\[bench\]"):
        benchmark("nasbenchgraph/cora")
