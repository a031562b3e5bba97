"""Builds engines on this machine's GPU and writes a report that can be sent to us.

    python export/trt_check.py --models weights/person-lite.onnx

Besides the models it builds an engine of DINOv2 ViT-S/14 with random weights, whose masks mean
nothing and must still agree. Nothing is uploaded: the report is printed and stays in --output.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from seg import cli
from seg.errors import EngineFailure, EngineMissing
from seg.runtimes import environment

PACKAGES = ("dinoseg", "torch", "tensorrt", "onnx", "onnxruntime-gpu", "onnxruntime", "numpy")
RUNS = 200


def flags() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    p.add_argument(
        "--models", nargs="*", type=Path, default=[], metavar="FILE", help=".onnx or .pt"
    )
    p.add_argument("--output", type=Path, default=Path("runs/trt-check"), metavar="FOLDER")
    cli.add_imgsz(p, (640, 384), "box that frames are fitted into (default: 640 384)")
    p.add_argument("--runs", type=cli.positive, default=RUNS, metavar="N", help="timed runs")
    return p


def versions() -> Iterator[str]:
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


def random_dinov2(path: Path) -> None:
    """Writes a checkpoint of DINOv2 ViT-S/14 whose weights are drawn, from a fixed seed."""
    import torch

    from seg.models.backbones.registry import BACKBONES
    from seg.models.checkpoint import save_net
    from seg.models.segmentation import LinearSegmentationNet
    from seg.spec import ModelSpec, segmentation_outputs

    torch.manual_seed(0)
    name = "dinov2_vits14"
    backbone = BACKBONES[name].build(name, None, "random")
    spec = ModelSpec(
        arch=name,
        outputs=segmentation_outputs(("background", "person")),
        input_hw=(640, 640),
        stride=backbone.stride,
        layers=backbone.layers,
        backbone=backbone.source,
    )
    net = LinearSegmentationNet(backbone, len(spec.classes), spec.mean, spec.std)
    torch.nn.init.normal_(net.head.conv_seg.weight)
    # Puts the border where few scores are: with a class of a handful of pixels, or a border through
    # a flat region, the gate would measure the draw and not the engine.
    net.head.conv_seg.bias = torch.nn.Parameter(torch.tensor([10.0, -10.0]))
    save_net(path, net, spec)


def checked(model: Path, args: argparse.Namespace) -> tuple[bool, list[str]]:
    """Builds one engine with to_trt.py and times it; returns whether it did, and the report."""
    from seg.errors import SegError

    engine = args.output / f"{model.stem}.engine"
    command = [sys.executable, str(Path(__file__).with_name("to_trt.py")), "--rebuild"]
    command += ["--model", str(model), "--output", str(engine)]
    command += ["--imgsz", *map(str, args.imgsz)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [
        "",
        f"{model.name}: exit code {done.returncode}, {time.perf_counter() - started:.0f} s",
    ]
    lines += [f"  {line}" for line in done.stderr.splitlines()]
    if done.returncode != cli.OK:
        return False, lines
    values = json.loads(engine.with_name(engine.name + ".json").read_text("utf-8"))
    lines += [f"  {key} {values[key]}" for key in ("rung", "tensors", "parity")]
    try:
        return True, [*lines, f"  {timed(engine, args.runs)}"]
    except SegError as error:
        return False, [*lines, f"  error: {error}"]


def timed(engine: Path, runs: int) -> str:
    """Opens an engine as the apps do and returns its times, copies to and from the GPU included."""
    import numpy as np

    from seg.runtimes.open import open_runtime

    with open_runtime(engine, "cuda") as runtime:
        assert runtime.spec.canvas_hw is not None
        images = np.random.default_rng(0).random((1, 3, *runtime.spec.canvas_hw), np.float32)
        times = []
        for _ in range(10 + runs):
            started = time.perf_counter()
            runtime.run(images)
            times.append(1000 * (time.perf_counter() - started))
        p50, p95 = np.percentile(times[10:], (50, 95))
        height, width = runtime.spec.canvas_hw
        return f"{width}x{height}, {runs} runs: p50 {p50:.2f} ms, p95 {p95:.2f} ms"


def main(argv: Sequence[str] | None = None) -> int:
    """Checks; returns 0 only if every engine was built, passed the gate and runs."""
    args = flags().parse_args(argv)
    from seg.files.atomic import atomic_write

    dino = args.output / "random-dinov2.pt"
    random_dinov2(dino)
    lines, succeeded = list(versions()), True
    for model in (*args.models, dino):
        cli.note(f"{model.name}: building, which takes minutes")
        done, more = checked(model, args)
        lines, succeeded = lines + more, succeeded and done
    with atomic_write(args.output / "report.txt") as part:
        part.write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))
    return cli.OK if succeeded else cli.FAILED


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
