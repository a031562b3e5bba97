"""Trains the same head twice, with cached features and without, and says how long each took.

    python apps/benchmark_training.py --data PennFudanPed --backbone random
    python apps/benchmark_training.py --data PennFudanPed --uncached-epochs 3 --json times.json

Both trainings are those of train.py, in this one process, one after the other, with a new cache
that is deleted at the end. With --uncached-epochs the slow one stops early and its time is scaled
up, which the table says. Accuracies of --backbone random compare the two loops, and nothing else.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg import cli
from seg.files.atomic import atomic_write, check_writable
from seg.kinds import Device
from seg.runtimes import environment


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--data", required=True, metavar="FOLDER", help="as train.py takes it")
    p.add_argument("--arch", default="dinov2_vits14", help="an official DINOv2 name")
    p.add_argument("--backbone", metavar="FILE", help="DINOv2's weights, or random")
    cli.add_imgsz(p, (640, 640), "box that images are fitted into (default: 640 640)")
    p.add_argument("--epochs", type=cli.positive_int, default=65, metavar="N", help="of both")
    text = "of the uncached training, the rest is scaled up; default: all"
    p.add_argument("--uncached-epochs", type=cli.positive_int, metavar="N", help=text)
    p.add_argument("--views", type=cli.positive_int, metavar="K", help="default: that of train.py")
    p.add_argument(
        "--batch", type=cli.positive_int, default=20, metavar="N", help="views in a step"
    )
    p.add_argument("--device", choices=Device.values(), default="auto")
    p.add_argument("--cache-dir", type=Path, metavar="DIR", help="disk to put the new cache on")
    p.add_argument("--json", type=Path, metavar="FILE", help="also writes the report there")
    p.add_argument("--overwrite", action="store_true", help="replace --json")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Measures; returns the exit code."""
    args = build_parser().parse_args(argv)
    if args.json:
        check_writable(args.json, args.overwrite)
    from seg.runtimes.pytorch import pick_device
    from seg.training.tasks.segmentation_config import SegmentationConfig

    device = pick_device(args.device)
    config = SegmentationConfig.for_arch(args.arch).with_changes(
        {
            "backbone": args.backbone,
            "data": (args.data,),
            "input_hw": (args.imgsz[1], args.imgsz[0]),
            "batch": args.batch,
            "epochs": args.epochs,
        }
    )
    cached = config.with_changes({"views": args.views} if args.views else {})
    uncached = config.with_changes({"views": 0, "epochs": args.uncached_epochs or args.epochs})
    rows = [_train(c, args.epochs, device, args.cache_dir) for c in (cached, uncached)]
    report = {**_about(device, args), "cached": rows[0], "uncached": rows[1]}
    report["speed-up"] = rows[1]["seconds"] / rows[0]["seconds"]
    if args.json:
        with atomic_write(args.json) as part:
            part.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print("\n".join(_table(report)))
    return cli.OK


def _train(config: Any, epochs: int, device: Any, disk: Path | None) -> dict[str, Any]:
    """Runs one training in a folder of its own; `epochs` is what its time is scaled to."""
    from seg.training.launch import train
    from seg.training.run import Run
    from seg.training.tasks.segmentation import SegmentationTask
    from seg.training.trainer import Trainer

    if disk:
        disk.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=disk, prefix="dinoseg-benchmark-") as folder:
        sets = SegmentationTask.open_sets(config, None)
        task = SegmentationTask(config, sets, device, Path(folder, "cache"))
        run = Run(Path(folder, "run"), task.monitor)
        run.start(overwrite=False)
        trainer = Trainer(task, run)
        started = time.perf_counter()
        trainer.prepare()
        filling = time.perf_counter() - started
        history = train(trainer)
        training = time.perf_counter() - started - filling
        size = sum(path.stat().st_size for path in Path(folder, "cache").rglob("*.features"))
    return {
        "images": len(task.loader.samples),
        "views": config.model.views,
        "epochs_run": len(history),
        "filling_s": filling,
        "training_s": training,
        "seconds": filling + training * epochs / len(history),
        "cache_bytes": size,
        "precision": task.precision,
        "best_iou": max(row["iou"] for row in history),
        "last_iou": history[-1]["iou"],
    }


def _about(device: Any, args: argparse.Namespace) -> dict[str, Any]:
    packages = ("dinoseg", "torch", "numpy", "opencv-python", "albumentations")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {device}, {platform.platform()}",
        "versions": environment.versions(packages),
        "arch": args.arch,
        "backbone": args.backbone or "official",
        "imgsz": args.imgsz,
        "epochs": args.epochs,
        "batch": args.batch,
    }


def _table(report: Mapping[str, Any]) -> list[str]:
    cached, uncached = report["cached"], report["uncached"]
    width, height = report["imgsz"]
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    rows: list[tuple[str, str, Any]] = [
        ("views of an image", "views", lambda n: str(n) if n else "new each time"),
        ("filling the cache, s", "filling_s", "{:.1f}".format),
        ("epochs run", "epochs_run", str),
        ("training, s", "training_s", "{:.1f}".format),
        (f"{report['epochs']} epochs in all, s", "seconds", "{:.1f}".format),
        ("best IoU", "best_iou", "{:.4f}".format),
        ("last IoU", "last_iou", "{:.4f}".format),
        ("on disk, GB", "cache_bytes", lambda n: f"{n / 1e9:.2f}"),
    ]
    lines = [
        f"machine   {report['machine']}",
        f"versions  {versions}",
        f"training  {report['arch']}, backbone {report['backbone']}, {width}x{height}, "
        f"{cached['images']} images, batch {report['batch']}, {cached['precision']}",
        f"{'':24}{'cached':>14}{'uncached':>15}",
        *(f"{name:24}{say(cached[key]):>14} {say(uncached[key]):>14}" for name, key, say in rows),
    ]
    is_scaled = uncached["epochs_run"] < report["epochs"]
    note = f", the uncached time scaled up from {uncached['epochs_run']} epochs" * is_scaled
    return [*lines, f"cached is {report['speed-up']:.1f} times as fast, filling included{note}"]


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
