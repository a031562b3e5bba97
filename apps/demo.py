"""Makes a clip of people, draws the default model's masks over it, and says how fast it ran.

    python apps/demo.py
    python apps/demo.py --input my.mp4

Results go into the folder demo, which belongs to this command: its own files are replaced. The
clip is made of photos in the public domain that matplotlib and scikit-image carry; it needs no
network. Other flags are those of apps/infer_video.py.
"""

import argparse
import runpy
import shlex
from collections.abc import Sequence
from pathlib import Path

from seg import cli

FOLDER = Path("demo")


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument("--input", type=Path, metavar="FILE", help="a video of your own")
    parser.add_argument("--output", type=Path, metavar="FILE", help="an .mp4")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demonstration; returns its exit code."""
    args, others = build_parser().parse_known_args(argv)
    clip = args.input or FOLDER / "clip.mp4"
    output = args.output or FOLDER / f"{clip.stem}-overlay.mp4"
    words = ["--input", str(clip), "--output", str(output), *others]
    if not args.output:
        words.append("--overwrite")
    infer_video = runpy.run_path(str(Path(__file__).with_name("infer_video.py")))
    infer_video["build_parser"]().parse_args(words)  # a wrong flag is said before the clip is made
    if not args.input:
        make_clip(clip)
    cli.note(f"python apps/infer_video.py {shlex.join(words)}")
    return int(infer_video["main"](words))


def make_clip(path: Path) -> None:
    """Writes the clip."""
    from seg.imaging.overlay import Overlay
    from seg.video import loop
    from seg.video.demo_clip import DemoClip
    from seg.video.meter import Meter
    from seg.video.pipeline import Pipeline
    from seg.video.recorder import Mp4Writer

    cli.note(f"making {path}")
    clip = DemoClip()
    writer = Mp4Writer(path, overwrite=True, fps=clip.fps)
    loop.run(clip, Pipeline([], Overlay(), Meter()), [writer])


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
