"""Draws a model's masks over still images: one file, a folder, or a pattern.

    python apps/infer_image.py --input street.jpg
    python apps/infer_image.py --input street.jpg --output street-people.png --save-masks masks
    python apps/infer_image.py --input photos --output out --no-outline
    python apps/infer_image.py --input photos --recursive
    python apps/infer_image.py --input "photos/*.jpg" --model weights/person-lite.onnx

Without --output the results are <name>-overlay.png in the current folder for one image, and in
the folder overlays for more. --output is a file where it ends in .png, .jpg and the like, which
fits one image, else a folder. An image that cannot be read is named; the others are done.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.cli import media


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument("--input", required=True, help="an image, a folder or a pattern")
    parser.add_argument("--recursive", action="store_true", help="read subfolders, too")
    parser.add_argument("--output", type=Path, metavar="PATH", help="a file or a folder")
    cli.add_model_flags(parser)
    cli.add_tasks_flag(parser)
    cli.add_drawing_flags(parser)
    show = argparse.BooleanOptionalAction
    parser.add_argument("--show", action=show, default=False, help="show each; any key goes on")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    from contextlib import ExitStack

    from seg.video import loop
    from seg.video.base import Sink
    from seg.video.image_folder import ImageFolder
    from seg.video.meter import Meter
    from seg.video.pipeline import Pipeline
    from seg.video.progress import Progress
    from seg.video.sinks import ImageFiles, MaskFolder
    from seg.video.window import Window

    source = ImageFolder(args.input, args.recursive)
    results = media.result_paths(source.paths, args.output, "overlay")
    masks = [args.save_masks / f"{name}.png" for name in results] if args.save_masks else []
    cli.check_paths_differ(source.paths.values(), [*results.values(), *masks])
    meter = Meter()
    with ExitStack() as stack:
        images = ImageFiles(results, args.overwrite)
        sinks: list[Sink] = [Progress(source), images]
        if args.save_masks:
            sinks.append(MaskFolder(args.save_masks, args.overwrite))
        if args.show:
            sinks.append(stack.enter_context(Window("dinoseg", hold=True)))
        predictors = cli.open_tasks(args, stack)
        cli.note(f"{args.model}: {cli.described(predictors)}")
        pipeline = Pipeline(predictors, cli.overlay_of(args), meter)
        report = loop.run(source, pipeline, sinks, meter)
    return cli.show_results({"outputs": images.written}, report, source.failures, args.json)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
