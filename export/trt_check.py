"""Builds engines on this machine's GPU and writes a report that can be sent to us.

    python export/trt_check.py --models weights/person-lite.onnx

Besides the models it builds an engine of DINOv2 ViT-S/14 with random weights, whose masks mean
nothing and must still agree. Nothing is uploaded: the report is printed and stays in --output.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seg import cli


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    p.add_argument(
        "--models", nargs="*", type=Path, default=[], metavar="FILE", help=".onnx or .pt"
    )
    p.add_argument("--output", type=Path, default=Path("runs/trt-check"), metavar="FOLDER")
    cli.add_imgsz(p, (640, 384), "box that images are fitted into (default: 640 384)")
    p.add_argument("--runs", type=cli.positive_int, default=200, metavar="N", help="timed runs")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Checks; returns 0 only if every engine was built, passed its check and runs."""
    args = build_parser().parse_args(argv)
    from seg.exporting.engine_report import check_engine, describe_machine, save_random_dinov2
    from seg.files.atomic import atomic_write

    dino = args.output / "random-dinov2.pt"
    save_random_dinov2(dino)
    lines, has_succeeded = list(describe_machine()), True
    for model in (*args.models, dino):
        cli.note(f"{model.name}: building, which takes minutes")
        engine = args.output / f"{model.stem}.engine"
        done, (first, *more) = check_engine(build_command(args, model, engine), engine, args.runs)
        lines += ["", f"{model.name}: {first}", *more]
        has_succeeded = has_succeeded and done
    with atomic_write(args.output / "report.txt") as part:
        part.write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))
    return cli.OK if has_succeeded else cli.FAILED


def build_command(args: argparse.Namespace, model: Path, engine: Path) -> list[str]:
    """Returns the command that builds an engine of a model."""
    command = [sys.executable, str(Path(__file__).with_name("to_trt.py")), "--rebuild"]
    size = [*map(str, args.imgsz)]
    return [*command, "--model", str(model), "--output", str(engine), "--imgsz", *size]


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
