"""Draws a model's masks over every frame of a video file.

Same frames, timestamps, rotation and sound; H.264 in MP4, which every player plays.

    python apps/infer_video.py --input clip.mp4
    python apps/infer_video.py --input clip.mp4 --output out/masks.mp4 --opacity 0.7 --overwrite
    python apps/infer_video.py --input clip.mp4 --save-masks masks --imgsz 640 640

Without --output the result is <name>-overlay.mp4 in the current folder.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from seg import cli
from seg.video import loop
from seg.video.base import Sink
from seg.video.flags import add_drawing_flags, check_paths_differ, overlay_of
from seg.video.meter import Meter
from seg.video.pipeline import Pipeline
from seg.video.recorder import Mp4Writer
from seg.video.sinks import MaskFolder, Window
from seg.video.sources import VideoFile


def flags() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument("--input", required=True, type=Path, metavar="FILE", help="a video")
    parser.add_argument("--output", type=Path, metavar="FILE", help="an .mp4")
    cli.add_model_flags(parser)
    add_drawing_flags(parser)
    show = argparse.BooleanOptionalAction
    parser.add_argument("--show", action=show, default=False, help="watch it while it runs")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = flags().parse_args(argv)
    output: Path = args.output or Path(f"{args.input.stem}-overlay.mp4")
    check_paths_differ([args.input], [output])
    meter = Meter()
    with ExitStack() as stack:
        source = stack.enter_context(VideoFile(args.input))
        segment = stack.enter_context(cli.segmenter(args))
        sinks: list[Sink] = []
        if args.show:
            sinks.append(stack.enter_context(Window("dinoseg")))
        if args.save_masks:
            sinks.append(MaskFolder(args.save_masks, args.overwrite))
        writer = Mp4Writer(output, args.overwrite, source.path, source.fps, meter)
        sinks.append(stack.enter_context(writer))
        cli.note(f"{args.model}: {segment.description}")
        pipeline = Pipeline([segment], overlay_of(args), meter, show_fps=args.show)
        report = loop.run(source, pipeline, sinks, meter)
    print(output, *([args.save_masks] if args.save_masks else []), report, sep="\n")
    if source.damage:
        cli.note(f"error: {source.damage}")
    return cli.FAILED if source.damage else cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
