"""Measures what --keyframes saves on videos, and how far its masks are from those of every frame.

    python apps/benchmark_keyframes.py --input clips
    python apps/benchmark_keyframes.py --input a.mp4 --longest 0.2 1 --frames 200

IoU is to the masks that the same model makes of every frame. Times are from the image to the mask.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.cli.flags import positive_seconds
from seg.predictors.segmenter import Segmenter
from seg.runtimes import environment


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    text = "videos, or folders of them"
    parser.add_argument("--input", nargs="+", type=Path, required=True, metavar="PATH", help=text)
    text = "values of --keyframes to try (default: 0.1 0.2 0.5 1)"
    parser.add_argument(
        "--longest", nargs="+", type=positive_seconds, default=[0.1, 0.2, 0.5, 1.0], metavar="S",
        help=text,
    )  # fmt: skip
    text = "of each video, from its start (default: all)"
    parser.add_argument("--frames", type=cli.positive_int, metavar="N", help=text)
    cli.add_model_flags(parser)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measures; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seg.benchmark.keyframes import compare, table

    clips = [
        clip
        for path in args.input
        for clip in (sorted(path.iterdir()) if path.is_dir() else [path])
    ]
    with cli.open_predictor(args) as segmenter:
        assert isinstance(segmenter, Segmenter)
        found = {clip.name: compare(segmenter, clip, args.longest, args.frames) for clip in clips}
        about = {
            "model": f"{args.model.name}, {segmenter.description}",
            "machine": environment.machine(),
            "versions": environment.versions_line(),
        }
    if args.json:
        rows = {clip: [one.to_dict() for one in savings] for clip, savings in found.items()}
        print(json.dumps({"about": about, "clips": rows}, indent=2))
    else:
        lines = [f"- {key}: {value}" for key, value in about.items()]
        print("\n".join([*lines, "", *table(found)]))
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
