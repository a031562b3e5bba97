"""Makes an ordinary checkpoint of a published backbone, with or without one of Meta's heads.

    python export/from_official.py --head dinov2_vits14_voc2012_ms_head.pth --output voc-person.pt
    python export/from_official.py --head files/ade20k_ms_head.pth --classes all --output ade.pt
    python export/from_official.py --backbone efficientnet_lite0 --output embed.pt
    python export/to_onnx.py --model embed.pt --output embed.onnx

    python export/from_official.py --head dinov2_vits14_linear_head.pth --output imagenet.pt

Without --head the checkpoint embeds images, for apps/show_features.py, k-NN and retrieval.
--head is a file, or an official name, which is looked for in weights/ and torch hub's cache, else
downloaded: dinov2_vit{s,b,l,g}14_{voc2012,ade20k}_{linear,ms}_head.pth segment, and the classes
that are not named merge into the background: a pixel is a person where person beats all 20 or 149
others. dinov2_vit{s,b,l,g}14[_reg4]_{linear,linear4}_head.pth classify; ImageNet's 1,000 classes
are called by their numbers, or as the lines of --class-names say.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seg import cli
from seg.errors import SpecMismatch
from seg.spec import CLASSIFICATION, SEGMENTATION

if TYPE_CHECKING:
    from seg.models.base import Net
    from seg.spec import ModelSpec


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    p.add_argument("--head", metavar="FILE", help="a head, or an official name")
    text = "classes to keep, or all (default: person)"
    p.add_argument("--classes", nargs="+", metavar="NAME", help=text)
    text = "of a head that classifies: a name a line, in its order"
    p.add_argument("--class-names", type=Path, metavar="FILE", help=text)
    text = "the backbone's name; default: as --head says, else dinov2_vits14"
    p.add_argument("--arch", metavar="NAME", help=text)
    text = "its weights, or random; or a backbone's name, for its published weights"
    p.add_argument("--backbone", metavar="FILE", help=text)
    text = "size that images are fitted to (default: 640 640, without --head 224 224)"
    cli.add_imgsz(p, None, text)
    text = "without --head: blocks or maps to put side by side, from 0"
    p.add_argument("--layers", nargs="+", type=int, metavar="N", help=text)
    text = "without --head: letterbox or center_crop (default: center_crop)"
    p.add_argument("--fit", choices=("letterbox", "center_crop"), metavar="WAY", help=text)
    p.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .pt to write")
    p.add_argument("--overwrite", action="store_true", help="replace --output")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Assembles; returns the exit code."""
    args = build_parser().parse_args(argv)
    check_flags(args)
    from seg.files.atomic import check_writable
    from seg.models.checkpoint import save_net

    check_writable(args.output, args.overwrite)
    net, spec = (_with_head if args.head else _embedding)(args)
    task = spec.outputs[0].task
    save_net(args.output, net, spec)
    cli.note(f"{spec.arch}, layers {' '.join(map(str, spec.layers)) or 'all'}; {spec.backbone}")
    if task == SEGMENTATION:
        shown = ", ".join(spec.classes[:6]) + (", ..." if len(spec.classes) > 6 else "")
        merged = f"{len(spec.merged)} merged into background"
        cli.note(f"{len(spec.classes)} classes ({shown}), {merged}")
    elif task == CLASSIFICATION:
        cli.note(f"{len(spec.outputs[0].classes)} classes, head {spec.head}")
    else:
        cli.note(f"embeds images, {spec.fit} {spec.input_hw[1]}x{spec.input_hw[0]}")
    print(args.output)
    return cli.OK


def check_flags(args: argparse.Namespace) -> None:
    """Raises where a flag is for the other kind of checkpoint, or no backbone is named."""
    if args.head and (args.fit or args.layers):
        raise SpecMismatch("--fit and --layers are for embeddings, a head has its own; omit them.")
    if args.head:
        return
    if args.classes:
        raise SpecMismatch("--classes are those of a head; name one with --head, or omit them.")
    if not args.arch and not args.backbone:
        raise SpecMismatch("Name a --head, or a --backbone to embed images with.")


def _backbone(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """Returns the backbone's name and weights that the flags say; None where they do not."""
    from seg.models.backbones.registry import BACKBONES

    if args.backbone not in BACKBONES:
        return args.arch, args.backbone
    if args.arch not in (None, args.backbone):
        raise SpecMismatch(f"--backbone is {args.backbone} and --arch {args.arch}; omit one.")
    return args.backbone, None


def _with_head(args: argparse.Namespace) -> "tuple[Net, ModelSpec]":
    from seg.models.official_classifiers import assemble_classifier, find_classifier
    from seg.models.official_heads import assemble, find_head

    arch, weights = _backbone(args)
    if path := find_classifier(args.head):
        if args.classes:
            raise SpecMismatch(f"--classes are of heads that segment; {path} classifies: omit it.")
        names = _lines(args.class_names) if args.class_names else None
        size = cli.hw(args.imgsz) or (224, 224)
        return assemble_classifier(path, names, arch=arch, backbone=weights, input_hw=size)
    classes = args.classes or ["person"]
    return assemble(
        find_head(args.head),
        None if classes == ["all"] else classes,
        arch=arch,
        backbone=weights,
        input_hw=cli.hw(args.imgsz) or (640, 640),
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecMismatch(f"--class-names {path} cannot be read as text: {error}.") from error


def _embedding(args: argparse.Namespace) -> "tuple[Net, ModelSpec]":
    from seg.models.official_embedding import INPUT_HW, assemble_embedding

    arch, weights = _backbone(args)
    return assemble_embedding(
        arch or "dinov2_vits14",
        weights,
        layers=args.layers,
        input_hw=cli.hw(args.imgsz) or INPUT_HW,
        fit=args.fit or "center_crop",
    )


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
