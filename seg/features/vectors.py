"""What a feature vector is: float32, of length 1."""

import numpy as np

from seg.errors import ShapeError
from seg.results import Float32


def check_vectors(vectors: Float32, dimension: int | None = None) -> Float32:
    """Returns the vectors.

    Raises:
        ShapeError: They are not float32 `(n, d)`, each of length 1.
    """
    is_right = vectors.ndim == 2 and vectors.dtype == np.float32
    if not is_right or dimension not in (None, vectors.shape[1]):
        expected = f"(n, {dimension or 'd'})"
        raise ShapeError(
            f"Vectors are float32 {expected}; got {vectors.dtype} {tuple(vectors.shape)}."
        )
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if not (np.abs(lengths - 1) < 1e-3).all():  # also where one is not finite
        raise ShapeError("Vectors have length 1; divide each by its L2 norm.")
    return vectors


def normalized(vectors: Float32) -> Float32:
    """Returns vectors of length 1, `(..., D)`, new ones; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
