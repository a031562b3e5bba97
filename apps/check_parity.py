"""Compares artifacts of a network with one reference, mask against mask.

    python apps/check_parity.py --against best_iou.pt --model person.onnx p.onnx,runtime=openvino
    python apps/check_parity.py --against person.onnx --model int8.onnx mask.onnx --input images/

A model is FILE[,runtime=NAME][,precision=NAME][,imgsz=WxH][,device=NAME][,compile][,graph], or a
graph from raw frames to masks. The comparison runs on --input, or on public-domain photos. The
table goes to stdout as Markdown; the exit code is 1 where an artifact differs by more than its
precision allows.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.benchmark.entries import Entry
from seg.benchmark.parity_check import check, markdown
from seg.runtimes import environment
from seg.runtimes.open import open_runtime
from seg.verification.parity import read_images


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--against", type=Path, required=True, metavar="FILE", help="the reference")
    p.add_argument("--model", nargs="+", required=True, metavar="FILE", help="with options")
    p.add_argument("--input", type=Path, metavar="IMAGES", help="file or folder to compare on")
    p.add_argument("--json", action="store_true", help="print JSON in place of the table")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Compares; returns 0 only if every artifact passes."""
    args = build_parser().parse_args(argv)
    entries = [Entry.parse(text) for text in args.model]
    images, verdicts = read_images(args.input), []
    # OpenVINO, which reads .xml, would take something narrower by itself.
    precision = "float32" if args.against.suffix == ".xml" else None
    with open_runtime(args.against, "cpu", precision=precision) as reference:
        for entry in entries:
            verdicts.append(check(entry, reference, images))
            cli.note(f"{entry.name}: {verdicts[-1].parity}")
        ran_on = reference.description
    about = {
        "machine": environment.machine(),
        "versions": environment.versions(),
        "reference": f"{args.against.name} on {ran_on}",
        "images": len(images),
    }
    if args.json:
        print(json.dumps(about | {"artifacts": [one.to_dict() for one in verdicts]}, indent=2))
    else:
        print(f"- machine: {about['machine']}")
        print(f"- versions: {environment.versions_line()}")
        print(f"- reference: {about['reference']}; {len(images)} images\n")
        print(markdown(verdicts))
    return cli.OK if all(one.passes for one in verdicts) else cli.FAILED


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
