"""Draws a model's masks over a camera or a stream, live.

The newest frame wins: where the model is slower than the camera, frames are dropped and counted.

    python apps/infer_webcam.py
    python apps/infer_webcam.py --input 1 --output recording.mp4
    python apps/infer_webcam.py --input rtsp://user:password@host/stream --no-show --output out.mp4

q or Esc in the window, or Ctrl-C, ends it; a recording is kept. Without --show or --no-show a
window opens where there is a display.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seg import cli
from seg.cli import outputs
from seg.errors import SourceError

if TYPE_CHECKING:
    from seg.video.base import Sink


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--input",
        default="0",
        metavar="CAMERA",
        help="a number, device or URL; - for raw bgr24 frames",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="record into this .mp4")
    parser.add_argument(
        "--camera-size",
        nargs=2,
        type=cli.positive_int,
        metavar=("W", "H"),
        help="ask the camera for frames of this size; of raw frames theirs",
    )
    text = "ask the camera for this rate; of raw frames theirs (default: 25)"
    parser.add_argument("--camera-fps", type=cli.positive_int, metavar="N", help=text)
    parser.add_argument(
        "--rtsp-transport", choices=("tcp", "udp"), help="what carries rtsp:// (default: tcp)"
    )
    cli.add_model_flags(parser)
    cli.add_tasks_flag(parser)
    cli.add_steady_flag(parser)
    cli.add_drawing_flags(parser)
    parser.add_argument("--show", action=argparse.BooleanOptionalAction, help="open a window")
    parser.add_argument(
        "--max-frames", type=cli.positive_int, metavar="N", help="stop after so many"
    )
    outputs.add_output_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    from contextlib import ExitStack

    from seg.video import loop
    from seg.video.meter import Meter
    from seg.video.pipeline import Pipeline
    from seg.video.recorder import Mp4Writer
    from seg.video.sinks import MaskFolder
    from seg.video.streams import open_source

    if args.output:
        cli.check_paths_differ([Path(args.input)], [args.output])
    meter = Meter()
    with ExitStack() as stack:
        predictors = cli.open_tasks(args, stack)
        sinks = [stack.enter_context(window) for window in _windows(args)]
        size_hw = cli.hw(args.camera_size)
        opened = open_source(args.input, size_hw, args.rtsp_transport, args.camera_fps)
        source = stack.enter_context(opened)
        if args.save_masks:
            sinks.append(MaskFolder(args.save_masks, args.overwrite))
        if args.output:
            sinks.append(stack.enter_context(Mp4Writer(args.output, args.overwrite, meter=meter)))
        more, written = outputs.open_outputs(args, stack, source.fps, meter, [], args.output)
        sinks += more
        cli.note(f"{args.model}: {cli.described(predictors)}")
        pipeline = Pipeline(predictors, cli.overlay_of(args), meter, show_fps=True)
        report = loop.run(source, pipeline, sinks, meter, args.max_frames)
    files = {
        "output": [args.output] if args.output else [],
        "masks": [args.save_masks] if args.save_masks else [],
        **written,
    }
    with contextlib.redirect_stdout(sys.stderr if args.raw else sys.stdout):
        faults = [report.damage] if report.damage else []
        return cli.show_results(files, report, faults, args.json, cli.reuse_of(predictors))


def _windows(args: argparse.Namespace) -> "list[Sink]":
    """Opens a window where one is asked for, or where it can be and nobody said no."""
    from seg.video.window import Window

    if args.show is False:
        return []
    try:
        return [Window("dinoseg")]
    except SourceError as error:
        if args.show or not _writes(args):
            raise
        cli.note(f"{error}")
        return []


def _writes(args: argparse.Namespace) -> bool:
    """Returns whether there is any result but the window."""
    named = args.output, args.save_masks, args.save_polygons, args.cut_out, args.save_background
    return args.raw or any(named)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
