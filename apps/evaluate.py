"""Measures a model on pictures with labels, at the pictures' own size.

    python apps/evaluate.py --data PennFudanPed
    python apps/evaluate.py --data people,val=60,seed=1 --model runs/lite/best_iou.pt --json
    python apps/evaluate.py --data negatives,negatives --split all --json scores.json
    python apps/evaluate.py --data PennFudanPed --markdown scores.md --pictures figures

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seg import cli
from seg.data import open_dataset
from seg.data.check import check_samples
from seg.data.samples import SPLITS
from seg.evaluation.figures import CONFUSION, WORST, write_figures
from seg.evaluation.report import markdown, table
from seg.evaluation.segmentation import LAYOUT, evaluate_segmenter
from seg.files.atomic import atomic_write, check_writable
from seg.files.checksum import sha256_of
from seg.predictors.segmenter import Segmenter

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
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write tables as Markdown")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR",
        help=f"draw the confusion matrix ({CONFUSION}) and the worst pictures ({WORST})",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace what exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates; returns the exit code."""
    args = flags().parse_args(argv)
    for path in _results(args):
        check_writable(path, args.overwrite)
    with cli.segmenter(args) as segmenter:
        data = open_dataset(args.data, segmenter.classes)
        samples = data.split(args.split)
        for line in (f"{data.name}: {data.description}", *check_samples(samples)):
            cli.note(line)
        evaluation = evaluate_segmenter(segmenter, samples)
        about = {"data": data.name, "split": args.split, "layout": data.description}
        report = about | _model(args.model, segmenter) | evaluation.to_dict()
        _write(report, args)
        if args.pictures:
            write_figures(args.pictures, evaluation, segmenter, samples)
    return cli.OK


def _write(report: dict[str, Any], args: argparse.Namespace) -> None:
    """Writes the files that were asked for, and the table or JSON to stdout."""
    texts: dict[Path, str] = {}
    if args.json not in (None, STDOUT):
        texts[args.json] = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    if args.markdown:
        texts[args.markdown] = markdown(report, LAYOUT)
    for path, text in texts.items():
        with atomic_write(path) as part:
            part.write_text(text, "utf-8")
    print(json.dumps(report, indent=2) if args.json == STDOUT else "\n".join(table(report, LAYOUT)))


def _results(args: argparse.Namespace) -> list[Path]:
    """Returns the files that will be written."""
    files = [path for path in (args.json, args.markdown) if path not in (None, STDOUT)]
    return files + ([args.pictures / name for name in (CONFUSION, WORST)] if args.pictures else [])


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
        "tta": segmenter.tta,
        "guided": segmenter.guided,
    }


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
