"""Holds every artifact of a network against one reference, mask against mask.

    python apps/gate.py --against best_iou.pt --model person.onnx person.onnx,runtime=openvino
    python apps/gate.py --against person.onnx --model int8.onnx mask.onnx --input my_folder/images

A model is FILE[,runtime=NAME][,precision=NAME][,imgsz=WxH][,device=NAME][,compile][,graph], or a
graph from raw frames to masks. Frames are --input's, or public-domain photos. Markdown goes to
stdout; the exit code is 1 where an artifact fails the gate of its precision.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.benchmark.entries import Entry
from seg.benchmark.gate import hold, markdown
from seg.predictors.segmenter import Segmenter
from seg.runtimes import environment as machine
from seg.verification.parity import frames_of


def flags() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--against", type=Path, required=True, metavar="FILE", help="the reference")
    p.add_argument("--model", nargs="+", required=True, metavar="FILE", help="with options")
    p.add_argument("--input", type=Path, metavar="PICTURES", help="file or folder to compare on")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Compares; returns 0 only if every artifact passes."""
    args = flags().parse_args(argv)
    entries = [Entry.parse(text) for text in args.model]
    frames, verdicts = frames_of(args.input), []
    # OpenVINO, which reads .xml, would take something narrower by itself.
    precision = "float32" if args.against.suffix == ".xml" else None
    with Segmenter(args.against, "cpu", precision=precision) as reference:
        for entry in entries:
            verdicts.append(hold(entry, reference, frames))
            cli.note(f"{entry.name}: {verdicts[-1].parity}")
        said = f"{args.against.name} on {reference.runtime.description}"
    print(f"- machine: {machine.cpu()}")
    print(f"- versions: {', '.join(f'{name} {v}' for name, v in machine.versions().items())}")
    print(f"- reference: {said}; {len(frames)} frames\n")
    print(markdown(verdicts))
    return cli.OK if all(one.passes for one in verdicts) else cli.FAILED


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
