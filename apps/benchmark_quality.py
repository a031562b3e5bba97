"""Measures what --tta and --guided gain over plain masks, and what they cost.

    python apps/benchmark_quality.py --data PennFudanPed --tta 1 3 5 --epsilon 1e-3
    python apps/benchmark_quality.py --data PennFudanPed --epsilon 1e-4 1e-2 --radius 4 8

Every variant predicts the same images, on one engine. Each gain has a paired bootstrap 95 %
interval: one that contains 0 may be chance.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.benchmark.quality import Variant, compare, table
from seg.data import open_dataset
from seg.data.samples import SPLITS
from seg.errors import SpecMismatch
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.guided_filter import EPSILON
from seg.kinds import Device, Engine
from seg.predictors.segmenter import Segmenter
from seg.predictors.tta import RATIOS
from seg.runtimes import environment


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--data", required=True, metavar="FOLDER", help="as apps/evaluate.py takes it")
    p.add_argument("--split", choices=SPLITS, default="valid", help="which of its images")
    p.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE",
        help=f"default: weights/{DEFAULT_MODEL.name}",
    )  # fmt: skip
    cli.add_imgsz(p, None, "box that images are fitted into; default: the model's own")
    p.add_argument(
        "--device", choices=Device.values(), default="auto", help="where the network runs"
    )
    p.add_argument("--runtime", choices=Engine.values(), help="engine; default: by the suffix")
    numbers = range(1, len(RATIOS) + 1)
    p.add_argument("--tta", nargs="*", type=int, choices=numbers, default=[], help="scales to try")
    text = f"of the guided filter, to try; the filter of --guided has {EPSILON:g}"
    p.add_argument("--epsilon", nargs="*", type=float, default=[], metavar="E", help=text)
    text = "of the filter's windows in pixels of the fitted image, each with each --epsilon; "
    text += "default: that of --guided, a cell of the network's scores"
    p.add_argument("--radius", nargs="+", type=cli.positive_int, metavar="R", help=text)
    p.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Measures; returns the exit code."""
    args = build_parser().parse_args(argv)
    for epsilon in args.epsilon:
        if not epsilon > 0:
            raise SpecMismatch(f"--epsilon is {epsilon:g}; expected a positive number.")
    with Segmenter(args.model, args.device, cli.hw(args.imgsz), runtime=args.runtime) as segmenter:
        data = open_dataset(args.data, segmenter.classes)
        samples = data.split(args.split)
        results = compare(segmenter, samples, variants(args))
        about = {
            "data": f"{data.name}, {args.split}, {len(samples)} images",
            "model": f"{args.model.name}, {segmenter.description}",
            "machine": environment.machine(),
            "versions": environment.versions_line(),
        }
    if args.json:
        rows = [result.to_dict(results[0]) for result in results]
        print(json.dumps({"about": about, "variants": rows}, indent=2))
    else:
        lines = [f"- {key}: {value}" for key, value in about.items()]
        print("\n".join([*lines, "", *table(results)]))
    return cli.OK


def variants(args: argparse.Namespace) -> list[Variant]:
    """Returns the variants that the flags name, the plain one first."""
    scales = [Variant(f"--tta {number}", tta=number) for number in args.tta]
    filters = [
        Variant(
            f"guided, epsilon {epsilon:g}{f', radius {radius}' if radius else ''}",
            0,
            epsilon,
            radius,
        )
        for radius in args.radius or (None,)
        for epsilon in args.epsilon
    ]
    return [Variant("plain"), *filters, *scales]


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
