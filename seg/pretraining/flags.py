"""The flags of train.py pretrain."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from seg import cli
from seg.errors import SpecMismatch
from seg.pretraining.config import PretrainConfig

DOC = """Pre-trains a backbone on images without labels, by the DINOv2 method.

    python train.py pretrain --data photos more,recursive list.txt --output runs/mine
    python train.py pretrain --data photos --output runs/tiny --model dinov2/vitt14 --steps 2000 \\
        --method-args output_dim=4096 --transform-args image_size=[112,112] local_view.num_views=4
    python train.py segment --arch dinov2_vitt14 --backbone runs/tiny/backbone.pth

docs/pretrain.md lists the arguments of the method and of the views, and what a run writes.
"""
HELP = {
    "steps": "optimizer steps",
    "batch": "images of a step, over all processes",
    "accumulate": "parts that a step is worked on in, to save memory",
    "lr": "learning rate at a batch of reference_batch_size",
    "seed": "of weights, order, views and masks",
    "workers": "processes that draw views; 0: the training's own",
    "save_every": "steps between checkpoints; 1 loses no more than a step",
    "log_every": "steps between rows of the log",
    "eval_every": "steps between k-NN evaluations",
}


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(DOC)
    p.prog = "train.py pretrain"
    text = "FOLDER[,only=PATTERN][,recursive] or a .txt list"
    p.add_argument("--data", nargs="+", required=True, metavar="FOLDER", help=text)
    p.add_argument("--output", "--out", dest="out", required=True, metavar="FOLDER")
    fields = {field.name: field for field in dataclasses.fields(PretrainConfig)}
    p.add_argument("--model", default=fields["model"].default, metavar="NAME")
    text = "weights to continue from: a file in the official format, official, or random"
    p.add_argument("--backbone", default="random", metavar="FILE", help=text)
    for name, text in HELP.items():
        kind = float if name == "lr" else int
        flag = f"--{name.replace('_', '-')}"
        p.add_argument(flag, type=kind, default=fields[name].default, metavar="N", help=text)
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    p.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    text = "a folder with a folder for each class, for k-NN"
    p.add_argument("--eval-data", default="", metavar="FOLDER", help=text)
    for name in ("method", "transform"):
        text = f"arguments of the {name}, such as a.b=VALUE; values are JSON"
        p.add_argument(f"--{name}-args", nargs="+", default=[], metavar="NAME=VALUE", help=text)
    p.add_argument("--tensorboard", action="store_true", help="log into --output, too")
    one = p.add_mutually_exclusive_group()
    one.add_argument("--resume", action="store_true", help="resume the run in --output")
    one.add_argument("--overwrite", action="store_true", help="replace the run in --output")
    return p


def values_of(args: argparse.Namespace) -> dict[str, Any]:
    """Returns the values of the flags, as `PretrainConfig.read` takes them."""
    values = vars(args) | {"data": tuple(args.data)}
    for name in ("method_args", "transform_args"):
        values[name] = read_pairs(values[name], f"--{name.replace('_', '-')}")
    return values


def read_pairs(pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """Reads `a.b=VALUE` into nested mappings; values are JSON, or else text.

    Raises:
        SpecMismatch: There is no `=`.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals:
            raise SpecMismatch(f"{flag} {pair}; expected NAME=VALUE.")
        *outer, name = path.split(".")
        place = values
        for one in outer:
            place = place.setdefault(one, {})
        try:
            place[name] = json.loads(text)
        except ValueError:
            place[name] = text
    return values
