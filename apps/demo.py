"""Makes a clip of people, draws the default model's masks over it, and says how fast it ran.

    python apps/demo.py
    python apps/demo.py --input my.mp4

Results go into the folder demo, which belongs to this command: its own files are replaced. The
clip is made of photos in the public domain that matplotlib and scikit-image carry; it needs no
network.
"""

import argparse
import runpy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2

from seg import cli
from seg.imaging.image_io import PHOTOS, photo
from seg.results import UInt8
from seg.video.recorder import Mp4Writer

FOLDER = Path("demo")
FPS, WIDTH, HEIGHT = 25, 1280, 720
FADE = 8  # frames in which one scene turns into the next
# Where the camera looks: centre x, centre y and width, as shares of the photo.
View = tuple[float, float, float]
Scene = Callable[[float], UInt8]  # 0..1 -> picture


def flags() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    parser = cli.parser(__doc__)
    parser.add_argument("--input", type=Path, metavar="FILE", help="a video of your own")
    parser.add_argument("--output", type=Path, metavar="FILE", help="an .mp4")
    parser.add_argument("--overwrite", action="store_true", help="replace --output")
    cli.add_model_flags(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demonstration; returns its exit code."""
    args = flags().parse_args(argv)
    clip: Path = args.input or make_clip(FOLDER / "clip.mp4")
    output = args.output or FOLDER / f"{clip.stem}-overlay.mp4"
    job = ["--input", clip, "--output", output, "--model", args.model, "--device", args.device]
    job += ["--imgsz", *args.imgsz] if args.imgsz else []
    job += ["--tta", args.tta] if args.tta else []
    job += ["--guided"] if args.guided else []
    job += ["--runtime", args.runtime] if args.runtime else []
    job += ["--precision", args.precision] if args.precision else []
    job += ["--verify"] if args.verify else []
    job += ["--overwrite"] if args.overwrite or not args.output else []
    words = [str(word) for word in job]
    cli.note(f"python apps/infer_video.py {' '.join(words)}")
    infer_video = runpy.run_path(str(Path(__file__).with_name("infer_video.py")))
    return int(infer_video["main"](words))


def make_clip(path: Path) -> Path:
    """Writes the clip: 8 s, two portraits that move, and two scenes without people."""
    hopper, astronaut, coffee, rocket = map(photo, PHOTOS)
    pair = _beside(
        _move(hopper, (0.5, 0.42, 0.8), (0.5, 0.5, 1.0), abreast=2),
        _move(astronaut, (0.5, 0.5, 0.88), (0.42, 0.4, 0.6), abreast=2),
    )
    scenes = [
        (_move(astronaut, (0.5, 0.65, 1.0), (0.45, 0.32, 0.75)), 55),
        (_move(coffee, (0.5, 0.5, 0.7), (0.5, 0.5, 1.0)), 25),
        (pair, 60),
        (_move(rocket, (0.5, 0.5, 0.9), (0.5, 0.4, 0.7)), 20),
        (_move(hopper, (0.5, 0.55, 1.0), (0.5, 0.27, 0.95)), 40),
    ]
    cli.note(f"making {path}")
    with Mp4Writer(path, overwrite=True, fps=FPS) as writer:
        for index, picture in enumerate(_film(scenes)):
            writer.add(picture, index / FPS)
        writer.end_of_stream()
    return path


def _move(still: UInt8, start: View, end: View, abreast: int = 1) -> Scene:
    """Returns a camera that glides over a photo, as wide as one of `abreast`."""
    width = WIDTH // abreast

    def scene(progress: float) -> UInt8:
        eased = progress * progress * (3 - 2 * progress)
        x, y, part = (a + (b - a) * eased for a, b in zip(start, end, strict=True))
        x, y = x * still.shape[1], y * still.shape[0]
        matrix = cv2.getRotationMatrix2D((x, y), 0, width / (part * still.shape[1]))
        matrix[:, 2] += width / 2 - x, HEIGHT / 2 - y
        border = cv2.BORDER_REFLECT
        size = (width, HEIGHT)
        return cv2.warpAffine(still, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)  # type: ignore[return-value]

    return scene


def _beside(left: Scene, right: Scene) -> Scene:
    return lambda progress: cv2.hconcat([left(progress), right(progress)])  # type: ignore[return-value]


def _film(scenes: Sequence[tuple[Scene, int]]) -> Iterator[UInt8]:
    """Yields the pictures of each scene, faded in over the last picture of the one before."""
    before: UInt8 | None = None
    for scene, length in scenes:
        for index in range(length):
            picture = scene(index / (length - 1))
            part = (index + 1) / (FADE + 1)
            if before is None or part >= 1:
                yield picture
            else:
                yield cv2.addWeighted(before, 1 - part, picture, part, 0)  # type: ignore[misc]
        before = picture


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
