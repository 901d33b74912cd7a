"""Ray Tune with DiffusionNAGSampler: pip install "naslib-diffusion[ray]".

Ray runs the trainings, on as many machines as its cluster has; the sampler proposes them, in the
process that calls `fit`. Trials that run at the same time never get the same architecture.
"""

from __future__ import annotations

import argparse

import ray
from ray import tune
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from naslib_diffusion import DiffusionNAGSampler

OPERATIONS = ("conv", "skip", "pool")


def train(config: dict[str, object]) -> dict[str, float]:
    """Stand in for a training: convolutions are good, as is a width of 64."""
    operations = [str(config[f"op{i}"]) for i in range(3)]
    return {"loss": 3.0 - operations.count("conv") + abs(int(str(config["width"])) - 64) / 64}


def main(trials: int) -> None:
    """Search, and print the best configuration."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    sampler = DiffusionNAGSampler(seed=0, n_startup_trials=5)
    search = OptunaSearch(sampler=sampler, metric="loss", mode="min")
    space = {f"op{i}": tune.choice(OPERATIONS) for i in range(3)}
    tuner = tune.Tuner(
        train,
        param_space={**space, "width": tune.randint(8, 129)},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=trials,
            search_alg=ConcurrencyLimiter(search, max_concurrent=2),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(verbose=0),
    )
    results = tuner.fit()
    distinct = len({tuple(result.config.items()) for result in results})
    best = results.get_best_result()
    print(f"{len(results)} trials, {distinct} distinct, {results.num_errors} failed")
    print(f"best loss {best.metrics['loss']:.3f} of {best.config}")
    ray.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("trials", type=int, nargs="?", default=20)
    main(parser.parse_args().trials)
