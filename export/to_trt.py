"""Builds a TensorRT engine, and keeps it only if its results are those of its source.

    python export/to_trt.py --model weights/person-lite.onnx --output person.engine --imgsz 640 384
    python export/to_trt.py --model runs/dinov2_vits14/best_iou.pt --output d.engine --rebuild

Run it on the GPU that the engine is for. Without --precision it tries float16, float16-mixed
(LayerNorm and softmax in float32), bfloat16 and float32, in this order, and keeps the first whose
results agree with those of the ONNX file in float32, on --input or on public-domain photos. What
the engine really computes in is read from the engine. PERSON.engine.json, which holds all of that,
is part of the engine: copy both. An engine takes images of one size; build one for each.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.errors import ArtifactError, EngineMissing
from seg.exporting.precision_modes import RENAMED, PrecisionMode


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    p.add_argument("--model", type=Path, required=True, metavar="FILE", help=".onnx or .pt")
    p.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .engine")
    p.add_argument("--rebuild", action="store_true", help="replace --output")
    p.add_argument("--input", type=Path, metavar="IMAGES", help="file or folder to compare on")
    cli.add_imgsz(p, None, "box that images are fitted into; default: the model's")
    text = "one mode only; default: the first that passes"
    p.add_argument("--precision", type=precision_mode, metavar="NAME", help=text)
    text = "most images at once; default: what --model fixes, else 1"
    p.add_argument("--batch", type=cli.positive_int, metavar="N", help=text)
    rare = p.add_argument_group("rarely needed")
    rare.add_argument(
        "--workspace", type=cli.positive_int, metavar="MIB", help="memory for building"
    )
    rare.add_argument("--timing-cache", type=Path, metavar="FILE", help="makes later builds faster")
    text = "also runs on later versions of TensorRT; such a file brings code that is executed"
    rare.add_argument("--version-compatible", action="store_true", help=text)
    text = "also runs on other GPUs from Ampere on, slower"
    rare.add_argument("--hardware-compatible", action="store_true", help=text)
    return p


def precision_mode(name: str) -> PrecisionMode | None:
    """Reads `--precision`, for argparse; `auto` is the default."""
    if name in RENAMED:
        raise argparse.ArgumentTypeError(f"'{name}' is now '{RENAMED[name]}'")
    if name != "auto" and name not in PrecisionMode.values():
        known = ", ".join(["auto", *PrecisionMode.values()])
        raise argparse.ArgumentTypeError(f"expected one of {known}; got '{name}'")
    return None if name == "auto" else PrecisionMode(name)


def main(argv: Sequence[str] | None = None) -> int:
    """Builds; returns the exit code."""
    args = build_parser().parse_args(argv)
    if args.output.suffix != ".engine" or args.model.suffix not in (".onnx", ".pt"):
        raise ArtifactError(
            f"Expected --model FILE.onnx or FILE.pt and --output FILE.engine; "
            f"got {args.model.name} and {args.output.name}."
        )
    if not args.model.is_file():
        raise ArtifactError(f"No model at {args.model}.")
    try:
        from seg.runtimes.trt import gpu_environment
    except ModuleNotFoundError as error:
        if error.name != "tensorrt":
            raise
        raise EngineMissing("An engine needs the package tensorrt: pip install tensorrt") from error
    from seg.exporting.engine_builder import EngineRequest, build_engine
    from seg.exporting.tensorrt import BuildOptions
    from seg.runtimes.engine_metadata import EngineMetadata
    from seg.verification.parity import read_images

    here = gpu_environment()
    request = EngineRequest(
        model=args.model,
        input_hw=cli.hw(args.imgsz),
        mode=args.precision,
        batch=args.batch,
        options=BuildOptions(
            workspace=args.workspace,
            timing_cache=args.timing_cache,
            version_compatible=args.version_compatible,
            hardware_compatible=args.hardware_compatible,
        ),
    )
    if args.output.exists() and not args.rebuild:
        if reasons := request.differences(EngineMetadata.read(args.output), here):
            raise ArtifactError(f"{args.output} is stale: {'; '.join(reasons)}. Add --rebuild.")
        cli.note(f"{args.output} is what was asked for; --rebuild builds it again")
    else:
        metadata = build_engine(args.output, request, read_images(args.input), here)
        megabytes = args.output.stat().st_size / 1e6
        cli.note(
            f"{here}: {metadata.precision_mode}, tensors {metadata.tensors}, {megabytes:.1f} MB"
        )
    print(args.output)
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
