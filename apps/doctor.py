"""Says what would really run on this machine, by trying it.

    python apps/doctor.py
    python apps/doctor.py --model person.onnx
    python apps/doctor.py --json

Engines open a session, H.264 is written and read back, the default model segments a frame.
"absent" is something that only some commands need. The exit code is 1 where the model would fail.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.doctor import examine
from seg.files.default_artifacts import DEFAULT_MODEL


def flags() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE",
        help=f"the model to try (default: weights/{DEFAULT_MODEL.name})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="write JSON to stdout")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Examines; returns the exit code."""
    args = flags().parse_args(argv)
    findings = []
    for finding in examine(args.model):
        findings.append(finding)
        if not args.json:
            print(f"{finding.state:6}  {finding.name:19}  {finding.text}", flush=True)
    runs = all(one.state == "ok" for one in findings if one.name == "model")
    if args.json:
        found = [dataclasses.asdict(one) for one in findings]
        print(json.dumps({"runs": runs, "findings": found}, indent=2))
    return cli.OK if runs else cli.FAILED


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
