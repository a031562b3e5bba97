"""Checks on machines that lack something, or where something is broken."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from seg.doctor import checks, engines, video
from seg.doctor.check import Check
from seg.kinds import Engine
from seg.runtimes import environment
from seg.runtimes.fake import FakeRuntime
from tests.conftest import as_user


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [
        ("echo 'NVIDIA X, 600.1, 8000 MiB'", "ok", "NVIDIA X, 600.1, 8000 MiB"),
        ("echo 'driver not loaded'; exit 9", "fail", "nvidia-smi fails: driver not loaded."),
        ("/bin/sleep 5", "fail", "nvidia-smi gave no answer in 0.2 s."),
    ],
)
def test_a_gpu_is_named_with_its_driver_and_a_driver_that_hangs_is_a_failure(
    tmp_path, monkeypatch, script, state, said
):
    query = environment.query_gpus
    seconds = 0.2 if "sleep" in script else 20.0
    monkeypatch.setattr(environment, "query_gpus", lambda *f: query(*f, timeout_s=seconds))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert engines.check_gpu() == Check("gpu", state, said)


def test_broken_video_and_a_full_disk_are_failures(tmp_path, monkeypatch):
    def refuse(*words):
        raise ValueError("no encoder libx264\nsecond line")

    monkeypatch.setattr(video, "Encoder", refuse)
    found = video.check_h264(tmp_path)
    assert found.state == "fail" and found.text.endswith("H.264: no encoder libx264")
    usage = type("Usage", (), {"free": 20_000_000})
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda place: usage)
    assert checks.check_disk(tmp_path).state == "fail"


def test_an_engine_that_computes_nonsense_is_a_failure(monkeypatch):
    made = FakeRuntime(lambda x: x[:, 1:])
    monkeypatch.setattr(engines, "open_runtime", lambda *words: made)
    (found,) = engines.check_engine(Engine.ONNXRUNTIME)
    assert found.state == "fail" and "wrong values" in found.text


def test_a_current_folder_that_is_gone_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert checks.check_disk(Path()) == Check("disk", "fail", ".: No such file or directory")


def test_the_network_that_tries_engines_returns_the_first_two_channels():
    """Run by the operators' reference implementation, which is none of the engines."""
    images = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    network = onnx.load(engines.TWO_CHANNELS)
    onnx.checker.check_model(network, full_check=True)
    (logits,) = ReferenceEvaluator(network).run(None, {"images": images})
    np.testing.assert_array_equal(logits, images[:, :2])


def test_a_model_that_may_not_be_read_fails_with_the_cause(open_folder):
    (open_folder / "closed").mkdir()
    shutil.copy(engines.TWO_CHANNELS, open_folder / "closed" / "model.onnx")
    (open_folder / "closed").chmod(0)
    with as_user():
        found = checks.check_model(open_folder / "closed" / "model.onnx")
    assert found.state == "fail" and "model.onnx does not run: " in found.text
    assert "Permission denied" in found.text


def test_caches_are_weighed(tmp_path, monkeypatch):
    monkeypatch.setenv("DINOSEG_CACHE", str(tmp_path / "cache"))
    assert checks.check_cache().state == "absent"
    (tmp_path / "cache" / "features").mkdir(parents=True)
    with (tmp_path / "cache" / "features" / "a").open("wb") as file:
        file.truncate(2_500_000_000)  # bytes that were never written take no room
    found = checks.check_cache()
    assert found.state == "ok" and found.text.startswith(f"2.5 GB in {tmp_path / 'cache'}; ")
