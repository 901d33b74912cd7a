"""Training: the loss, the target it reaches, and that nothing is lost when it is cut off."""

import dataclasses
import socket
import subprocess
import sys
import textwrap

import pytest
import torch
from toy import SMALL, Wired

from naslib_diffusion.diffusion import ExactDenoiser, TrainConfig, train
from naslib_diffusion.diffusion.config import noise_levels
from naslib_diffusion.diffusion.processes import Local, make_processes
from naslib_diffusion.diffusion.quality import measure, relative_error
from naslib_diffusion.diffusion.training import score_matching_loss
from naslib_diffusion.spaces import NASBench201

SPACE = NASBench201()
QUICK = TrainConfig(steps=12, batch_size=32, warmup=3, save_every=4)


class Cut(Exception):
    """Stands for a power cut."""


def weights(trained):
    return trained.network.state_dict()


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def cut_at(step):
    def callback(progress):
        if progress.step == step:
            raise Cut

    return callback


def test_the_loss_is_that_of_eq_3():
    random = torch.Generator().manual_seed(0)
    x0 = SPACE.encode(SPACE.sample(16, random))
    z = torch.randn(x0.shape, generator=random, dtype=x0.dtype)
    sigma = torch.linspace(0.1, 3, 16, dtype=x0.dtype)
    denoiser = ExactDenoiser(SPACE)
    x = x0 + sigma[:, None, None] * z
    score = (denoiser(x, sigma) - x) / sigma[:, None, None] ** 2
    error = (score - -z / sigma[:, None, None]).square().mean((1, 2))
    expected = (sigma**2 * (sigma**2 + 0.25) / 0.25 * error).mean()
    torch.testing.assert_close(score_matching_loss(denoiser, x0, sigma, z), expected)


def test_noise_levels_are_log_normal_within_their_range():
    config = TrainConfig(sigma_min=0.1, sigma_max=4.0, sigma_median=0.5, sigma_spread=0.7)
    levels = noise_levels(config, torch.linspace(0, 1, 10_001)).double()
    assert (levels.diff() > 0).all()
    torch.testing.assert_close(
        levels[[0, -1]], torch.tensor([0.1, 4.0]).double(), rtol=1e-4, atol=0
    )
    normal = (levels / 0.5).log() / 0.7
    law = torch.distributions.Normal(0.0, 1.0)
    first, last = law.cdf(normal[0]), law.cdf(normal[-1])
    shares = (law.cdf(normal) - first) / (last - first)
    torch.testing.assert_close(shares, torch.linspace(0, 1, 10_001).double(), atol=1e-4, rtol=0)


def test_a_seed_fixes_all():
    state = torch.random.get_rng_state()
    first, again = train(SPACE, QUICK, SMALL), train(SPACE, QUICK, SMALL)
    other = train(SPACE, dataclasses.replace(QUICK, seed=1), SMALL)
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("space", [SPACE, Wired()], ids=["fixed", "wired"])
def test_resumed_equals_uninterrupted(tmp_path, space):
    whole = train(space, QUICK, SMALL)
    path = tmp_path / "a.state"
    for cut in (6, 9):
        with pytest.raises(Cut):
            train(space, QUICK, SMALL, state=path, resume=path.exists(), callback=cut_at(cut))
    resumed = train(space, QUICK, SMALL, state=path, resume=True)
    assert same(weights(whole), weights(resumed))
    assert (resumed.steps, resumed.loss) == (whole.steps, whole.loss)


@pytest.mark.slow
def test_resumes_after_kill_9(tmp_path, environment):
    """Killed three times at arbitrary moments, the result is that of one go."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            import sys
            from pathlib import Path

            import torch
            from toy import SMALL

            from naslib_diffusion.diffusion import TrainConfig, train
            from naslib_diffusion.spaces import NASBench201

            torch.set_num_threads(1)
            config = TrainConfig(steps=60, batch_size=256, warmup=3, save_every=1)
            path = Path(sys.argv[1])
            said = lambda progress: print(progress.step, flush=True)
            options = {"state": path, "resume": path.exists(), "callback": said}
            train(NASBench201(), config, SMALL, **options).network.save(sys.argv[2])
        """)
    )
    path, out = tmp_path / "a.state", tmp_path / "a.safetensors"
    command = [sys.executable, program, path, out]
    for lines in (7, 9, 11):
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            for _ in range(lines):
                assert process.stdout.readline()
            process.kill()
    steps = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert int(steps.split()[0]) > 20
    once = [sys.executable, program, tmp_path / "b.state", tmp_path / "b.safetensors"]
    subprocess.run(once, env=environment, check=True, capture_output=True)
    assert out.read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_state_needs_the_same_settings(tmp_path):
    path = tmp_path / "a.state"
    with pytest.raises(ValueError, match="there is no training to resume"):
        train(SPACE, QUICK, SMALL, state=path, resume=True)
    train(SPACE, QUICK, SMALL, state=path)
    longer = dataclasses.replace(QUICK, steps=20)
    with pytest.raises(ValueError, match="other settings: steps was 12, now 20"):
        train(SPACE, longer, SMALL, state=path, resume=True)
    with pytest.raises(ValueError, match="samples was None, now"):
        train(SPACE, QUICK, SMALL, samples=SPACE.sample(9), state=path, resume=True)
    for damaged in (path.read_bytes()[:-100], b"", b"nonsense" * 30):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged") as error:
            train(SPACE, QUICK, SMALL, state=path, resume=True)
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_short_training_comes_close_to_the_exact_denoiser():
    exact = ExactDenoiser(SPACE)
    x0 = SPACE.encode(SPACE.sample(1000, torch.Generator().manual_seed(5)))

    def errors(network):
        random = torch.Generator().manual_seed(6)
        return [relative_error(network, exact, x0, sigma, random) for sigma in (0.3, 0.6, 1.2)]

    config = TrainConfig(steps=1, batch_size=256)
    before = errors(train(SPACE, config).network)
    trained = train(SPACE, dataclasses.replace(config, steps=150, warmup=30))
    after = errors(trained.network)
    assert max(after) < 0.02
    assert all(a < b / 10 for a, b in zip(after, before, strict=True))
    quality = measure(trained.network, SPACE, exact, n=2000, steps=10)
    assert quality.validity == 1
    assert quality.thresholded_validity > 0.98
    assert quality.node_distance < 2 * quality.perfect_node_distance


def test_learns_the_law_of_samples():
    """Samples from which one operation is missing: the network leaves it out."""
    cells = [cell for cell in SPACE.sample(2000) if 0 not in cell.operations]
    config = TrainConfig(steps=80, batch_size=128, warmup=10)
    network = train(SPACE, config, SMALL, samples=cells).network
    x = torch.full((4, 8, 7), 0.5)
    assert float(network(x, 3.0)[:, 1:7, 2].mean()) < 0.05


def test_learns_wiring():
    """Edge 0 -> 2 is there if and only if 0 -> 1 is."""
    space = Wired()
    random = torch.Generator().manual_seed(0)
    archs = [(a, (b[0], b[0], b[2])) for a, b in space.sample(500, random)]
    config = TrainConfig(steps=300, batch_size=128, warmup=20, learning_rate=1e-2)
    network = train(space, config, SMALL, samples=archs).network
    x = torch.full((2, 3, 5), 0.5)
    x[0, 0, 3], x[1, 0, 3] = 2.0, -1.0  # evidence on edge 0 -> 1 alone
    present, absent = network(x, 0.5)[:, 0, 4].tolist()
    assert present > 0.8
    assert absent < 0.2


def test_stops_in_time():
    config = dataclasses.replace(QUICK, steps=10**6, minutes=0.01)
    trained = train(SPACE, config, SMALL)
    assert 0 < trained.steps < 10**4
    assert 0.6 <= trained.seconds < 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be positive, not 0"),
        ({"minutes": -1}, "minutes must be positive"),
        ({"sigma_min": 7.0}, "need 0 < sigma_min < sigma_max"),
        ({"sigma_spread": 0}, "sigma_spread must be positive"),
        ({"ema": 1.0}, r"ema must be in \[0, 1\)"),
        ({"precision": "16"}, "precision must be"),
    ],
)
def test_bad_configurations(options, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**options)


def test_no_samples():
    with pytest.raises(ValueError, match="no samples to train on"):
        train(SPACE, QUICK, SMALL, samples=[])


def test_missing_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ValueError, match="sees no GPU"):
        make_processes(1, "cuda", "32")
    assert isinstance(make_processes(1, "cpu", "32"), Local)


def test_bf16_on_the_cpu():
    trained = train(SPACE, dataclasses.replace(QUICK, precision="bf16"), SMALL,
                    processes=Local("cpu", "bf16"))  # fmt: skip
    assert all(tensor.dtype == torch.float32 for tensor in weights(trained).values())
    assert trained.loss < 1


@pytest.mark.slow
def test_two_processes(tmp_path, environment):
    """Two gloo processes: each draws its own architectures, both end with the same weights."""
    pytest.importorskip("lightning_fabric")
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            import sys

            import torch
            from toy import SMALL

            from naslib_diffusion.diffusion import TrainConfig, train
            from naslib_diffusion.diffusion.processes import make_processes
            from naslib_diffusion.spaces import NASBench201

            torch.set_num_threads(1)
            group = make_processes(2, "cpu", "32")
            assert group.world == 2
            config = TrainConfig(steps=8, batch_size=32, warmup=3)
            trained = train(NASBench201(), config, SMALL, processes=group)
            trained.network.save(f"{sys.argv[1]}/{group.rank}.safetensors")
        """)
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment | {"MASTER_PORT": str(port)}
    subprocess.run([sys.executable, program, tmp_path], env=env, check=True, timeout=200)
    files = [(tmp_path / f"{rank}.safetensors").read_bytes() for rank in (0, 1)]
    assert files[0] == files[1]
    # the mean of two gradients of 32 different architectures each, not of 32 twice
    alone = train(SPACE, TrainConfig(steps=8, batch_size=32, warmup=3), SMALL)
    alone.network.save(tmp_path / "alone.safetensors")
    assert files[0] != (tmp_path / "alone.safetensors").read_bytes()
