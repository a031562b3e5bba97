"""Prints our person IoU and false area beside MediaPipe's, on the same images.

    python tests/peers/compare_people.py --python .venv-peers/bin/python --data people,val=60,seed=1

--data takes data sets as apps/evaluate.py does, and their validation images are measured.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seg import Segmenter, cli
from seg.data import open_dataset
from seg.data.samples import DataSet, Sample
from seg.evaluation.evaluate import Evaluation, ImageMetrics
from seg.evaluation.report import markdown_table
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.image_io import read_image, read_mask
from seg.metrics import SegmentationMetrics
from seg.results import UInt8
from seg.runtimes import environment

MASKS = Path(__file__).with_name("mediapipe_masks.py")


def main(argv: Sequence[str] | None = None) -> int:
    """Compares; returns the exit code."""
    parser = cli.parser(__doc__)
    parser.add_argument("--python", required=True, help="of the environment with mediapipe")
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, metavar="FILE")
    args = parser.parse_args(argv)
    sets = [open_dataset(text) for text in args.data]
    rows: list[list[str]] = []
    times: dict[str, list[float]] = {}
    with Segmenter(args.model, "cpu") as segmenter:
        for data in sets:
            masks, seconds = _theirs(data.valid, args.python)
            ours, own_seconds = _ours(segmenter, data.valid)
            found = {"dinoseg": ours, **masks}
            for name, spent in {"dinoseg": own_seconds, **seconds}.items():
                times.setdefault(name, []).extend(spent)
            scores = [_score(data, one) for one in found.values()]
            rows.append([f"{data.name}, {len(data.valid)}", *scores])
        heads = ["images", "dinoseg", *(f"MediaPipe {name}" for name in masks)]
        print("\n".join(markdown_table(heads, rows)))
        medians = ", ".join(f"{k} {1000 * np.median(v):.1f} ms" for k, v in times.items())
        print(f"\nmedian time of an image: {medians}")
        print(f"{segmenter.description}; {environment.processor()}")
    return cli.OK


def _ours(segmenter: Segmenter, samples: Sequence[Sample]) -> tuple[list[UInt8], list[float]]:
    masks, times = [], []
    for sample in samples:
        image = read_image(sample.image)
        started = time.perf_counter()
        masks.append(segmenter(image).labels)
        times.append(time.perf_counter() - started)
    return masks, times


def _theirs(
    samples: Sequence[Sample], python: str
) -> tuple[dict[str, list[UInt8]], dict[str, list[float]]]:
    """Runs the other environment; returns masks and seconds by model."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images.json")
        images.write_text(json.dumps([str(sample.image) for sample in samples]))
        command = [python, str(MASKS), "--images", str(images), "--output", folder]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        masks, times = {}, {}
        for place in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
            found = [read_mask(place / f"{index}.png") for index in range(len(samples))]
            masks[place.name] = [(mask > 0).astype(np.uint8) for mask in found]
            times[place.name] = json.loads((place / "times.json").read_text())
    return masks, times


def _score(data: DataSet, masks: Sequence[UInt8]) -> str:
    """Returns the person IoU with its interval, or of images without people the false area."""
    images = []
    for sample, mask in zip(data.valid, masks, strict=True):
        metrics = SegmentationMetrics.of_image(sample.load()[1], mask, len(data.classes))
        images.append(ImageMetrics(sample.name, metrics))
    report = Evaluation(data.classes, tuple(images)).to_dict()
    if report["foreground_iou"] is None:
        return f"{100 * report['false_positive_area']:.2f} % false area"
    low, high = report["intervals_95"]["foreground_iou"]
    return f"{100 * report['foreground_iou']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
