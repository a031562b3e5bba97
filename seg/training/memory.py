"""Running out of memory while training: one line in place of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from seg.errors import SegError

# torch's CPU allocator, CUDA's libraries and OpenCV have no error of their own for it.
SIGNS = ("can't allocate memory", "out of memory", "ALLOC_FAILED", "Insufficient memory")


@contextmanager
def translate_oom(step_size: str, folder: Path) -> Iterator[None]:
    """Turns running out of memory, of the machine or the device, into one line.

    Args:
        step_size: What a step holds in memory, in words.
        folder: Where the epochs are kept.

    Raises:
        SegError: There was not enough memory.
    """
    try:
        yield
    except Exception as error:
        if not _is_oom(error):
            raise
        raise SegError(
            f"Out of memory with {step_size} in a step; choose a smaller --batch, --crop or "
            f"--imgsz. The epochs so far stay in {folder}."
        ) from error


def _is_oom(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        sign in str(error) for sign in SIGNS
    )
