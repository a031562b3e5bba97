"""Downloads DINOv2 and Penn-Fudan, trains, measures, and writes the results down.

    python apps/reproduce.py
    python apps/reproduce.py --quick      the same steps, cut short; the numbers mean nothing

Every step is a command of this repository, shown before it runs. Stop it whenever you like: what is
done is not done again unless its inputs, the code, the packages or the machine have changed, and
trainings go on where they were. Everything is kept in --folder, which belongs to this command; the
features of the dinov2 recipe take about 15 GB of it while that training runs.
"""

import argparse
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg import cli
from seg.data import penn_fudan
from seg.files.atomic import atomic_write, check_writable
from seg.files.checksum import sha256_of
from seg.kinds import Device
from seg.reproduce import steps
from seg.reproduce.page import page
from seg.reproduce.plan import Choices, plan
from seg.reproduce.steps import ROOT, Record, digest
from seg.runtimes import environment

ARCH = "dinov2_vits14"
CODE = ("seg", "export/to_onnx.py", "apps/evaluate.py", "train.py")


def flags() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    p = cli.parser(__doc__)
    p.add_argument("--data", type=Path, metavar="FOLDER", help="default: Penn-Fudan, downloaded")
    p.add_argument("--backbone", type=Path, metavar="FILE", help="default: Meta's, downloaded")
    p.add_argument("--arch", default=ARCH, help="an official DINOv2 name")
    cli.add_imgsz(p, (640, 640), "box that images are fitted into (default: 640 640)")
    text = "images without labels for the distillation: folders and videos, none of them of the "
    text += "validation images; default: the training images alone"
    p.add_argument("--images", nargs="+", type=Path, default=[], metavar="PATH", help=text)
    p.add_argument("--device", choices=Device.values(), default="auto", help="where networks run")
    p.add_argument("--quick", action="store_true", help="try the steps; the numbers mean nothing")
    p.add_argument("--folder", type=Path, metavar="DIR", help="default: runs/reproduce[-quick]")
    p.add_argument("--output", type=Path, metavar="FILE", help="default: RESULTS.md in --folder")
    p.add_argument("--overwrite", action="store_true", help="replace --output")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Reproduces; returns the exit code."""
    args = flags().parse_args(argv)
    folder: Path = args.folder or Path("runs") / ("reproduce-quick" if args.quick else "reproduce")
    output: Path = args.output or folder / "RESULTS.md"
    check_writable(output, args.overwrite or args.output is None)
    from seg.models.official_weights import find_official

    choices = Choices(
        data=args.data or penn_fudan.download(),
        backbone=args.backbone or find_official(args.arch),
        arch=args.arch,
        imgsz=tuple(args.imgsz),
        images=tuple(args.images),
        folder=folder,
        device=args.device,
        quick=args.quick,
    )
    todo, rows = plan(choices)
    world = {
        "code": digest(*(ROOT / name for name in CODE)),
        "machine": environment.machine(),
        "versions": environment.versions(),
    }
    records = steps.run_steps(todo, folder / "steps", world, steps.execute)
    about = about_of(choices, world, records)
    text = page(todo, rows, records, about, data=choices.data.name, quick=args.quick)
    with atomic_write(output) as part:
        part.write_text(text, "utf-8")
    print(output)
    return cli.OK


def about_of(
    choices: Choices, world: Mapping[str, Any], records: Mapping[str, Record]
) -> dict[str, str]:
    """Returns what it was measured with, for people."""
    days = sorted({record.date for record in records.values()})
    return {
        "date": " to ".join(days[:1] + days[1:][-1:]),
        "machine": world["machine"],
        "versions": ", ".join(f"{name} {value}" for name, value in world["versions"].items()),
        "commit": commit(),
        "weights": weights(choices),
        "data": f"{choices.data.name}, sha256 of names and contents {digest(choices.data)[:16]}",
    }


def weights(choices: Choices) -> str:
    """Says which weights these are, and whether they are the file whose hash is published."""
    from seg.models.official_weights import KNOWN_FILES

    got = sha256_of(choices.backbone)
    known = KNOWN_FILES.get(choices.arch, (0, ""))[1]
    verdict = "Meta's published file" if got == known else "**not a file whose hash is published**"
    return f"{choices.backbone.name}, sha256 {got}: {verdict}"


def commit() -> str:
    """Returns the repository's commit, and whether the code differs from it."""
    git = ("git", "-C", str(ROOT))
    asked = [(*git, "rev-parse", "HEAD"), (*git, "status", "--porcelain", "--", *CODE)]
    try:
        answers = [subprocess.run(one, capture_output=True, text=True, check=True) for one in asked]
    except (OSError, subprocess.CalledProcessError):
        return "unknown: this is no git checkout"
    head, changes = (answer.stdout.strip() for answer in answers)
    return f"{head}{', with changes of its code' if changes else ''}"


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
