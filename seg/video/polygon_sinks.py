"""Sinks that tell masks as polygons: JSON lines, and COCO with run lengths."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from seg.errors import EngineMissing
from seg.files.atomic import atomic_write, check_writable
from seg.imaging.letterbox import hw_of
from seg.imaging.polygons import Polygon, polygons_of
from seg.results import Mask
from seg.spec import SEGMENTATION
from seg.video.base import Frame, Processed, Sink


class _JsonFile(Sink):
    """A text file that is written on and gets its name at the end."""

    stage = "polygons"
    needs = (SEGMENTATION,)

    def __init__(self, path: Path, overwrite: bool) -> None:
        check_writable(path, overwrite)
        self.path = path
        self._stack = contextlib.ExitStack()
        part = self._stack.enter_context(atomic_write(path, overwrite=overwrite))
        self._file = part.open("w", encoding="utf-8", errors="surrogateescape")

    def close(self) -> None:
        """Gives the file its name, with what is written so far; harmless twice."""
        self._file.close()
        self._stack.close()


class PolygonLines(_JsonFile):
    """Writes a line of JSON for each frame: its number, time, name, size and polygons.

    Args:
        path: The file.
        overwrite: Whether it may exist.

    Raises:
        ArtifactError: The file exists, or cannot be written.
    """

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes a frame's line."""
        mask = processed.results[SEGMENTATION]
        assert isinstance(mask, Mask)
        line: dict[str, Any] = {"frame": frame.index, "time_s": round(frame.time_s, 6)}
        if frame.name:
            line["name"] = frame.name
        line["height"], line["width"] = hw_of(mask.labels)
        if mask.is_reused:
            line["reused"] = True
        line["polygons"] = [
            {
                "class": mask.classes[polygon.label],
                "area": polygon.num_pixels,
                "bbox": polygon.bbox,
                "outline": polygon.rings[0],
                "holes": polygon.rings[1:],
            }
            for polygon in polygons_of(mask)
        ]
        self._file.write(json.dumps(line) + "\n")


class CocoFile(_JsonFile):
    """Writes a COCO file: regions as run lengths, which hold holes, where polygons cannot.

    Args:
        path: The file.
        overwrite: Whether it may exist.

    Raises:
        ArtifactError: The file exists, or cannot be written.
        EngineMissing: pycocotools is not installed.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        try:
            from pycocotools import mask as run_lengths
        except ImportError as error:
            raise EngineMissing(
                "COCO files need pycocotools; pip install pycocotools, or take a name in .jsonl."
            ) from error
        super().__init__(path, overwrite)
        self._run_lengths = run_lengths
        self._images: list[dict[str, Any]] = []  # what is large is written at once
        self._classes: tuple[str, ...] = ()
        self._num_annotations = 0
        self._file.write('{"annotations": [')

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes a frame's regions."""
        mask = processed.results[SEGMENTATION]
        assert isinstance(mask, Mask)
        self._classes = mask.classes
        height, width = hw_of(mask.labels)
        name = frame.name or f"{frame.index:06d}.png"
        number = len(self._images) + 1
        self._images.append(
            {"id": number, "file_name": name, "height": height, "width": width,
             "frame": frame.index, "time_s": round(frame.time_s, 6)}
        )  # fmt: skip
        for polygon in polygons_of(mask):
            self._num_annotations += 1
            annotation = {
                "id": self._num_annotations,
                "image_id": number,
                "category_id": polygon.label,
                "iscrowd": 0,
                "area": polygon.num_pixels,
                "bbox": polygon.bbox,
                "segmentation": self._encode(polygon, height, width),
            }
            comma = "," if self._num_annotations > 1 else ""
            self._file.write(f"{comma}\n{json.dumps(annotation)}")

    def close(self) -> None:
        """Writes images and categories and gives the file its name; harmless twice."""
        if not self._file.closed:
            categories = [
                {"id": label, "name": name} for label, name in enumerate(self._classes) if label
            ]
            rest = json.dumps({"images": self._images, "categories": categories})
            self._file.write(f"\n], {rest[1:]}\n")
        super().close()

    def _encode(self, polygon: Polygon, height: int, width: int) -> dict[str, Any]:
        left, top, columns, rows = polygon.bbox
        whole = np.zeros((height, width), np.uint8, order="F")
        whole[top : top + rows, left : left + columns] = polygon.pixels
        encoded = self._run_lengths.encode(whole)
        return {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}
