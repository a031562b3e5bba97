"""Measures how much steadier --steady makes the masks of videos, and what it costs.

    python apps/benchmark_steady.py --input clips
    python apps/benchmark_steady.py --input a.mp4 b.mp4 --frames 150 --data PennFudanPed --limit 20

Every method gets the same scores. "flips" are changes of a pixel's class where the image does not
change, in % of the static pixels per second; TC is the IoU of a mask with the one before, carried
along DIS flow. IoU of a clip is to its plain masks: it says how much a method changes, not whether
it is right. With --data windows move over labeled images, with noise; there IoU and VC are to the
labels. ms is from the scores to the mask.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.errors import SourceError
from seg.predictors.segmenter import Segmenter
from seg.runtimes import environment


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    text = "videos, or folders of them"
    parser.add_argument("--input", nargs="*", type=Path, default=[], metavar="PATH", help=text)
    text = "of each video, from its start (default: all)"
    parser.add_argument("--frames", type=cli.positive_int, metavar="N", help=text)
    parser.add_argument("--data", metavar="FOLDER", help="as apps/evaluate.py takes it")
    text = "images of --data (default: all of its validation)"
    parser.add_argument("--limit", type=cli.positive_int, metavar="N", help=text)
    cli.add_model_flags(parser)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measures; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seg.benchmark.steadiness import Steadiness, compare_clip, compare_pans, table
    from seg.data import open_dataset

    clips = [
        clip
        for path in args.input
        for clip in (sorted(path.iterdir()) if path.is_dir() else [path])
    ]
    if not clips and not args.data:
        raise SourceError("Nothing to measure; name videos with --input, or labels with --data.")
    found: dict[str, list[Steadiness]] = {}
    with cli.open_predictor(args) as segmenter:
        assert isinstance(segmenter, Segmenter)
        for clip in clips:
            found[clip.name] = compare_clip(segmenter, clip, args.frames)
        if args.data:
            data = open_dataset(args.data, segmenter.classes)
            name = f"pans over {data.name}"
            found[name] = compare_pans(segmenter, data.split("valid")[: args.limit])
        about = {
            "model": f"{args.model.name}, {segmenter.description}",
            "machine": environment.machine(),
            "versions": environment.versions_line(),
        }
    if args.json:
        rows = {clip: [one.to_dict() for one in methods] for clip, methods in found.items()}
        print(json.dumps({"about": about, "clips": rows}, indent=2))
    else:
        lines = [f"- {key}: {value}" for key, value in about.items()]
        print("\n".join([*lines, "", *table(found)]))
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
