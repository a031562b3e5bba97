"""Downloads DINOv2 and Penn-Fudan, trains, measures, and writes the results down.

    python apps/reproduce.py
    python apps/reproduce.py --quick      the same steps, cut short; the numbers mean nothing

Every step is a command of this repository, shown before it runs. It can be stopped at any time:
finished steps are not repeated unless their inputs, the code, the packages or the machine have
changed, and trainings resume. Everything is kept in --folder, which belongs to this command; the
features of the dinov2 recipe take about 15 GB of it while that training runs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seg import cli
from seg.data import penn_fudan
from seg.files.atomic import atomic_write, check_writable
from seg.kinds import Device
from seg.reproduce import steps
from seg.reproduce.about import describe_environment, describe_run
from seg.reproduce.page import render_page
from seg.reproduce.plan import ReproduceConfig, plan, plan_classification

ARCH = "dinov2_vits14"


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--data", type=Path, metavar="FOLDER", help="default: Penn-Fudan, downloaded")
    p.add_argument("--backbone", type=Path, metavar="FILE", help="default: Meta's, downloaded")
    p.add_argument("--arch", default=ARCH, help="an official DINOv2 name")
    cli.add_imgsz(p, (640, 640), "box that images are fitted into (default: 640 640)")
    text = "images without labels for the distillation: folders and videos, none of them of the "
    text += "validation images; default: the training images alone"
    p.add_argument("--images", nargs="+", type=Path, default=[], metavar="PATH", help=text)
    text = "train/CLASS/ and val/CLASS/ to measure neighbors and classifiers on (default: not done)"
    p.add_argument("--classes", type=Path, metavar="FOLDER", help=text)
    p.add_argument("--device", choices=Device.values(), default="auto", help="where networks run")
    p.add_argument("--quick", action="store_true", help="try the steps; the numbers mean nothing")
    p.add_argument("--folder", type=Path, metavar="DIR", help="default: runs/reproduce[-quick]")
    p.add_argument("--output", type=Path, metavar="FILE", help="default: RESULTS.md in --folder")
    p.add_argument("--overwrite", action="store_true", help="replace --output")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what is not done yet; returns the exit code."""
    args = build_parser().parse_args(argv)
    folder: Path = args.folder or Path("runs") / ("reproduce-quick" if args.quick else "reproduce")
    output: Path = args.output or folder / "RESULTS.md"
    may_replace = args.overwrite or args.output is None
    steps.check_checkout()
    check_writable(output, may_replace)
    from seg.models.official_weights import find_official

    config = ReproduceConfig(
        data=args.data or penn_fudan.download(),
        backbone=args.backbone or find_official(args.arch),
        arch=args.arch,
        imgsz=tuple(args.imgsz),
        images=tuple(args.images),
        classes=args.classes,
        folder=folder,
        device=args.device,
        quick=args.quick,
    )
    todo, rows = plan(config)
    class_steps, class_rows = plan_classification(config)
    todo += class_steps
    environment = describe_environment()
    records = steps.run_steps(todo, folder / "steps", environment, steps.execute)
    about = describe_run(config, environment, records)
    text = render_page(
        todo, rows, records, about, data=config.data.name, quick=args.quick, class_rows=class_rows
    )
    with atomic_write(output, overwrite=may_replace) as part:
        part.write_text(text, "utf-8")
    print(output)
    return cli.OK


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
