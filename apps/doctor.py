"""Says what would really run on this machine, by trying it.

    python apps/doctor.py
    python apps/doctor.py --model person.onnx
    python apps/doctor.py --json

Engines open a session, H.264 is written and read back, the default model segments a frame.
"absent" is what only some commands need, "fail" has the remedy beside it. The exit code is 1 where
the model would not run.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.doctor.checks import MODEL, run_checks
from seg.files.default_artifacts import DEFAULT_MODEL


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE",
        help=f"the model to try (default: weights/{DEFAULT_MODEL.name})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="write JSON to stdout")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the checks; returns the exit code."""
    args = build_parser().parse_args(argv)
    checks = []
    for check in run_checks(args.model):
        checks.append(check)
        if not args.json:
            print(f"{check.state:6}  {check.name:19}  {check.text}", flush=True)
    runs = all(check.state == "ok" for check in checks if check.name == MODEL)
    if args.json:
        rows = [dataclasses.asdict(check) for check in checks]
        print(json.dumps({"runs": runs, "checks": rows}, indent=2))
    return cli.OK if runs else cli.FAILED


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
