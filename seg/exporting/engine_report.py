"""What `export/trt_check.py` reports: versions, the results of building engines, times."""

import json
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from seg.errors import EngineFailure, EngineMissing, SegError
from seg.models.backbones.registry import BACKBONES
from seg.models.checkpoint import save_net
from seg.models.nets import build_net
from seg.runtimes import environment
from seg.runtimes.engine_metadata import path_of
from seg.runtimes.open import open_runtime
from seg.spec import ModelSpec, segmentation_outputs

PACKAGES = ("dinoseg", "torch", "tensorrt", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy")
WARMUPS = 10


def describe_machine() -> Iterator[str]:
    """Yields what the report is about: system, GPU and packages."""
    yield f"system      {platform.platform()}, Python {platform.python_version()}"
    try:
        gpus = environment.query_gpus("name", "compute_cap", "driver_version")
    except (EngineMissing, EngineFailure) as error:
        gpus = [str(error)]
    yield f"gpu         {'; '.join(gpus)}"
    installed = environment.versions(PACKAGES)
    for package in PACKAGES:
        yield f"{package:11} {installed.get(package, 'not installed')}"


def save_random_dinov2(path: Path) -> None:
    """Writes a checkpoint of DINOv2 ViT-S/14 with random weights, from a fixed seed."""
    torch.manual_seed(0)
    arch = "dinov2_vits14"
    backbone = BACKBONES[arch].build(arch, None, "random")
    spec = ModelSpec(
        arch=arch,
        outputs=segmentation_outputs(("background", "person")),
        input_hw=(640, 640),
        stride=backbone.stride,
        layers=backbone.layers,
        backbone=backbone.source,
    )
    net = build_net(spec, backbone)
    scores = net.get_submodule("head.conv_seg")
    assert isinstance(scores, torch.nn.Conv2d)
    torch.nn.init.normal_(scores.weight)
    # Moves the decision boundary to where few scores are. With a class of a handful of pixels, or
    # a boundary in a flat region, the comparison would measure the weights, not the engine.
    scores.bias = torch.nn.Parameter(torch.tensor([10.0, -10.0]))
    save_net(path, net, spec)


def check_engine(command: Sequence[str], engine: Path, runs: int) -> tuple[bool, list[str]]:
    """Builds an engine in a process of its own, which may crash, and times it.

    Args:
        command: Builds the engine.
        engine: The file that it writes.
        runs: Number of timed runs.

    Returns:
        Whether all of it succeeded, and the lines of the report.
    """
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [f"exit code {done.returncode}, {time.perf_counter() - started:.0f} s"]
    lines += [f"  {line}" for line in done.stderr.splitlines()]
    if done.returncode:
        return False, lines
    values = json.loads(path_of(engine).read_text("utf-8"))
    lines += [f"  {key} {values[key]}" for key in ("rung", "tensors", "parity")]
    try:
        return True, [*lines, f"  {time_engine(engine, runs)}"]
    except SegError as error:
        return False, [*lines, f"  error: {error}"]


def time_engine(engine: Path, runs: int) -> str:
    """Opens an engine as the apps do and returns its times, copies to and from the GPU included."""
    with open_runtime(engine, "cuda") as runtime:
        assert runtime.spec.canvas_hw is not None
        images = np.random.default_rng(0).random((1, 3, *runtime.spec.canvas_hw), np.float32)
        times_ms = []
        for _ in range(WARMUPS + runs):
            started = time.perf_counter()
            runtime.run(images)
            times_ms.append(1000 * (time.perf_counter() - started))
        p50, p95 = np.percentile(times_ms[WARMUPS:], (50, 95))
        height, width = runtime.spec.canvas_hw
        return f"{width}x{height}, {runs} runs: p50 {p50:.2f} ms, p95 {p95:.2f} ms"
