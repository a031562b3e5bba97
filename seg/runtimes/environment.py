"""The machine: what a figure was measured on, and what made a file."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from seg.errors import EngineMissing

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


def resident_mb() -> float:
    """Returns how much memory of this process is in RAM now, in 10^6 bytes.

    Raises:
        EngineMissing: The system is no Linux, which alone says it in /proc.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError as error:
        raise EngineMissing("Resident memory is read from /proc, which only Linux has.") from error
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


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
