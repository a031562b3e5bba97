"""Times models from the decoder to the file, in one run, on one clip, with one clock.

    python apps/benchmark.py --input clip.mp4 --baseline seed
    python apps/benchmark.py --input clip.mp4 --model a.onnx b.onnx,runtime=openvino,imgsz=256x256
    python apps/benchmark.py --input clip.mp4 --data PennFudanPed --output report
    python apps/benchmark.py --input clip.mp4 --data PennFudanPed --target-fps 30

A model is FILE[,runtime=NAME][,precision=NAME][,imgsz=WxH][,device=NAME][,compile][,graph]; the
last two are for torch. Models take turns of a few frames, back and forth, so that nobody gets the
cool machine. Each stage is timed by itself, one after the other; infer_video overlaps decoding and
encoding with the model and is faster. Warm-up frames do not count.

--baseline seed is the tutorial's loop: DINOv2 ViT-S/14 in eager torch, float32, a 644x644 square,
full-size scores, a float overlay. Its weights are random, which costs the same time. --data adds
the accuracy of each artifact to its row. --target-fps tries every engine, precision and size that a
model leaves open, and says which reaches the rate and what that costs. --batches times the model
alone, too, from pictures in RAM to scores in RAM: until a GPU has its work, and synchronised.
--output writes benchmark.json, benchmark.md and benchmark.png into a folder.
"""

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from seg import cli
from seg.benchmark.alone import alone
from seg.benchmark.alone import markdown as markdown_alone
from seg.benchmark.entries import Entry
from seg.benchmark.lanes import Lane, ModelLane, SeedLane
from seg.benchmark.race import Times, race
from seg.benchmark.report import Row, markdown, plan
from seg.data import open_dataset
from seg.data.check import check_samples
from seg.data.samples import SPLITS, Sample
from seg.errors import EngineMissing, SpecMismatch
from seg.evaluation.segmentation import evaluate_segmenter
from seg.files.atomic import atomic_write, check_writable
from seg.files.checksum import sha256_of
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.kinds import Device
from seg.runtimes import environment

SEED = "seed"
FILES = ("benchmark.json", "benchmark.md", "benchmark.png")


def flags() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--input", required=True, type=Path, metavar="FILE", help="a video")
    p.add_argument(
        "--model", nargs="+", default=[str(DEFAULT_MODEL)], metavar="FILE",
        help=f"models, with options (default: weights/{DEFAULT_MODEL.name})",
    )  # fmt: skip
    p.add_argument("--baseline", choices=(SEED,), help="the yardstick that ratios refer to")
    p.add_argument(
        "--device", choices=Device.values(), default="cpu", help="where the baseline runs"
    )
    p.add_argument("--frames", type=cli.positive, default=100, help="frames of each that count")
    p.add_argument("--warmup", type=cli.positive, default=10, help="frames before, not counted")
    p.add_argument(
        "--batches", nargs="+", type=cli.positive, default=[], metavar="N",
        help="also time each model alone on N pictures at once",
    )  # fmt: skip
    p.add_argument("--data", metavar="FOLDER", help="pictures with labels, as apps/evaluate.py")
    p.add_argument("--split", choices=SPLITS, default="valid", help="which of its pictures")
    p.add_argument("--target-fps", type=cli.positive, metavar="N", help="plan for this rate")
    p.add_argument("--output", type=Path, metavar="FOLDER", help="where JSON and pictures go")
    p.add_argument("--overwrite", action="store_true", help="replace files in --output")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Races; returns the exit code."""
    args = flags().parse_args(argv)
    paths = [args.output / name for name in FILES] if args.output else []
    for path in paths:
        check_writable(path, args.overwrite)
    entries = [Entry.parse(text) for text in args.model]
    if args.target_fps:
        entries = [variant for entry in entries for variant in entry.variants()]
    with ExitStack() as stack:
        lanes = _lanes(entries, args, stack)
        times = race(lanes, args.frames, args.warmup)
        by_itself = [
            alone(lane.name, lane.segmenter, batch, args.frames, args.warmup)
            for lane in lanes if isinstance(lane, ModelLane)
            for batch in args.batches
        ]  # fmt: skip
        samples = _samples(args, lanes)
        rows = [_row(lane, times[lane.name], samples) for lane in lanes]
    baseline = next((row for row in rows if row.name == SEED), None)
    about = {
        "machine": environment.machine(),
        "versions": environment.versions_line(),
        "clip": f"{args.input.name}, {args.frames} frames, {args.warmup} before to warm up",
    }
    models = [row for row in rows if row is not baseline]
    planned = plan(models, args.target_fps) if args.target_fps else None
    table = markdown(rows, baseline, about)
    if by_itself:
        table += f"\n\n{markdown_alone(by_itself)}"
    report = {
        "about": about,
        "models": {str(e.path): sha256_of(e.path) for e in entries},
        "rows": [row.to_dict(baseline) for row in rows],
        "alone": [row.to_dict() for row in by_itself],
        "plan": planned,
    }
    if paths:
        _write(paths, report, table, rows)
    print("\n".join([table, *([planned] if planned else []), *map(str, paths)]))
    return cli.OK


def _lanes(entries: Sequence[Entry], args: argparse.Namespace, stack: ExitStack) -> list[Lane]:
    """Opens every contestant; with --target-fps, leaves out what this machine lacks."""
    lanes: list[Lane] = []
    if args.baseline == SEED:
        from seg.benchmark.seed import open_seed

        lanes.append(stack.enter_context(SeedLane(SEED, args.input, open_seed(args.device))))
    for entry in entries:
        try:
            lane = ModelLane(entry.name, args.input, entry.open())
        except EngineMissing as error:
            if not args.target_fps:
                raise
            cli.note(f"left out: {entry.name}: {error}")
            continue
        lanes.append(stack.enter_context(lane))
        cli.note(f"{lane.name}: {lane.segmenter.description}")
    if len({lane.name for lane in lanes}) < len(lanes):
        raise SpecMismatch("Two models have one name; name each file once, or with other options.")
    return lanes


def _samples(args: argparse.Namespace, lanes: Sequence[Lane]) -> Sequence[Sample]:
    models = [lane for lane in lanes if isinstance(lane, ModelLane)]
    if not args.data or not models:
        return ()
    samples = open_dataset(args.data, models[0].segmenter.classes).split(args.split)
    for line in check_samples(samples):
        cli.note(line)
    return samples


def _row(lane: Lane, times: Times, samples: Sequence[Sample]) -> Row:
    if isinstance(lane, SeedLane):
        canvas = lane.runtime.spec.canvas_hw or lane.runtime.spec.input_hw
        return Row(name=lane.name, engine=lane.runtime.description, imgsz=canvas[::-1], times=times)
    assert isinstance(lane, ModelLane)
    segmenter = lane.segmenter
    found = evaluate_segmenter(segmenter, samples) if samples else None
    return Row(
        name=lane.name,
        engine=segmenter.runtime.description,
        imgsz=segmenter.input_hw[::-1],
        times=times,
        iou=found.scores["foreground_iou"] if found else None,
        interval=found.intervals["foreground_iou"] if found else None,
    )


def _write(paths: Sequence[Path], report: object, table: str, rows: Sequence[Row]) -> None:
    from seg.benchmark.chart import draw

    with atomic_write(paths[0]) as part:
        part.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    with atomic_write(paths[1]) as part:
        part.write_text(table + "\n", "utf-8")
    with atomic_write(paths[2]) as part:
        draw(rows, part, environment.machine())


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
