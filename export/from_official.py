"""Makes an ordinary checkpoint of DINOv2 and one of Meta's segmentation heads; needs no mmcv.

    python export/from_official.py --head dinov2_vits14_voc2012_ms_head.pth --output voc-person.pt
    python export/from_official.py --head files/ade20k_ms_head.pth --classes all --output ade.pt
    python export/to_onnx.py --model voc-person.pt --output voc-person.onnx --imgsz 640 360

--head is a file, or an official name, which is looked for in weights/ and torch hub's cache, else
downloaded: dinov2_vit{s,b,l,g}14_{voc2012,ade20k}_{linear,ms}_head.pth. The classes that are not
named merge into the background: a pixel is a person where person beats all 20 or 149 others.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seg import cli


def flags() -> argparse.ArgumentParser:
    """Returns the parser."""
    p = cli.parser(__doc__)
    p.add_argument("--head", required=True, metavar="FILE", help="a head, or an official name")
    text = "classes to keep, or all (default: person)"
    p.add_argument("--classes", nargs="+", default=["person"], metavar="NAME", help=text)
    p.add_argument("--arch", help="DINOv2's name; default: as --head says, else dinov2_vits14")
    p.add_argument("--backbone", metavar="FILE", help="DINOv2's weights, or random")
    cli.add_imgsz(p, (640, 640), "box that images are fitted into (default: 640 640)")
    p.add_argument("--output", type=Path, required=True, metavar="FILE", help="the .pt to write")
    p.add_argument("--overwrite", action="store_true", help="replace --output")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Assembles; returns the exit code."""
    args = flags().parse_args(argv)
    from seg.files.atomic import check_writable
    from seg.models.checkpoint import save_net
    from seg.models.official_heads import assemble, find_head

    check_writable(args.output, args.overwrite)
    wanted = None if args.classes == ["all"] else args.classes
    input_hw = args.imgsz[1], args.imgsz[0]
    net, spec = assemble(
        find_head(args.head), wanted, arch=args.arch, backbone=args.backbone, input_hw=input_hw
    )
    save_net(args.output, net, spec)
    shown = ", ".join(spec.classes[:6]) + (", ..." if len(spec.classes) > 6 else "")
    cli.note(f"{spec.arch}, layers {' '.join(map(str, spec.layers))}; {spec.backbone}")
    cli.note(f"{len(spec.classes)} classes ({shown}), {len(spec.merged)} merged into background")
    print(args.output)
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
