"""Search an architecture and its training parameters jointly."""

from __future__ import annotations

import math

import optuna
import optunahub


def objective(trial: optuna.Trial) -> float:
    """Stand in for a training: fewest poolings, width 64, rate 1e-3."""
    ops = [trial.suggest_categorical(f"op{i}", ("conv", "skip", "pool")) for i in range(4)]
    width = trial.suggest_int("width", 8, 256, log=True)
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    return ops.count("pool") + abs(math.log2(width) - 6) + abs(math.log10(rate) + 3)


if __name__ == "__main__":
    sampler = optunahub.load_module("samplers/diffusion_nag").DiffusionNAGSampler(seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=40)
    print(study.best_value, study.best_params)
