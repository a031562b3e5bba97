"""Measures a model on images with labels, at the images' own size.

    python apps/evaluate.py --data people,val=60,seed=1 --model runs/lite/best_iou.pt --json
    python apps/evaluate.py --data rooms,negatives --split all --json scores.json
    python apps/evaluate.py --data leaves --model leaves.onnx --markdown scores.md --figures figures
    python apps/evaluate.py --knn --data cotton_disease --model embed.onnx

FOLDER[,val=COUNT][,seed=SEED][,only=PATTERN][,recursive][,negatives] of --data holds one of
    PNGImages/ PedMasks/           Penn-Fudan as it is distributed
    train_images/ train_masks/ valid_images/ valid_masks/
    images/ masks/                 a mask NAME.png for each image
    images alone                   with ,negatives: all of them show only background
or, to classify, train/CLASS/ and val/CLASS/, or CLASS/ with val= and seed=
Use the val= and seed= of the training, or images that were trained on are measured.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seg import cli
from seg.cli.renamed import refuse_renamed
from seg.errors import SpecMismatch

if TYPE_CHECKING:
    from seg.data.class_folders import ClassDataSet
    from seg.evaluation.evaluate import Evaluation
    from seg.evaluation.report import ReportLayout
    from seg.metrics import ClassificationMetrics
    from seg.predictors.base import Predictor

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
    text = "for models that embed images: the nearest K, else 20, of train/ vote on the others"
    parser.add_argument("--knn", type=cli.positive_int, nargs="?", const=20, metavar="K", help=text)
    text = "--knn: leave each image of --split out in turn"
    parser.add_argument("--leave-one-out", action="store_true", help=text)
    text = "of classes: images in both splits are no error"
    parser.add_argument("--allow-duplicates", action="store_true", help=text)
    cli.add_model_flags(parser)
    refuse_renamed(parser, {"--pictures": "--figures"})
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_flags(args)
    from seg.evaluation.figures import require_matplotlib
    from seg.files.atomic import check_writable

    for path in _outputs(args):
        check_writable(path, args.overwrite)
    if args.figures:
        require_matplotlib()
    if args.knn:
        _evaluate_knn(args)
        return cli.OK
    from seg.spec import CLASSIFICATION, SEGMENTATION

    kinds = {SEGMENTATION: _evaluate_masks, CLASSIFICATION: _evaluate_classes}
    with cli.open_predictor(args) as predictor:
        if predictor.task not in kinds:
            raise SpecMismatch(f"{args.model} is for {predictor.task}; measure it with --knn.")
        if args.allow_duplicates and predictor.task == SEGMENTATION:
            raise SpecMismatch("--allow-duplicates: only where images are classified.")
        kinds[predictor.task](args, predictor)
    return cli.OK


def check_flags(args: argparse.Namespace) -> None:
    """Raises where a flag is for the other kind of evaluation."""
    if not args.knn:
        if args.leave_one_out:
            raise SpecMismatch("--leave-one-out: only with --knn.")
    elif not args.leave_one_out and args.split != "valid":
        raise SpecMismatch("--knn: the training images vote on the others; add --leave-one-out.")


def _evaluate_knn(args: argparse.Namespace) -> None:
    from seg.evaluation.classification import NEIGHBORS_LAYOUT
    from seg.evaluation.knn import evaluate_knn
    from seg.features.knn import TEMPERATURE
    from seg.predictors.embedder import Embedder

    with cli.open_predictor(args, Embedder.task) as embedder:
        assert isinstance(embedder, Embedder)
        data = _open_classes(args, has_gallery=not args.leave_one_out)
        gallery = None if args.leave_one_out else data.train
        samples = data.split(args.split)
        evaluation = evaluate_knn(embedder, gallery, samples, data.classes, args.knn)
        how = "each image against the others" if gallery is None else f"{len(gallery)} images vote"
        about: dict[str, Any] = {"data": data.name, "split": args.split, "layout": data.description}
        about["knn"] = f"k {args.knn}, temperature {TEMPERATURE}, {how}"
        about |= _model(args.model, embedder)
        _write(about | evaluation.to_dict(), NEIGHBORS_LAYOUT, args)
    _draw_confusion(args, evaluation)


def _evaluate_classes(args: argparse.Namespace, classifier: "Predictor[Any]") -> None:
    from seg.evaluation.classification import LAYOUT, evaluate_classifier
    from seg.predictors.classifier import Classifier

    assert isinstance(classifier, Classifier)
    data = _open_classes(args, has_gallery=False)
    evaluation = evaluate_classifier(classifier, data.split(args.split), data.classes)
    about: dict[str, Any] = {"data": data.name, "split": args.split, "layout": data.description}
    _write(about | _model(args.model, classifier) | evaluation.to_dict(), LAYOUT, args)
    _draw_confusion(args, evaluation)


def _open_classes(args: argparse.Namespace, has_gallery: bool) -> "ClassDataSet":
    """Opens folders of classes, and reads once what will be used of them."""
    from seg.data.check import check_images
    from seg.data.class_folders import open_class_folders, refuse_duplicates

    data = open_class_folders(args.data)
    remarks = refuse_duplicates(data, args.allow_duplicates)
    used = (*(data.train if has_gallery else ()), *data.split(args.split))
    remarks += check_images([sample.image for sample in used])
    for line in (f"{data.name}: {data.description}", *remarks):
        cli.note(line)
    return data


def _draw_confusion(
    args: argparse.Namespace, evaluation: "Evaluation[ClassificationMetrics]"
) -> None:
    from seg.evaluation.figures import CONFUSION, draw_confusion
    from seg.files.atomic import atomic_write

    if args.figures:
        with atomic_write(args.figures / CONFUSION) as part:
            draw_confusion(part, evaluation.metrics.confusion, evaluation.classes)


def _evaluate_masks(args: argparse.Namespace, segmenter: "Predictor[Any]") -> None:
    from seg.data import open_dataset
    from seg.data.check import check_samples
    from seg.evaluation.figures import write_figures
    from seg.evaluation.segmentation import LAYOUT, evaluate_segmenter
    from seg.predictors.segmenter import Segmenter

    assert isinstance(segmenter, Segmenter)
    data = open_dataset(args.data, segmenter.classes)
    samples = data.split(args.split)
    for line in (f"{data.name}: {data.description}", *check_samples(samples)):
        cli.note(line)
    evaluation = evaluate_segmenter(segmenter, samples)
    about = {"data": data.name, "split": args.split, "layout": data.description}
    about |= _model(args.model, segmenter)
    about |= {"tta": segmenter.tta, "guided": segmenter.guided}
    _write(about | evaluation.to_dict(), LAYOUT, args)
    if args.figures:
        write_figures(args.figures, evaluation, segmenter, samples)


def _write(report: dict[str, Any], layout: "ReportLayout", args: argparse.Namespace) -> None:
    """Writes the files that were asked for, and the table or JSON to stdout."""
    from seg.evaluation.report import markdown, table
    from seg.files.atomic import atomic_write

    texts: dict[Path, str] = {}
    if args.json not in (None, STDOUT):
        texts[args.json] = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    if args.markdown:
        texts[args.markdown] = markdown(report, layout)
    for path, text in texts.items():
        with atomic_write(path, overwrite=args.overwrite) as part:
            # Names may be any bytes; what this makes of them is valid JSON.
            part.write_text(text, "utf-8", errors="backslashreplace")
    if args.json == STDOUT:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(table(report, layout)))


def _outputs(args: argparse.Namespace) -> list[Path]:
    """Returns the files that will be written."""
    from seg.evaluation.figures import CONFUSION, WORST

    files = [path for path in (args.json, args.markdown) if path not in (None, STDOUT)]
    figures = (CONFUSION,) if args.knn else (CONFUSION, WORST)
    return files + ([args.figures / name for name in figures] if args.figures else [])


def _model(path: Path, predictor: "Predictor[Any]") -> dict[str, Any]:
    from seg.files.checksum import sha256_of

    spec = predictor.runtime.spec
    return {
        "model": str(path),
        "sha256": sha256_of(path),
        "arch": spec.arch,
        "engine": predictor.runtime.description,
        "imgsz": list(predictor.input_hw[::-1]),
        "canvas": list(spec.canvas_hw[::-1]) if spec.canvas_hw else None,
        "stride": spec.stride,
    }


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
