"""Images and their labels, as numpy arrays."""

from seg.data.samples import DataSet, Sample
from seg.data.segmentation_folders import open_dataset
from seg.metrics import IGNORE

__all__ = ["IGNORE", "DataSet", "Sample", "open_dataset"]
