"""Scores: counts that add up over the images of a data set, and what follows from them.

Counts are summed over a whole data set, at the images' own size, and divided once at the end.
The mean of batches' scores is another number, which changes with the batch size; it is never
formed here.
"""

from seg.metrics.base import ImageScore, Metrics, none_if_nan
from seg.metrics.bootstrap import Interval, bootstrap_intervals
from seg.metrics.boundary import BoundaryCounts
from seg.metrics.classification import ClassificationMetrics
from seg.metrics.confusion import ConfusionMatrix
from seg.metrics.counts import IGNORE, Scores
from seg.metrics.iou_by_size import BINS, SizeCounts
from seg.metrics.segmentation import SegmentationMetrics

__all__ = [
    "BINS",
    "IGNORE",
    "BoundaryCounts",
    "ClassificationMetrics",
    "ConfusionMatrix",
    "ImageScore",
    "Interval",
    "Metrics",
    "Scores",
    "SegmentationMetrics",
    "SizeCounts",
    "bootstrap_intervals",
    "none_if_nan",
]
