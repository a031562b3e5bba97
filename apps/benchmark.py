"""Times models from decoder to file, interleaved on one clip.

    python apps/benchmark.py --input clip.mp4 --baseline tutorial
    python apps/benchmark.py --input clip.mp4 --model a.onnx b.onnx,runtime=openvino,imgsz=256x256
    python apps/benchmark.py --input clip.mp4 --data PennFudanPed --output report
    python apps/benchmark.py --input clip.mp4 --data PennFudanPed --target-fps 30

A model is FILE[,runtime=NAME][,precision=NAME][,imgsz=WxH][,device=NAME][,compile][,graph]; the
last two are for torch. Models alternate in blocks of a few frames, so that all run on the same warm
machine. Stages run one after the other here; infer_video overlaps them and is faster.
docs/benchmarks.md explains the numbers.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.benchmark.entries import Entry
from seg.benchmark.run import TUTORIAL, BenchmarkConfig, BenchmarkResult, run_benchmark
from seg.data import open_dataset
from seg.data.check import check_samples
from seg.data.samples import SPLITS, Sample
from seg.files.atomic import atomic_write, check_writable
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.kinds import Device
from seg.runtimes import environment

FILES = ("benchmark.json", "benchmark.md", "benchmark.png")


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--input", required=True, type=Path, metavar="FILE", help="a video")
    p.add_argument(
        "--model", nargs="+", default=[str(DEFAULT_MODEL)], metavar="FILE",
        help=f"models, with options (default: weights/{DEFAULT_MODEL.name})",
    )  # fmt: skip
    text = "the tutorial's loop: eager DINOv2 ViT-S/14, float32, a square, untrained weights"
    p.add_argument("--baseline", choices=(TUTORIAL,), help=text)
    p.add_argument("--device", choices=Device.values(), default="cpu", help="of the baseline")
    p.add_argument("--frames", type=cli.positive_int, default=100, help="frames of each that count")
    p.add_argument("--warmup", type=cli.positive_int, default=10, help="frames before, not counted")
    text = "also time each model without video, on N images at once"
    p.add_argument(
        "--batches", nargs="+", type=cli.positive_int, default=[], metavar="N", help=text
    )
    text = "also measure accuracy, on images with labels as apps/evaluate.py takes them"
    p.add_argument("--data", metavar="FOLDER", help=text)
    p.add_argument("--split", choices=SPLITS, default="valid", help="of --data")
    text = "try every engine, precision and size left open, and recommend one for this rate"
    p.add_argument("--target-fps", type=cli.positive_int, metavar="N", help=text)
    text = f"folder for {', '.join(FILES)}"
    p.add_argument("--output", type=Path, metavar="FOLDER", help=text)
    p.add_argument("--overwrite", action="store_true", help="replace files in --output")
    p.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit code."""
    args = build_parser().parse_args(argv)
    paths = [args.output / name for name in FILES] if args.output else []
    for path in paths:
        check_writable(path, args.overwrite)
    config = BenchmarkConfig(
        clip=args.input,
        entries=[Entry.parse(text) for text in args.model],
        baseline_device=args.device if args.baseline else None,
        num_frames=args.frames,
        warmup=args.warmup,
        batches=args.batches,
        target_fps=args.target_fps,
    )
    about = {
        "machine": environment.machine(),
        "versions": environment.versions_line(),
        "clip": f"{args.input.name}, {args.frames} frames, {args.warmup} before to warm up",
    }

    def open_samples(classes: Sequence[str]) -> Sequence[Sample]:
        samples = open_dataset(args.data, classes).split(args.split)
        for line in check_samples(samples):
            cli.note(line)
        return samples

    result = run_benchmark(config, about, open_samples if args.data else None)
    if paths:
        _write(result, *paths, overwrite=args.overwrite)
    print(json.dumps(result.to_dict(), indent=2) if args.json else result.to_markdown())
    for path in paths:
        cli.note(str(path))
    return cli.OK


def _write(
    result: BenchmarkResult, json_path: Path, markdown_path: Path, chart: Path, *, overwrite: bool
) -> None:
    from seg.benchmark.chart import draw

    with atomic_write(json_path, overwrite=overwrite) as part:
        part.write_text(json.dumps(result.to_dict(), indent=2) + "\n", "utf-8")
    with atomic_write(markdown_path, overwrite=overwrite) as part:
        part.write_text(result.to_markdown() + "\n", "utf-8")
    with atomic_write(chart, overwrite=overwrite) as part:
        draw(result.rows, part, result.about["machine"])


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
