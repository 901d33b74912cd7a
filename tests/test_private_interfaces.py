"""What this package uses of others that they do not promise, each with a test that says so.

A release that changes one of them breaks its test here, by name, before it breaks a user's study.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import botorch
import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import PartialFixedSampler, RandomSampler

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("naslib_diffusion", "plugins")
WORD = re.compile(r"_[a-zA-Z]\w*")


def storage_takes_system_attributes() -> None:
    """Claims and predictions are kept there: `Study._storage`, `FrozenTrial._trial_id`."""
    study = optuna.create_study()
    study.ask()
    trial = study.get_trials()[0]
    for keep in (study._storage.set_trial_system_attr, study._storage.set_trial_user_attr):
        keep(trial._trial_id, "key", 0.5)
    trial = study.get_trials()[0]
    assert trial.system_attrs["key"] == trial.user_attrs["key"] == 0.5


def enqueued_parameters_are_told() -> None:
    """Values that are given are read from the system attribute `fixed_params`."""
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.5})
    assert study.get_trials()[0].system_attrs["fixed_params"] == {"x": 0.5}


def partial_samplers_tell_what_is_fixed() -> None:
    """`PartialFixedSampler._fixed_params` and `_base_sampler`."""
    base = RandomSampler()
    sampler = PartialFixedSampler({"x": 1}, base)
    assert sampler._fixed_params == {"x": 1}
    assert sampler._base_sampler is base


def brackets_lead_to_the_whole_study() -> None:
    """Hyperband shows samplers a view, whose `_study` is the study."""
    pruner = optuna.pruners.HyperbandPruner(1, 9, 3)
    study = optuna.create_study(sampler=RandomSampler(), pruner=pruner)
    trial = study.ask()
    pruner.prune(study, study.get_trials()[0])
    shown = pruner._create_bracket_study(study, 0)
    assert shown._study is study
    assert trial.number == 0


def trials_suggest_by_distribution() -> None:
    """`Trial._suggest` takes a name and a distribution of any kind."""
    trial = optuna.create_study().ask()
    assert trial._suggest("x", FloatDistribution(0, 0)) == 0


def distributions_tell_what_they_contain() -> None:
    """`BaseDistribution._contains`, of internal values."""
    choices = CategoricalDistribution(("a", "b"))
    assert choices._contains(choices.to_internal_repr("b"))
    assert not FloatDistribution(0, 1)._contains(2.0)


def samplers_share_a_lazy_random_state() -> None:
    """`LazyRandomState`, with which a copy in another process may be seeded anew."""
    from optuna.samplers._lazy_random_state import LazyRandomState

    assert LazyRandomState(0).rng.randint(9) == LazyRandomState(0).rng.randint(9)


def incremental_baselines_hold_what_is_pending() -> None:
    """qLogNEI keeps it at the end of `_full_X_baseline`, behind `_X_baseline`."""
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement

    x = torch.rand(4, 2, dtype=torch.double)
    model = botorch.models.SingleTaskGP(x, x.sum(1, keepdim=True))
    function = qLogNoisyExpectedImprovement(model, x, prune_baseline=False)
    function.set_X_pending(torch.full((1, 2), 0.5, dtype=torch.double))
    assert len(function._X_baseline) == 4
    assert len(function._full_X_baseline) == 5


def models_keep_inputs_as_they_were_given() -> None:
    """`_original_train_inputs`, before input transforms."""
    from botorch.models.transforms import Normalize

    x = 9 * torch.rand(4, 2, dtype=torch.double)
    model = botorch.models.SingleTaskGP(x, x[:, :1], input_transform=Normalize(2)).eval()
    model.posterior(x)
    assert torch.equal(model._original_train_inputs, x)


def lists_of_tensors_move_towards_others() -> None:
    """`torch._foreach_lerp_`, of the average of a network's weights."""
    ones = [torch.zeros(2), torch.zeros(1)]
    torch._foreach_lerp_(ones, [torch.ones(2), torch.ones(1)], 0.25)
    assert torch.cat(ones).tolist() == [0.25] * 3


def batch_normalisations_are_one_class() -> None:
    """`_BatchNorm`, by which untrained networks are told what to normalise."""
    assert issubclass(torch.nn.BatchNorm2d, torch.nn.modules.batchnorm._BatchNorm)


USED: dict[str, Callable[[], None]] = {
    "_storage": storage_takes_system_attributes,
    "_trial_id": storage_takes_system_attributes,
    "fixed_params": enqueued_parameters_are_told,
    "_fixed_params": partial_samplers_tell_what_is_fixed,
    "_base_sampler": partial_samplers_tell_what_is_fixed,
    "_study": brackets_lead_to_the_whole_study,
    "_suggest": trials_suggest_by_distribution,
    "_contains": distributions_tell_what_they_contain,
    "_lazy_random_state": samplers_share_a_lazy_random_state,
    "_full_X_baseline": incremental_baselines_hold_what_is_pending,
    "_X_baseline": incremental_baselines_hold_what_is_pending,
    "_original_train_inputs": models_keep_inputs_as_they_were_given,
    "_BatchNorm": batch_normalisations_are_one_class,
    "_foreach_lerp_": lists_of_tensors_move_towards_others,
}
"""By name; `fixed_params` is a key that Optuna does not document."""

OTHER_WORDS = {"_codecs", "_inputs", "_second", "_train_seconds_200", "_val_200"}
"""Strings that look like such names: a module in pickles, ends of columns and of parameters."""


@pytest.mark.parametrize("name", USED)
def test_what_others_do_not_promise_is_as_it_was(name: str) -> None:
    USED[name]()


def test_all_of_it_is_listed() -> None:
    trees = [
        ast.parse(path.read_text()) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    own, used = set[str](), set[str]()
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                own.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                own.add(name)
            case ast.Attribute(attr=name) if WORD.fullmatch(name):
                used.add(name)
            case ast.Constant(value=str(name)) if WORD.fullmatch(name):
                used.add(name)
            case ast.ImportFrom(module=str(module)):
                used.update(part for part in module.split(".") if WORD.fullmatch(part))
    listed = {name for name in USED if name.startswith("_")}
    assert used - own - OTHER_WORDS == listed - own
    assert listed <= used
