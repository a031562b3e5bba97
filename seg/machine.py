"""The machine: what a figure was measured on, and what made a file."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "dinoseg", "numpy", "opencv-python", "av", "onnxruntime", "onnxruntime-gpu", "openvino",
    "tensorrt", "torch", "onnx",
)  # fmt: skip
OPENCV_WHEELS = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python",
    "opencv-contrib-python-headless",
)  # fmt: skip


def cpu() -> str:
    """Returns the processor's name and how many cores this process may use."""
    return f"{_cpu_name()}, {_num_cores()} cores"


def gpu() -> str:
    """Returns the names of the NVIDIA GPUs as their driver says them; empty where none answers."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return ", ".join(answer.splitlines())


def versions() -> dict[str, str]:
    """Returns Python's version and those of the `PACKAGES` that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _num_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
