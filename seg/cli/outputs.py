"""What else a video command can write in the same pass, and which part of the source it takes."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from seg.cli.drawing import check_paths_differ
from seg.cli.flags import positive_int
from seg.errors import SourceError, SpecMismatch

if TYPE_CHECKING:
    from seg.imaging.cutout import Background
    from seg.video.base import Sink, Source
    from seg.video.meter import Meter


def add_output_flags(flags: argparse.ArgumentParser) -> None:
    """Adds `--save-polygons`, `--cut-out`, `--save-background`, `--background` and `--raw`."""
    group = flags.add_argument_group("more results, all in one pass")
    text = "outlines: .jsonl with a line for each frame, .json for COCO (needs pycocotools)"
    group.add_argument("--save-polygons", type=Path, metavar="FILE", help=text)
    text = "with alpha: a folder of PNGs, .webm (VP9) or .mov (ProRes 4444)"
    group.add_argument("--cut-out", type=Path, metavar="PATH", help=text)
    text = "before another background: an .mp4"
    group.add_argument("--save-background", type=Path, metavar="FILE", help=text)
    text = "of it: blur, a color as #rrggbb, or an image (default: blur)"
    group.add_argument("--background", metavar="WHAT", help=text)
    text = "overlaid frames as bgr24 bytes to standard output; the report goes to standard error"
    group.add_argument("--raw", action="store_true", help=text)


def add_section_flags(flags: argparse.ArgumentParser) -> None:
    """Adds `--start`, `--end` and `--stride`."""
    group = flags.add_argument_group("part of the video")
    group.add_argument("--start", type=_seconds, default=None, metavar="S", help="from this second")
    group.add_argument("--end", type=_seconds, default=None, metavar="S", help="up to this second")
    text = "every Nth frame of it"
    group.add_argument("--stride", type=positive_int, default=None, metavar="N", help=text)


def section_of(source: "Source", args: argparse.Namespace) -> "Source":
    """Returns the part of the source that the flags of `add_section_flags` name."""
    from seg.video.section import Section

    if args.start is None and args.end is None and args.stride is None:
        return source
    return Section(source, args.start or 0.0, args.end, args.stride or 1)


def open_outputs(
    args: argparse.Namespace,
    stack: ExitStack,
    fps: float | None,
    meter: "Meter",
    inputs: list[Path],
    output: Path | None,
) -> "tuple[list[Sink], dict[str, list[Path]]]":
    """Opens the sinks that the flags of `add_output_flags` ask for.

    Args:
        args: The flags.
        stack: Closes the sinks.
        fps: About the rate of the frames.
        meter: Told how long encoding takes.
        inputs: What the run reads.
        output: What it writes beside them.

    Returns:
        The sinks, and what they write, by its key in the JSON object.

    Raises:
        SegError: A file exists, or two results have one name.
    """
    from seg.video.cutout_sinks import OtherBackground
    from seg.video.recorder import Mp4Writer

    if args.background and not args.save_background:
        raise SpecMismatch("--background is of --save-background FILE; name the file.")
    named = {
        "polygons": args.save_polygons,
        "cut_out": args.cut_out,
        "background": args.save_background,
    }
    files = {key: [path] for key, path in named.items() if path}
    written = [path for paths in files.values() for path in paths]
    check_paths_differ(inputs, [*([output] if output else []), *written])
    sinks: list[Sink] = []
    if args.save_polygons:
        sinks.append(_polygons(args.save_polygons, args.overwrite))
        stack.enter_context(sinks[-1])
    if args.cut_out:
        sinks.append(_cut_out(args.cut_out, args.overwrite, fps))
        stack.enter_context(sinks[-1])
    if args.save_background:
        behind = _background(args.background or "blur")
        writer = Mp4Writer(args.save_background, args.overwrite, fps=fps, meter=meter)
        sinks.append(stack.enter_context(OtherBackground(writer, behind)))
    if args.raw:
        from seg.video.raw_frames import RawFrames

        sinks.append(RawFrames(sys.stdout.buffer))
    return sinks, files


def _polygons(path: Path, overwrite: bool) -> "Sink":
    from seg.video.polygon_sinks import CocoFile, PolygonLines

    kinds = {".jsonl": PolygonLines, ".json": CocoFile}
    if path.suffix.lower() not in kinds:
        raise SourceError(f"Expected a name in .jsonl or .json for polygons; got {path}.")
    return kinds[path.suffix.lower()](path, overwrite)


def _cut_out(path: Path, overwrite: bool, fps: float | None) -> "Sink":
    from seg.video.cutout_sinks import CutOutFolder, CutOutVideo

    return CutOutVideo(path, overwrite, fps) if path.suffix else CutOutFolder(path, overwrite)


def _background(text: str) -> "Background":
    """Reads `blur`, a color or the path of an image."""
    from seg.imaging.cutout import blurred, of_color, of_image
    from seg.imaging.image_io import read_image

    if text == "blur":
        return blurred
    if text.startswith("#") and not Path(text).exists():
        try:
            red, green, blue = bytes.fromhex(text[1:])
        except ValueError:
            raise SpecMismatch(f"Expected a color as #rrggbb; got {text}.") from None
        return of_color((blue, green, red))
    return of_image(read_image(Path(text)))


def _seconds(text: str) -> float:
    """Reads a number of seconds from 0 on, for argparse."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got '{text}'")
    return seconds
