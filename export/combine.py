"""Combines models on one frozen backbone into one: it runs once, and each task has its output.

    python export/combine.py --models person.pt leaves.pt --embed --output all.pt
    python export/to_onnx.py --model all.pt --output all.onnx
    python apps/infer_video.py --model all.onnx --input walk.mp4 --save-results walk.jsonl

Images are fitted as of the first model: name the one that segments first, since masks need the
whole image. Checkpoints of train.py segment and train.py classify without --finetune share a
backbone where they name the same one.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seg import cli


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    text = "checkpoints, each for another task"
    p.add_argument("--models", nargs="+", type=Path, required=True, metavar="FILE", help=text)
    p.add_argument("--embed", action="store_true", help="also return the features of the backbone")
    p.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .pt to write")
    p.add_argument("--overwrite", action="store_true", help="replace --output")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Combines; returns the exit code."""
    args = build_parser().parse_args(argv)
    from seg.files.atomic import check_writable
    from seg.models.checkpoint import save_net
    from seg.models.combining import combine

    check_writable(args.output, args.overwrite)
    net, spec = combine(args.models, args.embed)
    save_net(args.output, net, spec)
    outputs = ", ".join(f"{output.name} for {output.task}" for output in spec.outputs)
    cli.note(f"{spec.arch}, layers {' '.join(map(str, spec.layers))}; {outputs}")
    print(args.output)
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
