"""What a command reads and writes where it takes images, videos, cameras and streams alike."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seg.cli.drawing import check_paths_differ
from seg.errors import SourceError

if TYPE_CHECKING:
    from seg.video.base import Sink, Source
    from seg.video.meter import Meter


def add_media_flags(flags: argparse.ArgumentParser) -> None:
    """Adds `--input`, `--recursive`, `--output`, `--show`, `--overwrite` and `--json`."""
    text = "image, folder, pattern, video, camera number or URL"
    flags.add_argument("--input", required=True, metavar="PATH", help=text)
    flags.add_argument("--recursive", action="store_true", help="read subfolders, too")
    text = "a file, or a folder for several images; cameras: record into this .mp4"
    flags.add_argument("--output", type=Path, metavar="PATH", help=text)
    show = argparse.BooleanOptionalAction
    flags.add_argument("--show", action=show, help="open a window (default: for cameras)")
    flags.add_argument("--overwrite", action="store_true", help="replace files that exist")
    flags.add_argument("--json", action="store_true", help="results as one JSON object")


def open_input(text: str, is_recursive: bool = False) -> "Source":
    """Opens images, a video, or a camera or stream; raises SourceError where nothing is there."""
    from seg.imaging.image_io import IMAGE_SUFFIXES
    from seg.video.image_folder import ImageFolder
    from seg.video.sources import VideoFile
    from seg.video.streams import open_source

    path = Path(text)
    is_pattern = any(sign in text for sign in "*?[") and "://" not in text
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES or is_pattern:
        return ImageFolder(text, is_recursive)
    return VideoFile(path) if path.is_file() else open_source(text)


def result_paths(inputs: Mapping[str, Path], output: Path | None, suffix: str) -> dict[str, Path]:
    """Returns where the result of each image goes.

    Args:
        inputs: The images by name.
        output: A file for one image, or a folder; None: the current folder for one image, else a
            folder called as many of the suffix, such as `overlays`.
        suffix: What a result's name ends with, such as `overlay`.

    Raises:
        SourceError: Several images do not fit into one file.
    """
    is_file = output is not None and output.suffix != "" and not output.is_dir()
    if is_file and len(inputs) > 1:
        raise SourceError(f"{len(inputs)} images do not fit into the file {output}; name a folder.")
    if is_file and output is not None:
        return dict.fromkeys(inputs, output)
    folder = output or Path(f"{suffix.removesuffix('s')}s" if len(inputs) > 1 else ".")
    return {name: folder / f"{name}-{suffix}.png" for name in inputs}


def open_sinks(
    source: "Source", args: argparse.Namespace, meter: "Meter", suffix: str
) -> "tuple[list[Sink], Sequence[Path]]":
    """Opens the progress bar, the window, and the files that the flags and the source ask for.

    Args:
        source: As of `open_input`.
        args: The flags of `add_media_flags`.
        meter: Told how long writing takes.
        suffix: As of `result_paths`.

    Returns:
        The sinks, to be closed by the caller, and the files that are written.
    """
    from seg.video.image_folder import ImageFolder
    from seg.video.progress import Progress
    from seg.video.recorder import Mp4Writer
    from seg.video.sinks import ImageFiles
    from seg.video.sources import VideoFile
    from seg.video.window import Window

    sinks: list[Sink] = [] if source.live else [Progress(source)]
    if args.show or (source.live and args.show is None):
        sinks.append(Window("dinoseg", hold=isinstance(source, ImageFolder)))
    if isinstance(source, ImageFolder):
        results = result_paths(source.paths, args.output, suffix)
        check_paths_differ(source.paths.values(), results.values())
        images = ImageFiles(results, args.overwrite)
        return [*sinks, images], images.written
    output: Path | None = args.output
    if isinstance(source, VideoFile):
        output = output or Path(f"{source.path.stem}-{suffix}.mp4")
        check_paths_differ([source.path], [output])
        return [*sinks, Mp4Writer(output, args.overwrite, source.path, source.fps, meter)], [output]
    if output:
        sinks.append(Mp4Writer(output, args.overwrite, meter=meter))
    return sinks, [output] if output else []
