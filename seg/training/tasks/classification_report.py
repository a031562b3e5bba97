"""What a classifier gets right and wrong, by image and by class, and variants beside each other."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.data.class_folders import ClassDataSet
from seg.errors import ArtifactError
from seg.evaluation.figures import draw_confusion
from seg.evaluation.report import markdown_table
from seg.files.atomic import atomic_write
from seg.imaging.annotators import Caption
from seg.imaging.contact_sheet import tile
from seg.imaging.image_io import read_image
from seg.imaging.overlay import Overlay
from seg.metrics.bootstrap import NUM_DRAWS
from seg.results import Float32
from seg.training.run import write_csv
from seg.training.tasks.classification_validation import Validation

PREDICTIONS, NEIGHBORS = "predictions.csv", "predictions-knn.csv"
TILE, NUM_WORST, PER_ROW = 240, 12, 4


def write_report(validation: Validation, data: ClassDataSet, folder: Path) -> None:
    """Writes `predictions.csv`, `classes.csv`, `confusion.png` and `worst.png`.

    Args:
        validation: Of the data set's `valid`.
        data: The images.
        folder: The run's.
    """
    metrics = validation.metrics()
    write_predictions(validation, data, folder / PREDICTIONS)
    details = metrics.details(data.classes)
    write_csv(
        folder / "classes.csv",
        [
            {
                "class": name,
                "images": details["num_images_by_class"][name],
                **{score: _number(details[score][name]) for score in ("recall", "precision", "f1")},
            }
            for name in data.classes
        ],
    )
    with atomic_write(folder / "confusion.png") as part:
        draw_confusion(part, metrics.confusion, data.classes)
    with atomic_write(folder / "worst.png") as part:
        part.write_bytes(cv2.imencode(".png", _worst_sheet(validation, data))[1].tobytes())


def compare_runs(runs: Mapping[str, Sequence[Path]], folder: Path) -> str:
    """Compares variants image by image, from the `predictions.csv` of their runs.

    Args:
        runs: Folders of the runs of each variant, all validated on the same images.
        folder: Gets `comparison.md`.

    Returns:
        The table: top-1 with a 95 % interval over images, and what each variant gains over the
        first, paired by image.

    Raises:
        ArtifactError: The runs were validated on different images.
    """
    found = {
        name: [_read_hits(path / PREDICTIONS) for path in paths] for name, paths in runs.items()
    }
    if frozen := [path / NEIGHBORS for path in next(iter(runs.values())) if has_neighbors(path)]:
        found["k-NN on the frozen backbone"] = [_read_hits(frozen[0])]
    names = {images for group in found.values() for images, _ in group}
    if len(names) > 1:
        return ""  # folds: each validates on other images
    hits = {name: np.mean([one for _, one in group], axis=0) for name, group in found.items()}
    num_images = len(next(iter(hits.values())))
    draws = np.random.default_rng(0).integers(num_images, size=(NUM_DRAWS, num_images))
    first = next(iter(hits.values()))
    rows = []
    for name, shares in hits.items():
        gain = "" if shares is first else _interval(shares - first, draws, signed=True)
        rows.append([name or "-", str(len(found[name])), _interval(shares, draws), gain])
    heads = ["options", "runs", "top-1, % [95 % CI]", f"gain over {next(iter(hits)) or 'first'}"]
    lines = markdown_table(heads, rows)
    note = f"Intervals: percentile bootstrap over the {num_images} images, mean over the runs."
    text = "\n".join([*lines, "", note])
    with atomic_write(folder / "comparison.md") as part:
        part.write_text(text + "\n", "utf-8")
    return text


def has_neighbors(folder: Path) -> bool:
    """Tells whether a run wrote what its frozen backbone's nearest neighbors say."""
    return (folder / NEIGHBORS).exists()


def _interval(shares: NDArray[Any], draws: NDArray[np.int64], signed: bool = False) -> str:
    mean, (low, high) = 100 * shares.mean(), np.percentile(100 * shares[draws].mean(1), (2.5, 97.5))
    sign = "+" if signed else ""
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def write_predictions(validation: Validation, data: ClassDataSet, path: Path) -> None:
    """Writes a row for each validation image: its class, the predicted one, and how likely."""
    rows: list[dict[str, float | str]] = []
    for sample, row in zip(data.valid, validation.probabilities, strict=True):
        predicted = int(row.argmax())
        rows.append(
            {
                "image": sample.image.as_posix(),
                "class": data.classes[sample.label],
                "predicted": data.classes[predicted],
                "probability": float(row[predicted]),
                "probability_of_class": float(row[sample.label]),
            }
        )
    write_csv(path, rows)


def _read_hits(path: Path) -> tuple[tuple[str, ...], Float32]:
    """Returns the images of a table of predictions, and which were right: 0 or 1."""
    try:
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error
    hits = np.array([row["class"] == row["predicted"] for row in rows], np.float32)
    return tuple(row["image"] for row in rows), hits


def _worst_sheet(validation: Validation, data: ClassDataSet) -> NDArray[np.uint8]:
    """Draws the images whose true class is the least likely, each with both classes."""
    of_truth = validation.probabilities[np.arange(len(data.valid)), validation.labels]
    tiles = []
    for index in np.argsort(of_truth, kind="stable")[:NUM_WORST].tolist():
        sample, row = data.valid[index], validation.probabilities[index]
        text = f"{data.classes[sample.label]} {100 * row[sample.label]:.0f} %"
        if (best := int(row.argmax())) != sample.label:
            text += f"\nnot {data.classes[best]} {100 * row[best]:.0f} %"
        tiles.append(Overlay().draw(tile(read_image(sample.image), TILE), Caption(text)))
    tiles += [np.full((TILE, TILE, 3), 255, np.uint8)] * (-len(tiles) % PER_ROW)
    rows = [np.hstack(tiles[start : start + PER_ROW]) for start in range(0, len(tiles), PER_ROW)]
    return np.vstack(rows)


def _number(value: float | None) -> float | str:
    return "" if value is None else value
