"""Ray Tune drives the sampler through its OptunaSearch."""

from __future__ import annotations

from pathlib import Path

import pytest

from naslib_diffusion import DiffusionNAGSampler

CHOICES = ("conv", "skip", "pool")


def train(config: dict[str, object]) -> dict[str, float]:
    return {"loss": CHOICES.index(str(config["op"])) + abs(float(str(config["x"])) - 0.3)}


@pytest.mark.slow
def test_ray_tune_reports_what_the_sampler_proposed(tmp_path: Path) -> None:
    tune = pytest.importorskip("ray.tune", reason="Ray is not installed (extra [ray])")
    import ray
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        sampler = DiffusionNAGSampler(seed=0, candidates=8, n_startup_trials=4)
        search = OptunaSearch(sampler=sampler, metric="loss", mode="min")
        tuner = tune.Tuner(
            train,
            param_space={"op": tune.choice(CHOICES), "x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(
                metric="loss", mode="min", num_samples=10,
                search_alg=ConcurrencyLimiter(search, max_concurrent=2),
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        )  # fmt: skip
        results = tuner.fit()
    finally:
        ray.shutdown()
    assert results.num_errors == 0
    assert len(results) == 10
    points = [tuple(result.config.items()) for result in results]
    assert len(set(points)) == 10
    assert results.get_best_result().metrics["loss"] < 0.5
