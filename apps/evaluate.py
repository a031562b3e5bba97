"""Measures a model on pictures with labels, at the pictures' own size.

    python apps/evaluate.py --data PennFudanPed
    python apps/evaluate.py --data people,val=60,seed=1 --model runs/lite/best_iou.pt --json
    python apps/evaluate.py --data negatives,negatives --split all --json scores.json

--data is PATH[,val=COUNT][,seed=SEED][,weight=W][,only=PATTERN][,negatives]. PATH holds one of
    PNGImages/ PedMasks/           Penn-Fudan as it is distributed
    train_images/ train_masks/ valid_images/ valid_masks/
    images/ masks/                 a mask NAME.png for each picture
    pictures alone                 with ,negatives: all of them show only background
val= and seed= choose the validation pictures of a folder without a split of its own; use those of
the training, or pictures that were trained on are measured.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg import cli
from seg.artefacts import atomic, refuse_overwrite, sha256_of
from seg.data import open_dataset
from seg.data.check import check
from seg.data.samples import SPLITS
from seg.evaluation import evaluate
from seg.segmenter import Segmenter

STDOUT = Path("-")


def flags() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument("--data", required=True, metavar="FOLDER", help="pictures with labels")
    parser.add_argument("--split", choices=SPLITS, default="valid", help="which of its pictures")
    cli.add_model_flags(parser)
    parser.add_argument(
        "--json", type=Path, nargs="?", const=STDOUT, metavar="FILE",
        help="write all scores as JSON, to stdout instead of the table where no FILE is given",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates; returns the exit code."""
    args = flags().parse_args(argv)
    is_file = args.json not in (None, STDOUT)
    if is_file:
        refuse_overwrite(args.json, args.overwrite)
    with cli.segmenter(args) as segmenter:
        data = open_dataset(args.data, segmenter.classes)
        samples = data.split(args.split)
        for line in (f"{data.name}: {data.description}", *check(samples)):
            cli.note(line)
        scores = evaluate(segmenter, samples).to_dict()
        about = {"data": data.name, "split": args.split, "layout": data.description}
        report = about | _model(args.model, segmenter) | scores
    if is_file:
        with atomic(args.json) as part:
            part.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(report, indent=2) if args.json == STDOUT else "\n".join(_table(report)))
    return cli.OK


def _model(path: Path, segmenter: Segmenter) -> dict[str, Any]:
    spec = segmenter.runtime.spec
    return {
        "model": str(path),
        "sha256": sha256_of(path),
        "arch": spec.arch,
        "engine": segmenter.runtime.description,
        "imgsz": list(segmenter.input_hw[::-1]),
        "canvas": list(spec.canvas_hw[::-1]) if spec.canvas_hw else None,
        "stride": spec.stride,
    }


def _table(report: Mapping[str, Any]) -> list[str]:
    """Returns a report as lines for people."""
    width, height = report["imgsz"]
    canvas = "x".join(map(str, report["canvas"] or ())) or f"multiples of {report['stride']}"
    lines = [
        f"data            {report['data']}, {report['split']}: {report['num_images']} pictures",
        f"model           {report['model']}: {report['arch']}, {report['engine']}",
        f"fitted into     {width}x{height}, canvas {canvas}",
    ]
    if report["miou"] is not None:
        low, high = report["foreground_iou_95"]
        lines += [
            f"mIoU            {report['miou']:.4f}",
            f"foreground IoU  {report['foreground_iou']:.4f}"
            f"  (95 % of redrawn sets: {low:.4f} to {high:.4f})",
            f"pixel accuracy  {report['pixel_accuracy']:.4f}",
            f"{'class':14}  {'IoU':>9}  {'precision':>9}  {'recall':>9}",
            *(_class_row(report, name) for name in report["iou"]),
        ]
    if report["false_area"] is not None:
        rows = [row for row in report["images"] if row.get("false_area") is not None]
        worst = sorted(rows, key=lambda row: -row["false_area"])[:3]
        lines += [
            f"false area      {report['false_area']:.4f}, the mean of "
            f"{report['num_background_only']} pictures that show only background",
            "  worst         "
            + ", ".join(f"{row['name']} {row['false_area']:.4f}" for row in worst),
        ]
    return lines


def _class_row(report: Mapping[str, Any], name: str) -> str:
    scores = [report[key][name] for key in ("iou", "precision", "recall")]
    shown = [f"{'-' if score is None else format(score, '.4f'):>9}" for score in scores]
    return "  ".join([f"{name:14}", *shown])


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
