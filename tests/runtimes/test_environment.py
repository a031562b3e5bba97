"""What a figure was measured on."""

import importlib.metadata
import platform
import re

import pytest

from seg.errors import EngineFailure, EngineMissing
from seg.runtimes import environment


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Installs a driver that does what a shell script says."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(script):
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return install


def test_gpus_are_what_their_driver_says(driver):
    driver('echo "NVIDIA T4, $1"; echo "NVIDIA A10, $2"')
    assert environment.query_gpus("name", "memory.total") == [
        "NVIDIA T4, --query-gpu=name,memory.total",
        "NVIDIA A10, --format=csv,noheader",
    ]
    assert environment.machine().endswith(
        " cores, NVIDIA T4, --query-gpu=name, NVIDIA A10, --format=csv,noheader"
    )


def test_a_machine_without_a_driver_has_no_gpu(driver):
    with pytest.raises(EngineMissing, match="No NVIDIA driver here"):
        environment.query_gpus("name")
    assert re.fullmatch(r".+, \d+ cores", environment.machine())


def test_a_driver_that_fails_is_quoted_in_one_line(driver):
    driver("echo 'driver and library differ'; echo 'reboot' >&2; exit 9")
    with pytest.raises(EngineFailure) as raised:
        environment.query_gpus("name")
    assert str(raised.value) == "nvidia-smi fails: driver and library differ reboot."
    assert environment.machine().endswith(
        "cores, nvidia-smi fails: driver and library differ reboot"
    )


def test_a_driver_that_hangs_is_given_up_even_where_a_child_keeps_its_output_open(driver):
    driver("/bin/sleep 5 & /bin/sleep 5")
    with pytest.raises(EngineFailure, match=r"nvidia-smi gave no answer in 0\.2 s\."):
        environment.query_gpus("name", timeout_s=0.2)


def test_versions_are_those_that_are_installed():
    found = environment.versions(("numpy", "a-package-that-is-not"))
    expected = {"python": platform.python_version(), "numpy": importlib.metadata.version("numpy")}
    assert found == expected
    assert f", numpy {expected['numpy']}, " in environment.versions_line()
