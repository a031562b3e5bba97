"""Polygons of a mask's regions, in the convention of COCO.

A pixel is a square: the one in row r and column c covers x from c to c + 1 and y from r to r + 1.
Rings run along these squares' edges, so the area within is the number of pixels, exactly.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.results import Mask

Point = tuple[int, int]
Ring = list[Point]
Bools = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True)
class Polygon:
    """A region of one class whose pixels touch by their sides.

    Attributes:
        label: Its class.
        rings: The outline, then the holes; points `(x, y)` at corners only, not closed. The
            outline runs clockwise on the screen, holes the other way.
        bbox: x, y, width and height.
        num_pixels: The area.
        pixels: `(height, width)` of `bbox`, which of them are the region's.
    """

    label: int
    rings: list[Ring]
    bbox: tuple[int, int, int, int]
    num_pixels: int
    pixels: Bools


def polygons_of(mask: Mask) -> Iterator[Polygon]:
    """Yields the regions of all classes but the background, with their outlines."""
    for label in range(1, len(mask.classes)):
        plane = (mask.labels == label).view(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(plane, connectivity=4)
        for part in range(1, count):
            left, top, width, height, area = map(int, stats[part])
            pixels = parts[top : top + height, left : left + width] == part
            rings = [[(x + left, y + top) for x, y in ring] for ring in rings_of(pixels)]
            yield Polygon(label, rings, (left, top, width, height), area, pixels)


def rings_of(pixels: Bools) -> list[Ring]:
    """Returns the outline and the holes of a region, `(h, w)`, whose pixels touch by their sides.

    No ring passes a corner twice: where two pixels touch by a corner alone, rings meet.
    """
    ends = _edges(np.pad(pixels, 1))
    rings = []
    while ends:
        start = min(ends)
        ring, at, step = [start], start, ends[start][0]
        while True:
            ends[at].remove(step)
            if not ends[at]:
                del ends[at]
            at = at[0] + step[0], at[1] + step[1]
            if at == start:  # the leftmost corner, which a ring passes once
                break
            onward = _turn(step) if _turn(step) in ends[at] else ends[at][0]
            if onward != step:
                ring.append(at)
            step = onward
        rings.append(ring)
    return rings


def _edges(padded: Bools) -> dict[Point, list[Point]]:
    """Returns the sides between region and rest: from each corner the steps, region on the right.

    Args:
        padded: The region with a pixel of space around it.
    """
    inside = padded[1:-1, 1:-1]
    beyond = {  # the neighbor's place, and the side towards it: start from the pixel, and step
        (0, 1): ((0, 0), (1, 0)),
        (1, 2): ((1, 0), (0, 1)),
        (2, 1): ((1, 1), (-1, 0)),
        (1, 0): ((0, 1), (0, -1)),
    }
    ends: dict[Point, list[Point]] = defaultdict(list)
    height, width = inside.shape
    for (row, column), ((x, y), step) in beyond.items():
        neighbor = padded[row : row + height, column : column + width]
        for r, c in np.argwhere(inside & ~neighbor).tolist():
            ends[c + x, r + y].append(step)
    return dict(ends)


def _turn(step: Point) -> Point:
    """Returns a step turned left on the screen: it stays beside the same pixel of the rest."""
    return step[1], -step[0]
