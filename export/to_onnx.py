"""Exports a checkpoint to one ONNX file, and accepts it only if it draws the same masks.

    python export/to_onnx.py --model runs/lite/best_iou.pt --output person.onnx
    python export/to_onnx.py --model runs/dinov2_vits14/best_iou.pt --output p.onnx --imgsz 640 360

`lite` takes any size afterwards. DINOv2 gets one canvas, with its position embedding computed for
it: --imgsz 640 360 makes it 364x644, 2.2 times cheaper for 16:9 video than the square, and
--fit video.mp4 takes the aspect from a video. The masks are compared with torch's on --input, or on
public-domain photos that scikit-image carries.

    python export/to_onnx.py --model best_iou.pt --output half.onnx --precision float16 --opset 18
    python export/to_onnx.py --model best_iou.pt --output mask.onnx --output-kind mask --batch 4

--precision float16 halves the file: for GPUs and TensorRT. --output-kind mask writes a graph for
other programs (DeepStream, Triton, OpenCV): `frames` uint8 (B, H, W, 3) BGR, fitted into the top
left corner of the canvas and padded with the mean colour, in; `mask` uint8 (B, H, W) out.

    python export/to_onnx.py --model person.onnx --output int8.onnx --precision int8 \
      --calibration my_folder/images

--precision int8 is for CPUs: convolutions and products in 8-bit integers, whose ranges are measured
on up to 100 pictures such as yours. It also takes an .onnx of ours in float32, and compares with
that. Rounding shows: measure the file with apps/evaluate.py, too.
"""

import argparse
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seg import cli
from seg.errors import ArtifactError

if TYPE_CHECKING:
    from seg.runtimes.base import Runtime
    from seg.spec import ModelSpec

DEFAULT_OPSET = 20


def flags() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    p.add_argument(
        "--model", type=Path, required=True, metavar="FILE", help=".pt, or .onnx for int8"
    )
    p.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .onnx to write")
    cli.add_imgsz(p, None, "box that frames are fitted into; default: the checkpoint's")
    p.add_argument("--fit", type=Path, metavar="VIDEO", help="take the aspect of this video")
    p.add_argument("--batch", type=cli.positive, metavar="N", help="frames at once, fixed; else 1")
    p.add_argument("--dynamic", action="store_true", help="DINOv2: any size, interpolated anew")
    kinds = ("float32", "float16", "int8")
    p.add_argument("--precision", choices=kinds, default="float32", help="weights")
    text = "int8: folder of pictures to measure ranges on, such as those of the training"
    p.add_argument("--calibration", type=Path, metavar="PICTURES", help=text)
    p.add_argument(
        "--output-kind", choices=("logits", "mask"), default="logits", help="what leaves"
    )
    p.add_argument("--input", type=Path, metavar="PICTURES", help="file or folder to compare on")
    p.add_argument(
        "--opset", type=int, choices=(18, 20), help=f"18 for TensorRT; else {DEFAULT_OPSET}"
    )
    p.add_argument("--overwrite", action="store_true", help="replace --output")
    return p


def fitted(video: Path, box_hw: tuple[int, int]) -> tuple[int, int]:
    """Returns a video's aspect at the size that fits into a box, height first."""
    from seg.imaging.letterbox import Letterbox
    from seg.video.sources import VideoFile

    with VideoFile(video) as source:
        return Letterbox.fit(source.frame_hw, box_hw, 1).image_hw


def refuse_contradictions(args: argparse.Namespace) -> None:
    """Raises where flags contradict each other, or the kind of --model."""
    from seg.errors import SpecMismatch

    is_int8 = args.precision == "int8"
    if args.output.suffix != ".onnx":
        raise ArtifactError(f"--output {args.output}: expected a name that ends in .onnx.")
    if is_int8 != bool(args.calibration):
        raise SpecMismatch("--precision int8 and --calibration PICTURES go together.")
    if is_int8 and args.output_kind == "mask":
        raise SpecMismatch("--precision int8 is for logits; leave --output-kind out.")
    if args.model.suffix == ".onnx":
        if not is_int8:
            raise SpecMismatch(f"{args.model.name}: only --precision int8 is made from an .onnx.")
        fixed = ("imgsz", "fit", "batch", "dynamic", "opset")
        given = [f"--{name}" for name in fixed if getattr(args, name)]
        if given:
            raise SpecMismatch(
                f"{args.model.name} is taken as it is; leave out {', '.join(given)}."
            )


def from_checkpoint(args: argparse.Namespace, part: Path) -> tuple["Runtime", "ModelSpec"]:
    """Writes a checkpoint as ONNX in the types of torch; returns the source and the file's spec."""
    import torch

    from seg.exporting import onnx_graph
    from seg.models.checkpoint import load_net
    from seg.runtimes.pytorch import TorchRuntime

    net, spec = load_net(args.model)
    imgsz_hw = cli.hw(args.imgsz)
    if args.fit:
        imgsz_hw = fitted(args.fit, imgsz_hw or spec.input_hw)
    made = onnx_graph.export_spec(
        spec, args.model, imgsz_hw, batch=args.batch, dynamic=args.dynamic,
        precision="float32" if args.calibration else args.precision, outputs=args.output_kind,
    )  # fmt: skip
    onnx_graph.write_onnx(net, made, part, args.opset or onnx_graph.OPSET)
    return TorchRuntime(net, spec, torch.device("cpu")), made


def from_onnx(args: argparse.Namespace, part: Path) -> tuple["Runtime", "ModelSpec"]:
    """Copies an .onnx of ours; returns it as the source, and its spec."""
    from seg.files.checksum import sha256_of
    from seg.runtimes.open import open_runtime

    source = open_runtime(args.model, "cpu")
    shutil.copyfile(args.model, part)
    return source, dataclasses.replace(source.spec, source_sha256=sha256_of(args.model))


def main(argv: Sequence[str] | None = None) -> int:
    """Exports; returns the exit code."""
    args = flags().parse_args(argv)
    refuse_contradictions(args)
    from seg.data.segmentation_folders import find_images
    from seg.exporting.quantization import CALIBRATION_KEY, quantise
    from seg.files.atomic import atomic_write, check_writable
    from seg.kinds import Precision
    from seg.verification.export_check import verify_export
    from seg.verification.parity import read_images

    check_writable(args.output, args.overwrite)
    images, extra = read_images(args.input), {}
    with atomic_write(args.output) as part:
        source, spec = (from_onnx if args.model.suffix == ".onnx" else from_checkpoint)(args, part)
        if args.calibration:
            said = quantise(part, part, find_images(args.calibration).images)
            extra[CALIBRATION_KEY] = json.dumps(said)
            spec = dataclasses.replace(spec, precision=Precision.INT8)
            cli.note(f"ranges measured on {said['pictures']} pictures")
        report = verify_export(source, spec, part, images, extra)
    size = "any" if spec.canvas_hw is None else f"{spec.canvas_hw[1]}x{spec.canvas_hw[0]}"
    for line in report.lines(source.description):
        cli.note(line)
    cli.note(f"canvas {size}, {spec.precision}, {args.output.stat().st_size / 1e6:.1f} MB")
    print(args.output)
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
