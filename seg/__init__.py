"""dinoseg: real-time segmentation from a handful of labels.

>>> from seg import Segmenter                               # doctest: +SKIP
>>> segment = Segmenter("weights/person-lite.onnx")         # doctest: +SKIP
>>> mask = segment(frame_bgr)                               # doctest: +SKIP
"""

from seg.errors import (
    ArtefactError,
    DataError,
    EngineFailure,
    EngineMissing,
    ParityError,
    SegError,
    ShapeError,
    SourceError,
    SpecMismatch,
)
from seg.geometry import Letterbox
from seg.results import Mask
from seg.segmenter import Segmenter
from seg.spec import ModelSpec

__version__ = "0.1.0"

__all__ = [
    "ArtefactError",
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
