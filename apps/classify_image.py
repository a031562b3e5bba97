"""Classifies images, videos and cameras with a model of train.py classify.

    python apps/classify_image.py --model runs/leaves/best_top1.pt --input leaf.jpg
    python apps/classify_image.py --model leaves.onnx --input photos --top 5 --output captioned
    python apps/classify_image.py --model leaves.onnx --input walk.mp4 --save-results walk.jsonl
    python apps/classify_image.py --model leaves.onnx --input 0

Of images the likeliest classes are printed, a line each; with --output they are written into the
images, too. A video gets them as <name>-classes.mp4, and a camera in a window.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seg import cli
from seg.cli import media

if TYPE_CHECKING:
    from seg.results import Classification
    from seg.video.base import Sink, Source
    from seg.video.meter import Meter


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    media.add_media_flags(parser)
    text = "classes to show, the likeliest first"
    parser.add_argument("--top", type=cli.positive_int, default=3, metavar="K", help=text)
    text = "also write the classes of each image or frame as a line of JSON"
    parser.add_argument("--save-results", type=Path, metavar="FILE", help=text)
    cli.add_engine_flags(parser, None, "required", is_required=True)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    from contextlib import ExitStack

    from seg.imaging.annotators import Style
    from seg.imaging.overlay import Overlay
    from seg.spec import CLASSIFICATION
    from seg.video import loop
    from seg.video.meter import Meter
    from seg.video.pipeline import Pipeline

    meter = Meter()
    with ExitStack() as stack:
        source = stack.enter_context(media.open_input(args.input, args.recursive))
        predictor = stack.enter_context(cli.open_predictor(args, CLASSIFICATION))
        sinks, files = _sinks(source, args, meter)
        for sink in sinks:
            stack.enter_context(sink)
        cli.note(f"{args.model}: {predictor.description}")
        overlay = Overlay(Style(num_classes=args.top))
        pipeline = Pipeline([predictor], overlay, meter, show_fps=source.live)
        report = loop.run(source, pipeline, sinks, meter)
    faults = [report.damage] if report.damage else getattr(source, "failures", [])
    results = [args.save_results] if args.save_results else []
    return cli.show_results({"outputs": files, "results": results}, report, faults, args.json)


def _sinks(
    source: "Source", args: argparse.Namespace, meter: "Meter"
) -> "tuple[list[Sink], Sequence[Path]]":
    """Returns what takes the results, and the files that are written."""
    from seg.spec import CLASSIFICATION
    from seg.video.image_folder import ImageFolder
    from seg.video.progress import Progress
    from seg.video.result_lines import PrintedResults, ResultLines

    sinks: list[Sink] = []
    if args.save_results:
        sinks.append(ResultLines(args.save_results, args.overwrite, (CLASSIFICATION,)))
    if not isinstance(source, ImageFolder):
        found, files = media.open_sinks(source, args, meter, "classes")
        return [*sinks, *found], files
    if not args.json:
        sinks.append(PrintedResults(CLASSIFICATION, lambda found: _line(found, args.top), print))
    if args.output or args.show:
        found, files = media.open_sinks(source, args, meter, "classes")
        return [*sinks, *found], files
    return [*sinks, Progress(source)], []


def _line(found: "Classification", count: int) -> str:
    return "  ".join(f"{name} {100 * share:.1f} %" for name, share in found.top(count))


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
