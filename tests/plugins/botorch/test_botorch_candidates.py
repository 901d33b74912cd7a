"""`DiffusionCandidates` in optuna-integration's BoTorchSampler, and the tutorial."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from botorch.exceptions.errors import InputDataError
from naslib_diffusion.plugins.botorch import DiffusionCandidates

from naslib_diffusion.spaces import Categorical, Integer, ProductSpace, Real

pytestmark = pytest.mark.filterwarnings("ignore:A not p.d., added jitter")

SPACE = ProductSpace(
    [Categorical(("a", "b", "c"), name="kind"), Integer(1, 8, name="n"), Real(0.0, 2.0, name="x")]
)
BOUNDS = torch.tensor([[0, 0, 0, 0.5, 0], [1, 1, 1, 8.5, 2]]).double()
TUTORIAL = Path(__file__).resolve().parents[3] / "examples" / "botorch_tutorial.py"


def history(n=12):
    unit = SPACE.encode(SPACE.sample(n, torch.Generator().manual_seed(0)))
    return BOUNDS[0] + unit * (BOUNDS[1] - BOUNDS[0])


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("constrained", [False, True])
def test_proposes_a_new_point(objectives, constrained):
    torch.manual_seed(0)
    x = history()
    values = torch.stack([x[:, 0] - x[:, 4], x[:, 3]], 1)[:, :objectives]
    limits = x[:, 3:4] - 6 if constrained else None
    found = DiffusionCandidates(SPACE, {"seed": 0})(x, values, limits, BOUNDS, x[:1])
    assert found.shape == (1, 5)
    assert sorted(found[0, :3].tolist()) == [0, 0, 1]
    assert float(found[0, 3]) == pytest.approx(round(float(found[0, 3])))
    assert 0 <= float(found[0, 4]) <= 2
    assert not (found == x).all(-1).any()


def test_a_space_that_does_not_fit():
    x = history()
    candidates = DiffusionCandidates(ProductSpace.categorical([4]))
    with pytest.raises(InputDataError, match="the study has 5 columns, the space has 4"):
        candidates(x, x[:, :1], None, BOUNDS, None)


@pytest.mark.slow
def test_in_a_study():
    integration = pytest.importorskip("optuna_integration", reason="needs optuna-integration")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = integration.BoTorchSampler(
        candidates_func=DiffusionCandidates(SPACE), n_startup_trials=6, seed=0
    )
    study = optuna.create_study(sampler=sampler)

    def objective(trial):
        kind = trial.suggest_categorical("kind", ("a", "b", "c"))
        n, x = trial.suggest_int("n", 1, 8), trial.suggest_float("x", 0.0, 2.0)
        return (kind != "b") + (n - 5) ** 2 + (x - 0.5) ** 2

    study.optimize(objective, n_trials=18)
    assert study.best_value < 1
    assert len({tuple(t.params.values()) for t in study.trials[6:]}) == 12


@pytest.mark.slow
def test_the_tutorial_runs(capsys):
    tutorial = runpy.run_path(str(TUTORIAL))
    torch.manual_seed(0)
    found = tutorial["search"](tutorial["formula"], 16)
    space = tutorial["space"]
    assert len({space.canonical(cell) for cell, _ in found}) == 16
    assert max(v for _, v in found[10:]) > max(v for _, v in found[:10])
    assert "16 evaluations, best" in capsys.readouterr().out
