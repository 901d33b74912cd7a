"""NASLib's plugin without NASLib: the optimizer's contract, tables, settings, codecs."""

import enum
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from naslib_diffusion.plugins.naslib import DiffusionNAG, compat, configuration
from naslib_diffusion.plugins.naslib.dataset_api import TEST_DATA, table_api
from naslib_diffusion.plugins.naslib.settings import ConfigError, Settings
from naslib_diffusion.plugins.naslib.spaces import (
    DARTSCodec,
    NASBench201Codec,
    TransNASBench101Codec,
    UnsupportedSpace,
    codec_for,
)

from naslib_diffusion.spaces import NASBench201

CELL = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|skip_connect~2|"
CODECS = {
    "nasbench201": NASBench201Codec,
    "transbench101": TransNASBench101Codec,
    "transbench101 as graph": lambda: TransNASBench101Codec(as_graph=True),
    "darts": DARTSCodec,
}
Metric = enum.Enum("Metric", "RAW TRAIN_ACCURACY VAL_ACCURACY TEST_ACCURACY TRAIN_TIME")


class HostSpace:
    """What the optimizer needs of a NASLib search space."""

    QUERYABLE = True
    OPTIMIZER_SCOPE = ("stage_1",)
    space_name = "nasbench201"
    built = 0

    def __init__(self):
        self.instantiate_model = True
        self.op_indices = None

    def get_type(self):
        return "nasbench201"

    def clone(self):
        type(self).built += 1
        return HostSpace()

    def get_op_indices(self):
        return self.op_indices

    def set_spec(self, spec, dataset_api=None):
        assert self.op_indices is None
        assert all(type(index) is int for index in spec)
        self.op_indices = list(spec)

    def query(self, metric, dataset, dataset_api=None):
        dataset_api["queried"].append((metric, tuple(self.op_indices)))
        convolutions = self.op_indices.count(2) + 0.5 * self.op_indices.count(3)
        value = np.float32(80 + convolutions + 0.01 * self.op_indices[0])
        return {"all": value} if metric is Metric.RAW else value


@pytest.fixture
def without_naslib(monkeypatch):
    modules = {"naslib.search_spaces.core.query_metrics": SimpleNamespace(Metric=Metric)}
    monkeypatch.setattr(compat, "load", modules.__getitem__)
    monkeypatch.setattr(HostSpace, "built", 0)


def make(seed=0, **search):
    search = {"epochs": 20, "seed": seed, "num_init": 5, **search}
    config = SimpleNamespace(dataset="cifar10", seed=seed, search=SimpleNamespace(**search))
    optimizer = DiffusionNAG(config)
    optimizer.adapt_search_space(HostSpace(), dataset_api={"queried": []})
    optimizer.before_training()
    return optimizer


def train(optimizer, epochs):
    statistics = []
    for epoch in epochs:
        optimizer.new_epoch(epoch)
        statistics.append(optimizer.train_statistics(True))
    return statistics


def queried(optimizer):
    return [code for m, code in optimizer.dataset_api["queried"] if m is Metric.VAL_ACCURACY]


def test_importing_the_plugin_does_not_import_naslib(environment):
    code = (
        "import sys; from naslib_diffusion.plugins.naslib import DiffusionNAG; "
        "sys.exit('naslib' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
    )


def test_constructor_and_hooks_are_what_naslib_calls(without_naslib):
    assert list(inspect.signature(DiffusionNAG).parameters) == ["config", "zc_api"]
    assert DiffusionNAG.using_step_function is False
    optimizer = make()
    assert optimizer.get_model_size() == 0
    assert isinstance(optimizer.get_checkpointables()["model"], torch.nn.Module)
    with pytest.raises(NotImplementedError):
        optimizer.get_op_optimizer()
    with pytest.raises(ValueError, match="no architecture"):
        optimizer.get_final_architecture()


@pytest.mark.usefixtures("without_naslib")
class TestSearch:
    def test_statistics_are_json_and_follow_the_incumbent(self):
        optimizer = make()
        statistics = train(optimizer, range(15))
        assert json.loads(json.dumps(statistics))
        validations = [row[1] for row in statistics]
        assert validations == sorted(validations)
        assert all(type(number) in (int, float) for row in statistics for number in row)
        assert optimizer.test_statistics()["all"] == pytest.approx(validations[-1])
        optimizer.after_training()

    def test_latest_is_reported_when_asked_for(self):
        optimizer = make()
        train(optimizer, range(4))
        assert optimizer.train_statistics(False)[1] == pytest.approx(optimizer.history.values[-1])

    def test_finds_the_optimum_and_never_repeats_a_class(self):
        optimizer = make(epochs=30)
        statistics = train(optimizer, range(30))
        assert statistics[-1][1] == pytest.approx(86.02)
        space = NASBench201()
        cells = [NASBench201Codec().arch(code) for code in optimizer.history.codes]
        assert len({space.canonical(cell) for cell in cells}) == 30

    def test_same_seed_same_run(self):
        runs = [make(seed) for seed in (3, 3, 4)]
        for optimizer in runs:
            torch.manual_seed(len(runs))  # what NASLib seeds does not matter
            train(optimizer, range(8))
        assert runs[0].history.codes == runs[1].history.codes != runs[2].history.codes

    def test_graphs_with_a_model_are_built_for_the_final_architecture_only(self):
        optimizer = make()
        train(optimizer, range(8))
        assert HostSpace.built == 1  # the optimizer's own copy of the space
        best = optimizer.get_final_architecture()
        assert optimizer.get_final_architecture() is best
        assert HostSpace.built == 2
        assert tuple(best.get_op_indices()) == optimizer.history.best

    def test_resumes_as_if_it_had_never_stopped(self, tmp_path):
        whole, first, second = make(), make(), make()
        train(whole, range(12))
        train(first, range(7))
        torch.save(first.get_checkpointables()["model"].state_dict(), tmp_path / "model.pth")
        state = torch.load(tmp_path / "model.pth", weights_only=True)
        second.get_checkpointables()["model"].load_state_dict(state, strict=False)
        assert second.get_final_architecture().op_indices == list(first.history.best)
        train(second, range(7, 12))
        assert second.history.codes == whole.history.codes
        assert second.history.values == whole.history.values

    @pytest.mark.parametrize(
        "search", [{"surrogate": "ensemble", "acq_fn_type": "its"}, {"acq_fn_type": "ucb"}]
    )
    def test_other_surrogates_and_acquisitions_run(self, search):
        optimizer = make(num_candidates=8, diffusion_steps=4, polish=0, **search)
        train(optimizer, range(7))
        assert len(set(queried(optimizer))) == 7

    def test_a_prior_replaces_the_random_start(self, tmp_path):
        path = tmp_path / "earlier.csv"
        cells = NASBench201().sample(200, torch.Generator().manual_seed(0))
        rows = {str(cell): cell.to_naslib().count(2) + 1e-3 * cell.operations[0] for cell in cells}
        path.write_text("arch,acc\n" + "".join(f"{a},{v}\n" for a, v in rows.items()))
        optimizer = make(num_init=0, prior=f"{path}:acc")
        train(optimizer, range(3))
        assert optimizer.history.values[0] > 84.5  # at random it is 80 to 82

    def test_untrained_networks_replace_the_random_start(self):
        optimizer = make(num_init=0, prior="zero-cost")
        train(optimizer, range(1))
        cell = queried(optimizer)[0]
        assert list(cell).count(2) >= 3  # mostly 3 x 3 convolutions

    def test_a_missing_prior_is_named(self):
        with pytest.raises(ConfigError, match=r"search.prior: .*missing\.csv"):
            make(prior="missing.csv")

    def test_needs_a_benchmark(self):
        with pytest.raises(ConfigError, match="dataset_api"):
            make().adapt_search_space(HostSpace())


def test_unknown_space_lists_those_that_are_known():
    with pytest.raises(UnsupportedSpace, match=r"'nlp' is not.*nasbench201, transbench101_micro"):
        codec_for(SimpleNamespace(get_type=lambda: "nlp"))


@pytest.mark.parametrize("name", CODECS)
def test_codes_are_inverted(name):
    codec = CODECS[name]()
    for arch in codec.space.sample(50, torch.Generator().manual_seed(0)):
        code = codec.code(arch)
        assert codec.arch(code) == arch
        assert all(type(number) is int for number in code)


def test_codes_are_naslibs():
    cell = NASBench201().parse(CELL)
    assert NASBench201Codec().code(cell) == (4, 3, 1, 0, 2, 0)
    micro = TransNASBench101Codec().space.parse("64-41414-0_21_031")
    assert TransNASBench101Codec().code(micro) == (0, 2, 1, 0, 3, 1)
    assert TransNASBench101Codec(as_graph=True).code(micro) == (1, 3, 1, 0, 2, 0)


def test_darts_codes_ignore_the_order_of_a_nodes_edges():
    codec = DARTSCodec()
    (arch,) = codec.space.sample(1, torch.Generator().manual_seed(1))
    spec = codec.spec(codec.code(arch))
    swapped = [n for cell in spec for i in range(8) for n in cell[i ^ 1]]
    assert codec.arch(swapped) == arch
    assert [len(cell) for cell in spec] == [8, 8]
    assert all(
        low[0] < high[0] for cell in spec for low, high in zip(cell[::2], cell[1::2], strict=True)
    )


def test_numpy_integers_of_naslibs_mutate_become_plain_ones():
    graph = SimpleNamespace(get_op_indices=lambda: [np.int64(3), 1, 2, 0, 4, 0])
    code = NASBench201Codec().read(graph)
    assert code == (3, 1, 2, 0, 4, 0)
    assert {type(index) for index in code} == {int}


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"num_init": 0}, "search.num_init must be an integer of at least 1, not 0"),
        ({"num_candidates": 2.5}, "num_candidates"),
        ({"acq_fn_type": "exploit_only"}, "must be one of ei, ucb, its; not 'exploit_only'"),
        ({"surrogate": "xgb"}, "gp, ensemble"),
        ({"guidance_scale": -2.0}, "guidance_scale"),
        ({"polish": -1}, "polish"),
    ],
)
def test_bad_settings_say_what_is_allowed(search, message):
    with pytest.raises(ConfigError, match=message):
        Settings.read(SimpleNamespace(**search))


def test_settings_reach_the_generator():
    strategy = Settings(diffusion_steps=7, guidance_scale=2.0, polish=1).strategy
    assert (strategy.steps, strategy.scale, strategy.polish) == (7, 2.0, 1)
    assert Settings().strategy.scale is None


class TestTable:
    @pytest.fixture
    def table(self, tmp_path):
        path = tmp_path / "table.csv"
        path.write_text(f"arch,cifar10_val_200,cifar10_test_200,other\n{CELL},88.5,91.25,3\n")
        return path

    def test_validation_and_test_are_apart(self, table):
        api = table_api(table, "nasbench201", "cifar10")
        entry = {key: api[key][CELL]["cifar10-valid"] for key in ("nb201_data", TEST_DATA)}
        assert entry["nb201_data"]["eval_acc1es"][-1] == 88.5
        assert entry[TEST_DATA]["eval_acc1es"][-1] == 91.25
        assert entry["nb201_data"]["cost_info"]["train_time"] == -1

    def test_columns_can_be_named(self, table):
        api = table_api(table, "nasbench201", "cifar10", validation="other", train_time="other")
        entry = api["nb201_data"][CELL]["cifar10-valid"]
        assert (entry["eval_acc1es"][-1], entry["cost_info"]["train_time"]) == (3, 3)

    def test_values_are_read_only_when_they_are_queried(self, table):
        api = table_api(table, "nasbench201", "cifar10")
        table.unlink()
        with pytest.raises(ConfigError, match="cannot read"):
            api["nb201_data"][CELL]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("nasbench201", "cifar100"), "no column cifar100_val_200 or .*--validation.*other"),
            (("nasbench301", "cifar10"), "not for 'nasbench301'"),
        ],
    )
    def test_mistakes_are_explained(self, table, arguments, message):
        with pytest.raises(ConfigError, match=message):
            table_api(table, *arguments)

    def test_a_missing_row_is_named(self, table):
        api = table_api(table, "nasbench201", "cifar10")
        other = CELL.replace("avg_pool_3x3", "nor_conv_3x3")
        with pytest.raises(ConfigError, match="no row for the architecture"):
            api["nb201_data"][other]

    def test_transnasbench(self, tmp_path):
        path = tmp_path / "micro.csv"
        path.write_text('arch,jigsaw\n"(0, 1, 2, 3, 0, 1)",94.5\n')
        api = table_api(path, "transbench101_micro", "jigsaw")
        arch = "64-41414-0_12_301"
        values = [
            api["api"].get_single_metric(arch, "jigsaw", metric, mode="final")
            for metric in ("valid_top1", "test_top1", "train_top1", "valid_loss", "time_elapsed")
        ]
        assert values == [94.5, -1, -1, -1, -1]
        assert api["api"].get_arch_result(arch).query_all_results()["jigsaw"]["valid"] == 94.5


class TestOverrides:
    content = {  # noqa: RUF012
        "seed": 0,
        "out_dir": "run",
        "search": {"fidelity": -1, "scale": 1.0, "models": True},
    }

    @pytest.mark.parametrize(
        ("key", "value", "written"),
        [
            ("seed", "7", "7"),
            ("out_dir", "5", "'5'"),
            ("out_dir", "runs/x", "runs/x"),
            ("search.fidelity", "-1", "-1"),
            ("search.scale", "2", "2.0"),
            ("search.models", "False", "False"),
        ],
    )
    def test_values_keep_the_type_of_their_key(self, key, value, written):
        found = configuration._checked_overrides(self.content, [key, value], Path("c.yaml"))
        assert found == [key, written]

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (["seed"], "'seed' stands alone"),
            (["search.k", "1"], "'search.k' is not a key.*search has: fidelity"),
            (["--tabel", "x"], "'--tabel' is not a key"),
            (["seed", "many"], "seed must be of type int, not 'many'"),
            (["search.models", "1"], "must be of type bool"),
        ],
    )
    def test_mistakes_are_explained(self, overrides, message):
        with pytest.raises(ConfigError, match=message):
            configuration._checked_overrides(self.content, overrides, Path("c.yaml"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("seed: 0", "lacks optimizer, search_space, dataset, out_dir, search"),
            ("- 1", "not a NASLib config"),
            ("a: [", "not YAML"),
        ],
    )
    def test_bad_files_are_explained(self, tmp_path, text, message):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            configuration.read_config(path, [])

    def test_unknown_optimizers_are_listed(self, tmp_path):
        path = tmp_path / "config.yaml"
        path.write_text(
            "{seed: 0, optimizer: bo, search_space: nasbench201, dataset: cifar10, out_dir: r, "
            "search: {epochs: 1, checkpoint_freq: 1}}"
        )
        with pytest.raises(ConfigError, match=r"unknown optimizer 'bo'; known: .*rs"):
            configuration.read_config(path, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [1, 1]\nb: [*a, *a]\n", r"refers to itself by \*a; write the value out"),
        ("a: 2024-99-99\n", "is not YAML: month must be in"),
        ("[" * 5000, "nested in more than 16 levels"),
        ("a: " + "9" * 5000, "is not YAML: Exceeds the limit"),
        ("a: " + "x" * 300_000, "more than 262,144 bytes"),
    ],
)
def test_configs_that_grow_when_they_are_read(tmp_path, text, message):
    path = tmp_path / "hostile.yaml"
    path.write_text(text)
    with pytest.raises(configuration.ConfigError, match=message) as error:
        configuration.read_config(path, [])
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
