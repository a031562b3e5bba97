"""Memory: what a training that runs out of it says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from seg.errors import SegError
from seg.training.config import SegmentationConfig

# torch's CPU allocator, CUDA's libraries and OpenCV have no error of their own for it.
SIGNS = ("can't allocate memory", "out of memory", "ALLOC_FAILED", "Insufficient memory")


@contextmanager
def translate_oom(config: SegmentationConfig, folder: Path) -> Iterator[None]:
    """Turns running out of memory, of the machine or the device, into one line.

    Args:
        config: What is trained.
        folder: Where its epochs are kept.

    Raises:
        SegError: There was not enough memory.
    """
    try:
        yield
    except Exception as error:
        if not _is_memory(error):
            raise
        height, width = config.crop_hw or config.input_hw
        raise SegError(
            f"Out of memory with {config.batch} views of {width}x{height} in a step; take a "
            f"smaller --batch, --crop or --imgsz. The epochs so far stay in {folder}."
        ) from error


def _is_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        sign in str(error) for sign in SIGNS
    )
