"""Vectors of images: what an embedder makes of them, and for which index it may."""

from collections.abc import Sequence

import numpy as np

from seg.errors import SpecMismatch
from seg.predictors.embedder import Embedder
from seg.results import Float32, UInt8
from seg.search.image_index import VectorSource


class ImageEmbedding:
    """Turns images into vectors of length 1, and knows where they come from.

    Args:
        embedder: The open model.
        pooling: `cls` or `mean`, as of `Features.vector`.

    Attributes:
        source: Of the vectors.

    Raises:
        SpecMismatch: The model does not say which weights it has.
    """

    def __init__(self, embedder: Embedder, pooling: str) -> None:
        self._embedder, self._pooling = embedder, pooling
        spec = embedder.runtime.spec
        if not spec.weights_id:
            raise SpecMismatch(
                "This model does not say which weights it has, so its vectors could be mixed with "
                "others; make it again with export/from_official.py."
            )
        gray = np.full((*embedder.input_hw, 3), 128, np.uint8)
        self.source = VectorSource(
            arch=spec.arch,
            weights_id=spec.weights_id,
            layers=" ".join(map(str, spec.layers)),
            pooling=pooling,
            fit=spec.fit,
            input_hw=embedder.input_hw,
            dimension=len(embedder(gray).vector(pooling)),
        )

    def __call__(self, images: Sequence[UInt8]) -> Float32:
        """Embeds images, BGR; returns float32 `(n, d)`; zeros where the network sees nothing."""
        found = self._embedder.predict(images)
        return np.stack([features.vector(self._pooling) for features in found])
