"""Runs the video loop for thousands of frames and fails if its memory grows.

    python apps/soak.py --input clip.mp4
    python apps/soak.py --input clip.mp4 --runtime openvino --frames 5000

Decoding, the model, the overlay and the encoder run on a clip that repeats. The exit code is 1 if
resident memory grows by more than --limit after the first 500 frames.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.benchmark.soak import soak
from seg.errors import SpecMismatch
from seg.runtimes import environment


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--input", required=True, type=Path, metavar="FILE", help="a video")
    cli.add_model_flags(p)
    p.add_argument("--frames", type=cli.positive_int, default=5000, help="length of the run")
    p.add_argument("--first", type=cli.positive_int, default=500, help="frame to count growth from")
    p.add_argument("--limit", type=cli.positive_int, default=5, metavar="MB", help="growth allowed")
    p.add_argument("--json", action="store_true", help="print JSON in place of text")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the test; returns 0 only if memory does not grow."""
    args = build_parser().parse_args(argv)
    if args.frames <= args.first:
        raise SpecMismatch(f"--frames {args.frames} must be more than --first {args.first}.")
    environment.resident_mb()  # says at once where it cannot be known
    with cli.open_predictor(args) as predictor:
        cli.note(f"{args.model}: {predictor.description}")
        growth = soak(args.input, predictor, args.first, args.frames)
    passes = growth.grown_mb <= args.limit
    if args.json:
        report = {"engine": predictor.description, "limit_mb": args.limit, "passes": passes}
        print(json.dumps(report | growth.to_dict(), indent=2))
    else:
        limit = f"{'at most' if passes else 'MORE THAN'} {args.limit}"
        print(f"{predictor.description}\n{growth} ({limit})")
    return cli.OK if passes else cli.FAILED


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
