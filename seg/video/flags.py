"""The flags that the image, video and camera commands share, and what they make."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from seg.errors import ArtifactError
from seg.imaging.annotators import Style
from seg.imaging.overlay import Overlay


def add_drawing_flags(flags: argparse.ArgumentParser) -> None:
    """Adds `--opacity`, `--outline`, `--save-masks` and `--overwrite`."""
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


def overlay_of(args: argparse.Namespace) -> Overlay:
    """Returns the overlay that the flags ask for."""
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
