"""dinoseg: real-time segmentation from a handful of labels.

>>> from seg import Segmenter                               # doctest: +SKIP
>>> segment = Segmenter()  # or Segmenter("my.onnx")        # doctest: +SKIP
>>> mask = segment(frame_bgr)                               # doctest: +SKIP
"""

from typing import TYPE_CHECKING

from seg._version import __version__ as __version__

if TYPE_CHECKING:
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
    from seg.predictors.base import Predictor
    from seg.predictors.embedder import Embedder
    from seg.predictors.open import open_predictor
    from seg.predictors.segmenter import Segmenter
    from seg.results import Features, Mask
    from seg.spec import ModelSpec, Output
else:
    _PLACES = {
        "Embedder": "seg.predictors.embedder",
        "Features": "seg.results",
        "Letterbox": "seg.imaging.letterbox",
        "Mask": "seg.results",
        "ModelSpec": "seg.spec",
        "Output": "seg.spec",
        "Predictor": "seg.predictors.base",
        "open_predictor": "seg.predictors.open",
        "Segmenter": "seg.predictors.segmenter",
    }

    def __getattr__(name: str) -> object:
        """Imports a public name when it is asked for: a command starts before numpy is loaded."""
        if name not in __all__:
            raise AttributeError(f"module 'seg' has no attribute '{name}'")
        import importlib

        return getattr(importlib.import_module(_PLACES.get(name, "seg.errors")), name)


__all__ = [
    "ArtifactError",
    "DataError",
    "Embedder",
    "EngineFailure",
    "EngineMissing",
    "Features",
    "Letterbox",
    "Mask",
    "ModelSpec",
    "Output",
    "ParityError",
    "Predictor",
    "SegError",
    "Segmenter",
    "ShapeError",
    "SourceError",
    "SpecMismatch",
    "open_predictor",
]
