"""What native libraries print to stderr about an image, in place of returning it."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import cv2

COMPLAINT: Final = re.compile(
    rb"^(?:libpng (?:error|warning)|Corrupt JPEG data|Premature end of JPEG file|Invalid SOS "
    rb"parameters|Unsupported marker type|Inconsistent progression sequence|Unknown Adobe color "
    rb"transform)[^\n]*\n?",
    re.MULTILINE,
)


@contextmanager
def opencv_silenced() -> Iterator[None]:
    """Silences OpenCV's log, which names lines of OpenCV; our errors say it all."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


@contextmanager
def image_complaints() -> Iterator[list[str]]:
    """Catches what libjpeg and libpng print about a damaged image, which is their only word on it.

    What Python writes to stderr appears at once; what else comes there, from any thread, is
    passed on at the end of the block, which also fills the list. One block at a time.
    """
    complaints: list[str] = []
    try:
        stderr = os.dup(2)
    except OSError:  # closed: nothing can be printed
        yield complaints
        return
    with tempfile.TemporaryFile() as caught, _python_stderr_to(stderr):
        os.dup2(caught.fileno(), 2)
        try:
            yield complaints
        finally:
            os.dup2(stderr, 2)
            caught.seek(0)
            text = caught.read()
            complaints += [
                line.decode(errors="replace").strip() for line in COMPLAINT.findall(text)
            ]
            if rest := COMPLAINT.sub(b"", text):
                os.write(stderr, rest)
            os.close(stderr)


@contextmanager
def _python_stderr_to(descriptor: int) -> Iterator[None]:
    """Lets Python write there what it would write to descriptor 2."""
    before = sys.stderr
    try:
        is_second = before.fileno() == 2
    except (AttributeError, OSError, ValueError):  # none, closed, or a test's
        is_second = False
    if not is_second:
        yield
        return
    before.flush()
    with open(
        descriptor, "w", buffering=1, encoding=before.encoding, errors=before.errors, closefd=False
    ) as stream:
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = before
