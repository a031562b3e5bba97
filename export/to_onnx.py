"""Exports a checkpoint to one ONNX file, and keeps it only if its results are the checkpoint's.

    python export/to_onnx.py --model runs/lite/best_iou.pt --output person.onnx
    python export/to_onnx.py --model runs/dinov2/best_iou.pt --output p.onnx --imgsz 640 360
    python export/to_onnx.py --model best_iou.pt --output half.onnx --precision float16 --opset 18
    python export/to_onnx.py --model p.onnx --output 8.onnx --precision int8 --calibration images/

Convolutional networks take any size afterwards. DINOv2 gets one canvas: --imgsz 640 360 makes it
364x644, 2.2 times cheaper for 16:9 video than the square. `--output-kind mask` writes a graph from
raw frames to masks, for other programs. All about it: docs/export.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.errors import ArtifactError, SpecMismatch
from seg.kinds import Precision

DEFAULT_OPSET = 20


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    text = "a checkpoint; for int8 also an .onnx in float32"
    p.add_argument("--model", type=Path, required=True, metavar="FILE", help=text)
    p.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .onnx to write")
    p.add_argument("--overwrite", action="store_true", help="replace --output")
    p.add_argument("--input", type=Path, metavar="IMAGES", help="file or folder to compare on")
    cli.add_imgsz(p, None, "box that images are fitted into; default: the checkpoint's")
    text = "take the aspect of --imgsz from a video"
    p.add_argument("--fit", type=Path, metavar="VIDEO", help=text)
    p.add_argument(
        "--batch", type=cli.positive_int, metavar="N", help="images at once, fixed; else 1"
    )
    kinds = (Precision.FLOAT32, Precision.FLOAT16, Precision.INT8)
    text = "float32, float16 (GPUs) or int8 (CPUs)"
    p.add_argument(
        "--precision", choices=[kind.value for kind in kinds], default="float32", help=text,
        metavar="NAME",
    )  # fmt: skip
    text = "int8: folder of images like yours, to measure ranges on"
    p.add_argument("--calibration", type=Path, metavar="IMAGES", help=text)
    rare = p.add_argument_group("rarely needed")
    text = "logits, or mask: raw frames to masks"
    rare.add_argument(
        "--output-kind", choices=("logits", "mask"), default="logits", help=text, metavar="NAME"
    )
    rare.add_argument("--dynamic", action="store_true", help="DINOv2: any size, interpolated anew")
    text = f"18 for TensorRT; default: {DEFAULT_OPSET}"
    rare.add_argument("--opset", type=int, choices=(18, 20), help=text, metavar="N")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exports; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_flags(args)
    from seg.data.segmentation_folders import find_images
    from seg.exporting.onnx_export import OnnxOptions, export_onnx
    from seg.files.atomic import check_writable
    from seg.verification.parity import read_images

    check_writable(args.output, args.overwrite)
    options = OnnxOptions(
        input_hw=cli.hw(args.imgsz),
        aspect_of=args.fit,
        batch=args.batch,
        is_dynamic=args.dynamic,
        precision=Precision(args.precision),
        output_kind=args.output_kind,
        opset=args.opset or DEFAULT_OPSET,
        calibration=find_images(args.calibration).images if args.calibration else (),
    )
    made = export_onnx(args.model, args.output, read_images(args.input), options)
    if made.num_calibrated:
        cli.note(f"ranges measured on {made.num_calibrated} images")
    for line in made.report.lines(made.source):
        cli.note(line)
    canvas = made.spec.canvas_hw
    size = f"{canvas[1]}x{canvas[0]}" if canvas else "any"
    megabytes = args.output.stat().st_size / 1e6
    cli.note(f"canvas {size}, {made.spec.precision}, {megabytes:.1f} MB")
    print(args.output)
    return cli.OK


def check_flags(args: argparse.Namespace) -> None:
    """Raises where flags contradict each other, or the kind of --model."""
    is_int8 = args.precision == Precision.INT8
    if args.output.suffix != ".onnx":
        raise ArtifactError(f"--output {args.output}: expected a name that ends in .onnx.")
    if is_int8 != bool(args.calibration):
        raise SpecMismatch("--precision int8 and --calibration IMAGES go together.")
    if is_int8 and args.output_kind == "mask":
        raise SpecMismatch("--precision int8 is for logits; omit --output-kind.")
    if args.model.suffix == ".onnx":
        if not is_int8:
            raise SpecMismatch(f"{args.model.name}: only --precision int8 is made from an .onnx.")
        fixed = ("imgsz", "fit", "batch", "dynamic", "opset")
        given = [f"--{name}" for name in fixed if getattr(args, name)]
        if given:
            raise SpecMismatch(f"{args.model.name} is taken as it is; omit {', '.join(given)}.")


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
