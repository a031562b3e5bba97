"""Trains a segmentation network from pictures and masks.

    python train.py --imgsz 640 640                          frozen DINOv2 on Penn-Fudan
    python train.py --data my_folder --arch lite             the small network, on your pictures
    python train.py --data my_folder --output runs/mine --resume
    python train.py --folds 5 --sweep lr=1e-4,1e-3           a table with intervals, and a picture
    python train.py segment ...                              the same as without the word
    python train.py distill --teacher big.onnx --student lite --images photos walk.mp4

A data set is FOLDER[,val=COUNT][,seed=SEED][,weight=W][,only=PATTERN][,recursive][,negatives]
[,ignore_above=P], where FOLDER is Penn-Fudan as distributed, train_images/ train_masks/
valid_images/ valid_masks/, images/ masks/, or, with the word negatives, images of the background
alone.

DINOv2 is frozen, so it runs once on a few views of each picture, and the head is trained on what
it said, kept on disk: the default, because it is much faster. apps/benchmark_training.py measures
how much, and what new views in every epoch, --no-cache, would bring.

distill teaches a student what a trained model sees, on pictures with labels and on those without:
PATH[,weight=W][,only=PATTERN][,recursive] of --images is a folder of images, or a video, of which
the frames that differ are taken. In a data set with ignore_above=P, what is labeled background and
the teacher takes for something else with at least probability P teaches nothing: people whom nobody
labeled.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seg import cli
from seg.kinds import Device
from seg.spec import SEGMENTATION, tuples
from seg.training.config import (
    AUGMENTS,
    PRECISIONS,
    RECIPES,
    SegmentationConfig,
    defaults,
    recipe,
)
from seg.training.schedule import SCHEDULERS

if TYPE_CHECKING:
    import torch

    from seg.training.sweep import Trial

TASKS = ("segment", "distill")


def flags(task: str = "segment") -> argparse.ArgumentParser:
    """Returns the parser; a flag that is left out takes what suits the architecture."""
    p = cli.parser(__doc__)
    p.set_defaults(task=task)
    if task == "distill":
        _add_teacher(p)
    else:
        text = "an official DINOv2 name, lite or efficientnet_lite0"
        p.add_argument("--arch", default="dinov2_vits14", help=text)
    p.add_argument("--data", nargs="+", metavar="FOLDER", help="data sets; default: Penn-Fudan")
    p.add_argument("--classes", nargs="+", metavar="NAME", help="default: background person")
    p.add_argument("--backbone", metavar="FILE", help="DINOv2's weights, or random")
    text = "a trained model of the same architecture to start from, such as "
    text += "weights/person-lite.onnx; a new head where its classes are others"
    p.add_argument("--init", metavar="FILE", help=text)
    text = (
        "blocks of the backbone that the head reads, from 0; default: the last four; 11 alone is "
    )
    text += "the official linear head of a ViT-S or B"
    p.add_argument("--layers", nargs="+", type=int, metavar="N", help=text)
    text = "choices in place of the defaults; flags go before both: dinov2, as its authors trained "
    text += "their ms heads, or seed, the tutorial's"
    p.add_argument("--recipe", choices=RECIPES, help=text)
    _add_views(p)
    _add_steps(p)
    text = (
        "cross-validation: the pictures in N parts, each of which validates once; last epochs count"
    )
    p.add_argument("--folds", type=cli.positive, metavar="N", help=text)
    text = "trains every combination of some choices, such as lr=1e-4,1e-3 weight_decay=0,1e-4"
    p.add_argument("--sweep", nargs="+", default=[], metavar="NAME=VALUES", help=text)
    p.add_argument("--precision", choices=PRECISIONS, help="auto: bfloat16 where it is in hardware")
    _choice(p, "seed", "of weights, views and order", int)
    p.add_argument("--tensorboard", action="store_true", help="log into --output/tensorboard too")
    p.add_argument("--device", choices=Device.values(), default="auto")
    p.add_argument("--output", type=Path, metavar="FOLDER", help="default: runs/ARCH")
    one = p.add_mutually_exclusive_group()
    one.add_argument("--resume", action="store_true", help="go on with the training in --output")
    one.add_argument("--overwrite", action="store_true", help="replace the training in --output")
    return p


def _add_teacher(p: argparse.ArgumentParser) -> None:
    """Adds who teaches whom, on what, and how much it counts."""
    text = "trained models of the same classes, in any form; several are averaged"
    p.add_argument("--teacher", nargs="+", required=True, metavar="FILE", help=text)
    p.add_argument("--student", dest="arch", default="lite", help="as --arch: what is trained")
    text = "pictures without labels: folders, and videos"
    p.add_argument("--images", nargs="+", metavar="PATH", help=text)
    _choice(p, "soft", "weight of what the teacher says, beside that of the labels", float)
    _choice(p, "temperature", "of the comparison with the teacher", float)


def _add_views(p: argparse.ArgumentParser) -> None:
    """Adds what decides the views, and whether their features are kept."""
    cli.add_imgsz(p, (640, 640), "box that pictures are fitted into (default: 640 640)")
    p.add_argument("--crop", nargs=2, type=cli.positive, metavar=("W", "H"), help="size of a view")
    text = "how views are drawn: house, or official, as for DINOv2's own heads (default: house)"
    p.add_argument("--augment", choices=AUGMENTS, help=text)
    _choice(p, "scale", "smallest and largest scale of a view", float, ("LOW", "HIGH"))
    _choice(p, "colour", "strength of the colour augmentation of house", float)
    _choice(p, "rotate", "largest angle by which a view of house is rotated, in degrees", float)
    _choice(p, "rotate-prob", "share of the views that are rotated", float)
    _choice(p, "gray-prob", "share of the views without color", float)
    _choice(p, "paste", "share of views with people pasted on", float)
    text = "views of each picture that the frozen backbone runs on, once each; epochs draw from "
    text += "them. More vary more, and take more time and disk at the start. 0: see --no-cache"
    _choice(p, "views", text, int)
    text = "draw new views in each epoch and run the backbone on each, as --views 0 does"
    p.add_argument("--no-cache", dest="views", action="store_const", const=0, help=text)
    text = "where features and videos' frames are kept (default: ~/.cache/dinoseg, or "
    text += "$DINOSEG_CACHE); what nobody used for 30 days is deleted"
    p.add_argument("--cache-dir", type=Path, metavar="DIR", help=text)
    _choice(p, "samples", "views in an epoch, None: as many as pictures", cli.positive)
    _choice(p, "batch", "views in a step", cli.positive)


def _add_steps(p: argparse.ArgumentParser) -> None:
    """Adds what decides how the weights change, and how long."""
    _choice(p, "epochs", "passes", cli.positive)
    _choice(p, "patience", "epochs without a better IoU before it stops, 0: never", int)
    _choice(p, "lr", "learning rate of AdamW", float)
    _choice(p, "weight-decay", "of AdamW", float)
    text = "of the learning rate; step where no name follows"
    p.add_argument("--scheduler", nargs="?", const="step", choices=SCHEDULERS, help=text)
    text = "epochs at which step divides the rate by ten (default: 50)"
    p.add_argument("--scheduler-epochs", nargs="+", type=cli.positive, metavar="N", help=text)
    _choice(p, "warmup", "steps of linear warm-up", int)
    _choice(p, "ce", "weight of cross-entropy", float)
    _choice(p, "dice", "weight of the Dice loss", float)
    _choice(p, "lovasz", "weight of the Lovász-Softmax loss", float)
    text = "weight of each class in cross-entropy; default: all the same"
    p.add_argument("--class-weights", nargs="+", type=float, metavar="W", help=text)
    _choice(p, "ema", "decay of the averaged weights, 0: none", float)
    _choice(p, "clip", "largest norm of the gradient", float)


def _choice(
    p: argparse.ArgumentParser,
    name: str,
    text: str,
    kind: type | object,
    pair: tuple[str, str] | None = None,
) -> None:
    """Adds a flag whose default depends on the architecture, and says both."""
    key = name.replace("-", "_")
    dino, lite = (getattr(defaults(arch), key) for arch in ("dinov2_vits14", "lite"))
    shown = f"{text} (default: {dino}{f'; lite: {lite}' if lite != dino else ''})"
    size = {"nargs": 2} if pair else {}
    p.add_argument(f"--{name}", type=kind, metavar=pair or "N", help=shown, **size)  # type: ignore[arg-type]


def config_of(args: argparse.Namespace) -> SegmentationConfig:
    """Turns flags into a configuration, on top of the architecture's defaults."""
    names = {field.name for field in dataclasses.fields(SegmentationConfig)}
    given = {k: v for k, v in vars(args).items() if k in names and v is not None}
    sizes = {"input_hw": cli.hw(args.imgsz), "crop_hw": cli.hw(args.crop)}
    given |= {k: v for k, v in sizes.items() if v}
    base = recipe(args.recipe, args.arch) if args.recipe else defaults(args.arch)
    if args.task == "distill":  # its views are new in each epoch, whoever learns
        base = dataclasses.replace(base, views=0)
    return dataclasses.replace(base, **tuples(given))


def main(argv: Sequence[str] | None = None) -> int:
    """Trains; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    task = argv.pop(0) if argv[:1] and argv[0] in TASKS else "segment"
    args = flags(task).parse_args(argv)
    from seg.data import open_dataset, penn_fudan
    from seg.data.check import check_samples
    from seg.data.split import select_validation_set
    from seg.data.unlabeled import open_unlabeled
    from seg.files.cache_folders import cache_folder
    from seg.models.nets import check_arch
    from seg.runtimes.pytorch import pick_device
    from seg.training.comparison import write
    from seg.training.init_weights import check_init
    from seg.training.run import Run
    from seg.training.sweep import plan

    config = config_of(args)
    check_arch(config.arch, SEGMENTATION)
    if config.init and not args.resume:
        check_init(Path(config.init), config.arch)
    folder = args.output or Path("runs") / config.arch
    many, device = bool(args.folds or args.sweep), pick_device(args.device)
    texts = config.data or (str(penn_fudan.download()),)
    config = dataclasses.replace(config, data=texts)
    sets = [open_dataset(text, config.classes) for text in texts]
    frames = args.cache_dir / "frames" if args.cache_dir else cache_folder("frames")
    sets += open_unlabeled(config.images, config.classes, frames)
    for data in sets:
        parts = f"{len(data.train)} train, {len(data.valid)} valid"
        cli.note(f"{data.name}: {data.description}; {parts}")
    for remark in check_samples([sample for data in sets for sample in data.train + data.valid]):
        cli.note(remark)
    trials = plan(config, sets, folder, args.sweep, args.folds or 0)
    for trial in trials:
        select_validation_set(trial.sets)
    for trial in trials if not args.resume else ():
        Run(trial.folder).start(args.overwrite)
    results = [
        (trial.choices, trial.fold, train(trial, args, device, f"{n}/{len(trials)}: " * many))
        for n, trial in enumerate(trials, 1)
    ]
    print(write(folder, results) if many else Run(folder).result)
    return cli.OK


def train(
    trial: "Trial", args: argparse.Namespace, device: "torch.device", place: str
) -> dict[str, float]:
    """Does one of the trainings that were asked for; returns the log's last row."""
    from seg.training import memory
    from seg.training.network import summary
    from seg.training.run import Run
    from seg.training.segmentation import Trainer
    from seg.training.tensorboard_logger import TensorBoardLogger

    run = Run(trial.folder)
    board = TensorBoardLogger(run.folder / "tensorboard") if args.tensorboard else lambda row: None
    trainer = Trainer(trial.config, trial.sets, run, device, args.cache_dir)
    # Of many trainings, those that had not begun are started.
    if args.resume and (run.last.exists() or not (args.folds or args.sweep)):
        trainer.resume()
        for line in run.missing_checkpoints():
            cli.note(line)
    cli.note(summary(trainer.net, trainer.spec))
    cli.note(f"{place}training on {device} in {trainer.precision}, into {run.folder}")
    with memory.translate_oom(trial.config, run.folder):
        return trainer.train(board)[-1]


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
