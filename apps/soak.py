"""Runs the video loop for thousands of frames and fails where its memory grows.

    python apps/soak.py --input clip.mp4
    python apps/soak.py --input clip.mp4 --runtime openvino --frames 5000

Decoding, the model, the overlay and the encoder, on a clip that starts again at its end. Resident
memory is compared with that after the first 500 frames; the exit code is 1 where it is more than
--limit above it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.benchmark.soak import soak
from seg.errors import SpecMismatch
from seg.runtimes import environment

FIRST = 500


def flags() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--input", required=True, type=Path, metavar="FILE", help="a video")
    cli.add_model_flags(p)
    p.add_argument("--frames", type=cli.positive, default=5000, help="where it ends")
    p.add_argument("--first", type=cli.positive, default=FIRST, help="frame to count growth from")
    p.add_argument("--limit", type=cli.positive, default=5, metavar="MB", help="growth allowed")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Soaks; returns 0 only if memory stays."""
    args = flags().parse_args(argv)
    if args.frames <= args.first:
        raise SpecMismatch(f"--frames {args.frames} must be more than --first {args.first}.")
    environment.resident_mb()  # says at once where it cannot be known
    with cli.segmenter(args) as segment:
        cli.note(f"{args.model}: {segment.description}")
        growth = soak(args.input, segment, args.first, args.frames)
    stays = growth.grown_mb <= args.limit
    print(f"{segment.description}\n{growth} ({'at most' if stays else 'MORE THAN'} {args.limit})")
    return cli.OK if stays else cli.FAILED


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
