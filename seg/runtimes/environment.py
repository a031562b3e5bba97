"""What runs here: processor, GPUs, packages, memory; what figures and files were made with."""

import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from seg.errors import EngineFailure, EngineMissing

PACKAGES = (
    "dinoseg", "numpy", "opencv-python", "av", "onnxruntime", "onnxruntime-gpu", "openvino",
    "tensorrt", "torch", "onnx", "faiss-cpu",
)  # fmt: skip
OPENCV_WHEELS = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python",
    "opencv-contrib-python-headless",
)  # fmt: skip
NVIDIA_SMI = "nvidia-smi"
TIMEOUT_S = 20.0


def machine() -> str:
    """Returns the processor, its cores and the GPUs in one line."""
    try:
        gpus = query_gpus("name")
    except EngineMissing:
        gpus = []
    except EngineFailure as error:
        gpus = [str(error).rstrip(".")]
    return ", ".join([processor(), *gpus])


def processor() -> str:
    """Returns the processor's name and how many cores this process may use."""
    return f"{_cpu_name()}, {_num_cores()} cores"


def query_gpus(*fields: str, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Asks NVIDIA's driver about the GPUs.

    Args:
        fields: As `nvidia-smi --help-query-gpu` lists them.
        timeout_s: After which the driver is taken to hang.

    Returns:
        The fields of each GPU, with commas between them.

    Raises:
        EngineMissing: There is no driver.
        EngineFailure: It fails or hangs, as it does where a GPU has dropped off its bus.
    """
    query = [NVIDIA_SMI, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    with tempfile.TemporaryFile() as output:  # not a pipe, which a child would keep open
        try:
            process = subprocess.Popen(query, stdout=output, stderr=subprocess.STDOUT)
        except OSError as error:
            raise EngineMissing(f"No NVIDIA driver here ({error.strerror}).") from error
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            with suppress(subprocess.TimeoutExpired):  # inside a driver, it may not even be killed
                process.wait(1.0)
            raise EngineFailure(f"{NVIDIA_SMI} gave no answer in {timeout_s:g} s.") from error
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    if process.returncode:
        raise EngineFailure(f"{NVIDIA_SMI} fails: {' '.join(said.split())[:200]}.")
    return said.splitlines()


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Returns Python's version and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def versions_line() -> str:
    """Returns `versions` in one line."""
    return ", ".join(f"{name} {number}" for name, number in versions().items())


def resident_mb() -> float:
    """Returns how much memory of this process is in RAM now, in 10^6 bytes.

    Raises:
        EngineMissing: The system is not Linux, which alone has /proc.
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
