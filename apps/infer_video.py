"""Draws a model's masks over every frame of a video file.

Same frames, timestamps, rotation and audio; H.264 in MP4, which every player plays.

    python apps/infer_video.py --input clip.mp4
    python apps/infer_video.py --input clip.mp4 --output out/masks.mp4 --opacity 0.7 --overwrite
    python apps/infer_video.py --input clip.mp4 --save-masks masks --imgsz 640 640
    python apps/infer_video.py --input clip.mp4 --save-polygons people.jsonl --cut-out people.webm

Without --output the result is <name>-overlay.mp4 in the current folder.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.cli import outputs


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument("--input", required=True, type=Path, metavar="FILE", help="a video")
    parser.add_argument("--output", type=Path, metavar="FILE", help="an .mp4")
    cli.add_model_flags(parser)
    cli.add_tasks_flag(parser)
    cli.add_steady_flag(parser)
    text = "also write what was found in each frame as a line of JSON"
    parser.add_argument("--save-results", type=Path, metavar="FILE", help=text)
    cli.add_drawing_flags(parser)
    show = argparse.BooleanOptionalAction
    parser.add_argument("--show", action=show, default=False, help="watch it while it runs")
    outputs.add_section_flags(parser)
    outputs.add_output_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    from contextlib import ExitStack

    from seg.video import loop
    from seg.video.base import Sink
    from seg.video.meter import Meter
    from seg.video.pipeline import Pipeline
    from seg.video.progress import Progress
    from seg.video.recorder import Mp4Writer
    from seg.video.result_lines import ResultLines
    from seg.video.sinks import MaskFolder
    from seg.video.sources import VideoFile
    from seg.video.window import Window

    output: Path = args.output or Path(f"{args.input.stem}-overlay.mp4")
    cli.check_paths_differ([args.input], [output])
    meter = Meter()
    with ExitStack() as stack:
        video = stack.enter_context(VideoFile(args.input))
        source = outputs.section_of(video, args)
        is_whole = args.start is None and args.end is None
        if not is_whole:
            cli.note("a part of the video: its audio is left out")
        predictors = cli.open_tasks(args, stack)
        sinks: list[Sink] = [Progress(source)]
        if args.show:
            sinks.append(stack.enter_context(Window("dinoseg")))
        if args.save_masks:
            sinks.append(MaskFolder(args.save_masks, args.overwrite))
        if args.save_results:
            tasks = tuple(cli.tasks_of(predictors))
            sinks.append(stack.enter_context(ResultLines(args.save_results, args.overwrite, tasks)))
        more, written = outputs.open_outputs(args, stack, source.fps, meter, [args.input], output)
        sinks += more
        sound = video.path if is_whole else None
        writer = Mp4Writer(output, args.overwrite, sound, source.fps, meter)
        sinks.append(stack.enter_context(writer))
        cli.note(f"{args.model}: {cli.described(predictors)}")
        pipeline = Pipeline(predictors, cli.overlay_of(args), meter, show_fps=args.show)
        report = loop.run(source, pipeline, sinks, meter)
    files = {"output": [output], "masks": [args.save_masks] if args.save_masks else [], **written}
    with contextlib.redirect_stdout(sys.stderr if args.raw else sys.stdout):
        faults = [report.damage] if report.damage else []
        return cli.show_results(files, report, faults, args.json, cli.reuse_of(predictors))


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
