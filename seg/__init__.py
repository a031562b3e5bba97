"""dinoseg: real-time segmentation from a handful of labels.

>>> from seg import Segmenter                               # doctest: +SKIP
>>> segment = Segmenter()  # or Segmenter("my.onnx")        # doctest: +SKIP
>>> mask = segment(frame_bgr)                               # doctest: +SKIP
"""

from seg._version import __version__ as __version__
from seg.errors import (
    ArtifactError,
    DataError,
    EngineFailure,
    EngineMissing,
    ParityError,
    SegError,
    ShapeError,
    SourceError,
    SpecMismatch,
)
from seg.imaging.letterbox import Letterbox
from seg.predictors.segmenter import Segmenter
from seg.results import Mask
from seg.spec import ModelSpec

__all__ = [
    "ArtifactError",
    "DataError",
    "EngineFailure",
    "EngineMissing",
    "Letterbox",
    "Mask",
    "ModelSpec",
    "ParityError",
    "SegError",
    "Segmenter",
    "ShapeError",
    "SourceError",
    "SpecMismatch",
]
