"""Trains a network; TASK --help lists its usual flags, --help-all all; segment needs no word.

    python train.py --imgsz 640 640                          frozen DINOv2 on Penn-Fudan
    python train.py --data my_folder --arch lite             the small network, on your images
    python train.py --data my_folder --output runs/mine --resume
    python train.py --folds 5 --sweep lr=1e-4,1e-3           a table with intervals, and a plot
    python train.py pretrain --data photos --output runs/mine       a backbone, without labels
    python train.py distill --teacher big.onnx --student lite --images photos walk.mp4

A data set is FOLDER[,val=COUNT][,seed=SEED][,weight=W][,only=PATTERN][,recursive][,negatives]
[,ignore_above=P]: docs/train.md tells what FOLDER holds, and what a teacher is for.
"""

import argparse
import sys
from collections.abc import Sequence

from seg import cli
from seg.cli.renamed import refuse_renamed
from seg.training.commands import Command, add_flags
from seg.training.tasks import COMMANDS

RENAMED = {
    "--colour": "--color",
    "--paste": "--copy-paste-prob",
    "--soft": "--distill-weight",
}


def build_parser(command: Command, shows_all: bool = False) -> argparse.ArgumentParser:
    """Returns the parser of a sub-command; its help lists the rare flags where `shows_all`."""
    p = cli.parser(__doc__)
    tasks = "|".join([*COMMANDS, "pretrain"])
    p.usage = f"train.py [{tasks}] [flags]"
    add_flags(command, p, shows_all)
    refuse_renamed(p, RENAMED)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Trains; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["pretrain"]:
        return pretrain(words[1:])
    command = COMMANDS[words.pop(0) if words and words[0] in COMMANDS else "segment"]
    args = build_parser(command, "--help-all" in words).parse_args(words)
    from seg.training.launch import launch

    print(launch(command, args))
    return cli.OK


def pretrain(words: Sequence[str]) -> int:
    """Pre-trains a backbone; returns the exit code."""
    from seg.pretraining import flags

    values = flags.values_of(flags.build_parser().parse_args(words))
    from seg.pretraining.launch import train_from

    print(train_from(values))
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
