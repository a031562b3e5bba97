"""The flags that the image, video and camera commands share, and how these end."""

import argparse
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from seg.cli.program import FAILED, OK
from seg.errors import ArtifactError

if TYPE_CHECKING:
    from seg.imaging.overlay import Overlay
    from seg.video.report import Report

log = logging.getLogger("dinoseg")


def add_drawing_flags(flags: argparse.ArgumentParser) -> None:
    """Adds `--opacity`, `--outline`, `--save-masks`, `--overwrite` and `--json`."""
    flags.add_argument("--opacity", type=unit_interval, default=0.5, help="of the color, 0 to 1")
    outline = argparse.BooleanOptionalAction
    flags.add_argument("--outline", action=outline, default=True, help="draw each region's edge")
    flags.add_argument(
        "--save-masks",
        type=Path,
        metavar="DIR",
        help="also write each mask as a PNG whose values are class indices, 0 the background",
    )
    flags.add_argument("--overwrite", action="store_true", help="replace files that exist")
    flags.add_argument("--json", action="store_true", help="results as one JSON object")


def overlay_of(args: argparse.Namespace) -> "Overlay":
    """Returns the overlay that the flags ask for."""
    from seg.imaging.annotators import Style
    from seg.imaging.overlay import Overlay

    return Overlay(Style(opacity=args.opacity, outline=args.outline))


def unit_interval(text: str) -> float:
    """Reads a number from 0 to 1, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got '{text}'")
    return number


def check_paths_differ(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Raises ArtifactError where a result would replace what it is made from, or another result."""
    taken = {path.resolve(): "an input" for path in inputs}
    for path in outputs:
        if path.resolve() in taken:
            raise ArtifactError(f"{path} is {taken[path.resolve()]}; choose a different --output.")
        taken[path.resolve()] = "the name of two results"


def show_results(
    files: Mapping[str, Sequence[Path]],
    report: "Report",
    faults: Sequence[str] = (),
    as_json: bool = False,
    numbers: Mapping[str, float] = MappingProxyType({}),
) -> int:
    """Prints what a run has written and how fast it was; names its faults on stderr.

    Args:
        files: What was written, by its key in the JSON object.
        report: The run's.
        faults: What is missing, a line each.
        as_json: One JSON object instead of lines.
        numbers: What else the run has measured, by its key in the JSON object.

    Returns:
        The command's exit code.
    """
    if as_json:
        written = {key: [str(path) for path in paths] for key, paths in files.items()}
        print(json.dumps({**written, **report.to_dict(), **numbers, "faults": list(faults)}))
    elif report.num_frames or not faults:
        print(*(path for paths in files.values() for path in paths), report.table(), sep="\n")
        for name, number in numbers.items():
            print(f"{name.replace('_', ' ')}: {number:.3g}")
    for fault in faults:
        log.error("%s", fault)
    return FAILED if faults else OK
