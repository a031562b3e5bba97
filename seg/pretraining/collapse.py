"""Collapse: features that no longer tell images apart, whatever the loss says."""

from collections.abc import Mapping, Sequence

LEAST_STD = 0.02  # deviation of features of length 1
LEAST_RANK = 1.5  # directions that they use
NUM_ROWS = 5


def collapse(history: Sequence[Mapping[str, float]]) -> str:
    """Says how the last rows of a log show a collapse; empty where they do not.

    The first rows do not count: untrained networks give all images nearly the same features.

    Args:
        history: Rows with `feature_std` and `feature_rank`.
    """
    if len(history) < 2 * NUM_ROWS:
        return ""
    rows = history[-NUM_ROWS:]
    if all(row["feature_std"] < LEAST_STD for row in rows):
        return f"features hardly differ between images (deviation {rows[-1]['feature_std']:.4f})"
    if all(row["feature_rank"] < LEAST_RANK for row in rows):
        return f"features use a single direction (rank {rows[-1]['feature_rank']:.2f})"
    return ""
