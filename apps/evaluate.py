"""Measures a model on images with labels, at the images' own size.

    python apps/evaluate.py --data PennFudanPed
    python apps/evaluate.py --data people,val=60,seed=1 --model runs/lite/best_iou.pt --json
    python apps/evaluate.py --data rooms,negatives --split all --json scores.json
    python apps/evaluate.py --data PennFudanPed --markdown scores.md --figures figures

FOLDER[,val=COUNT][,seed=SEED][,only=PATTERN][,recursive][,negatives] of --data holds one of
    PNGImages/ PedMasks/           Penn-Fudan as it is distributed
    train_images/ train_masks/ valid_images/ valid_masks/
    images/ masks/                 a mask NAME.png for each image
    images alone                   with ,negatives: all of them show only background
Use the val= and seed= of the training, or images that were trained on are measured.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seg import cli
from seg.cli.renamed import refuse_renamed

if TYPE_CHECKING:
    from seg.predictors.segmenter import Segmenter

STDOUT = Path("-")
SPLITS = ("train", "valid", "all")  # as in seg.data.samples, which would slow --help down


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument("--data", required=True, metavar="FOLDER", help="images with labels")
    parser.add_argument("--split", choices=SPLITS, default="valid", help="which of its images")
    parser.add_argument(
        "--json", type=Path, nargs="?", const=STDOUT, metavar="FILE",
        help="write all scores as JSON; without FILE to stdout, in place of the table",
    )  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write tables as Markdown")
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="draw confusion.png, and worst.png with the worst images",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    cli.add_model_flags(parser)
    refuse_renamed(parser, {"--pictures": "--figures"})
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seg.data import open_dataset
    from seg.data.check import check_samples
    from seg.evaluation.figures import require_matplotlib, write_figures
    from seg.evaluation.segmentation import evaluate_segmenter
    from seg.files.atomic import check_writable
    from seg.predictors.segmenter import Segmenter

    for path in _outputs(args):
        check_writable(path, args.overwrite)
    if args.figures:
        require_matplotlib()
    with cli.open_predictor(args, Segmenter.task) as segmenter:
        assert isinstance(segmenter, Segmenter)
        data = open_dataset(args.data, segmenter.classes)
        samples = data.split(args.split)
        for line in (f"{data.name}: {data.description}", *check_samples(samples)):
            cli.note(line)
        evaluation = evaluate_segmenter(segmenter, samples)
        about = {"data": data.name, "split": args.split, "layout": data.description}
        _write(about | _model(args.model, segmenter) | evaluation.to_dict(), args)
        if args.figures:
            write_figures(args.figures, evaluation, segmenter, samples)
    return cli.OK


def _write(report: dict[str, Any], args: argparse.Namespace) -> None:
    """Writes the files that were asked for, and the table or JSON to stdout."""
    from seg.evaluation.report import markdown, table
    from seg.evaluation.segmentation import LAYOUT
    from seg.files.atomic import atomic_write

    texts: dict[Path, str] = {}
    if args.json not in (None, STDOUT):
        texts[args.json] = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    if args.markdown:
        texts[args.markdown] = markdown(report, LAYOUT)
    for path, text in texts.items():
        with atomic_write(path, overwrite=args.overwrite) as part:
            # Names may be any bytes; what this makes of them is valid JSON.
            part.write_text(text, "utf-8", errors="backslashreplace")
    if args.json == STDOUT:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(table(report, LAYOUT)))


def _outputs(args: argparse.Namespace) -> list[Path]:
    """Returns the files that will be written."""
    from seg.evaluation.figures import CONFUSION, WORST

    files = [path for path in (args.json, args.markdown) if path not in (None, STDOUT)]
    return files + ([args.figures / name for name in (CONFUSION, WORST)] if args.figures else [])


def _model(path: Path, segmenter: "Segmenter") -> dict[str, Any]:
    from seg.files.checksum import sha256_of

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
