"""A checkpoint's policy behind the server: the same chunks from all back ends, and as without a server."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from robot_learning.clock import SystemClock
from robot_learning.contract import Contract, Feature, StreamSpec
from robot_learning.data.windows import WindowSpec
from robot_learning.deployment.backends import PolicyBackend, load_backend
from robot_learning.deployment.client import PolicyClient
from robot_learning.errors import ConfigError
from robot_learning.policies import checkpoint, registry
from robot_learning.policies.config import VisionConfig
from robot_learning.policies.diffusion.config import DiffusionTransformerConfig, DiffusionUNetConfig
from robot_learning.policies.encode import Encoding
from robot_learning.policies.normalizer import Normalizer
from robot_learning.policies.view import View

PATIENCE_S = 60.0
VISION = VisionConfig(image_size=(64, 64), crop=0.75, backbone="resnet10t", keypoints=4, feature_dim=8)
UNET = DiffusionUNetConfig(dims=(16, 32), step_dim=16, Tp=8, Ta=4, vision=VISION)
TINY = replace(UNET, dims=(8,), step_dim=8)
TRANSFORMER = DiffusionTransformerConfig(layers=1, heads=2, dim=32, Tp=8, Ta=4)
UNITS = {
    "joints": ((3,), "float64", "rad"),
    "orientation": ((4,), "float64", "quaternion_wxyz"),
    "front": ((96, 128, 3), "uint8", "rgb"),
    "action": ((10,), "float64", "m[3] rotation_6d[6] m[1]"),
}


def camera_contract() -> Contract:
    streams = tuple(StreamSpec(name=n, shape=s, dtype=d, unit=u, rate_hz=20) for n, (s, d, u) in UNITS.items())
    features = tuple(
        Feature(
            name=s.name,
            stream=s.name,
            role="action" if s.name == "action" else "observation",
            alignment="previous",
            max_age_s=0.1,
        )
        for s in streams
    )
    return Contract(rig="toy", robot="arm", policy_rate_hz=20, streams=streams, features=features)


def make_policy(config, observations=("joints", "orientation", "front")):
    contract = camera_contract()
    view = View(observations, ("action",), WindowSpec(config.To, config.Tp), (64, 64))
    dims = {n: Encoding(n, contract.spec_of(n)).dim for n in view.vectors(contract)}
    ones = {n: np.ones(dim) for n, dim in dims.items()}
    torch.manual_seed(0)
    normalizer = Normalizer(dict.fromkeys(dims, "min_max"), ones, {n: np.zeros(d) for n, d in dims.items()})
    return registry.make(config, contract, view, normalizer).eval()


def observation(seed=0, names=("joints", "orientation", "front")):
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(2, 4))
    values = {
        "joints": rng.uniform(-1, 1, (2, 3)),
        "orientation": q / np.linalg.norm(q, axis=-1, keepdims=True),
        "front": rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8),
    }
    return {n: values[n] for n in names}


def differences(config, name, names):
    """The largest differences between eager and another backend: of the two networks, and of whole chunks."""
    eager, other = (make_policy(config, names) for _ in range(2))
    backends = PolicyBackend(eager), PolicyBackend(other, name)
    windows = [observation(seed, names) for seed in range(3)]
    A, k = torch.randn(1, config.Tp, eager.act.dim), torch.tensor([40])
    networks = 0.0
    with torch.no_grad():
        for window in windows:
            seen = {n: torch.from_numpy(v[None]) for n, v in window.items()}
            O_t = eager.observe(seen)
            for a, b in ((O_t, other.observe(seen)), (eager.denoiser(A, k, O_t), other.denoiser(A, k, O_t))):
                assert a.shape == b.shape
                networks = max(networks, float((a - b).abs().max()))
    chunks, prefix = 0.0, np.ones((3, 10))
    prefix[:, 3:9] = 1, 0, 0, 0, 1, 0
    for window in windows:
        for begin in (None, prefix):
            a, b = (backend.infer(window, begin, "") for backend in backends)
            assert a.shape == b.shape == (7, 10)
            chunks = max(chunks, float(np.abs(a - b).max()))
    return networks, chunks


# Ten steps of denoising by a network that has learned nothing add up rounding, hence the wider bound for chunks.
def test_a_unet_with_a_camera_predicts_the_same_through_onnx():
    networks, chunks = differences(UNET, "onnx", ("joints", "orientation", "front"))
    assert networks < 1e-5
    assert chunks < 1e-4


def test_a_transformer_predicts_the_same_through_onnx():
    networks, chunks = differences(TRANSFORMER, "onnx", ("joints", "orientation"))
    assert networks < 1e-5
    assert chunks < 1e-4


def test_a_compiled_policy_predicts_the_same():
    networks, chunks = differences(TINY, "compile", ("joints",))
    assert networks < 1e-5
    assert chunks < 1e-4


def test_without_a_compiler_the_back_end_that_needs_one_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"no 'g\+\+'; install one .* or choose --backend onnx or eager"):
        PolicyBackend(make_policy(TINY, ("joints",)), "compile")


def test_a_backend_or_device_that_cannot_be_had_is_named(tmp_path):
    saved = checkpoint.save(tmp_path / "p", make_policy(UNET, ("joints",)), "abc")
    with pytest.raises(ConfigError, match="onnx runs on the CPU only"):
        load_backend(saved, "onnx", "cuda" if torch.cuda.is_available() else "meta")
    with pytest.raises(ConfigError, match="a backend is one of eager, compile, onnx; got 'tensorrt'"):
        PolicyBackend(make_policy(UNET, ("joints",)), "tensorrt")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            load_backend(saved, "eager", "cuda")


def test_a_chunk_begins_with_the_current_step_and_info_says_what_is_served():
    policy = make_policy(replace(UNET, sampler="ddpm", inference_steps=20), ("joints", "front"))
    backend = PolicyBackend(policy, snapshot="abc", seed=3)
    info = backend.info
    assert (info.policy, info.observations, info.image_size) == ("diffusion_unet", ("joints", "front"), (64, 64))
    assert (info.To, info.Tp, info.executed, info.chunk_length) == (2, 8, (1, 5), 7)
    assert (info.policy_rate_hz, info.backend, info.snapshot, info.supports_prefix) == (20.0, "eager", "abc", True)
    seen = observation(0, ("joints", "front"))
    batch = {n: torch.from_numpy(v[None]) for n, v in seen.items()}
    whole = policy.predict(batch, [torch.Generator().manual_seed(3)])[0].double().numpy()
    np.testing.assert_array_equal(backend.infer(seen, None, ""), whole[1:])


@pytest.fixture
def started(tmp_path):
    """`robot-learning serve` on a checkpoint; the process, its endpoint and the policy."""
    policy = make_policy(UNET, ("joints", "front"))
    saved = checkpoint.save(tmp_path / "policy", policy, "abc")
    command = [sys.executable, "-m", "robot_learning.cli.serve", "--checkpoint", str(saved)]
    process = subprocess.Popen(
        [*command, "--endpoint", "tcp://127.0.0.1:*", "--ros-args"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = next((text for text in process.stdout if text.startswith("serving ")), "")
        assert line.startswith(f"serving {saved} on tcp://127.0.0.1:")
        yield process, line.split()[-1], policy
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_served_chunks_are_those_of_the_checkpoint_and_a_signal_ends_the_server(started):
    process, endpoint, policy = started
    client = PolicyClient(endpoint, camera_contract(), SystemClock())
    assert client.connect(PATIENCE_S).snapshot == "abc"
    seen = observation(0, ("joints", "front"))
    client.ask(seen, 1, PATIENCE_S)
    while (reply := client.poll()) is None:
        client._link.socket.poll(50)
    client.close()
    local = PolicyBackend(policy)
    local.warm_up()  # as the server did: its noise source has moved on by two chunks
    np.testing.assert_array_equal(reply.chunk, local.infer(seen, None, ""))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
