"""Sinks of what stands out of its background: with alpha, or before another background."""

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from seg.errors import ArtifactError, SourceError
from seg.files.atomic import atomic_write, check_writable
from seg.imaging.cutout import Background, cut_out, replace_background
from seg.imaging.letterbox import hw_of
from seg.results import Mask
from seg.spec import SEGMENTATION
from seg.video.base import Frame, Processed, Sink
from seg.video.sinks import save_image

CLOCK = Fraction(1, 1000)  # timestamps are kept to the millisecond
# By the suffix: encoder, pixels and options.
ALPHA_VIDEOS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".webm": ("libvpx-vp9", "yuva420p", {"crf": "30", "b": "0", "deadline": "realtime",
                                         "cpu-used": "6", "auto-alt-ref": "0"}),
    ".mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}),
}  # fmt: skip


class _NoFrame(Exception):
    """Nothing was written."""


def _mask(processed: Processed) -> Mask:
    mask = processed.results[SEGMENTATION]
    assert isinstance(mask, Mask)
    return mask


class CutOutFolder(Sink):
    """Writes each frame as a PNG with alpha; `000000.png` is the video's first frame.

    Args:
        folder: Made where it is missing.
        overwrite: Whether it may hold files already.

    Raises:
        ArtifactError: The folder holds files, or is a file.
    """

    stage = "cut-out"
    needs = (SEGMENTATION,)

    def __init__(self, folder: Path, overwrite: bool = False) -> None:
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not overwrite):
            raise ArtifactError(f"{folder} exists already; choose another, or add --overwrite.")
        self.folder, self._overwrite = folder, overwrite

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes the PNG."""
        name = frame.name or f"{frame.index:06d}"
        pixels = cut_out(frame.image, _mask(processed))
        save_image(self.folder / f"{name}.png", pixels, self._overwrite)

    def close(self) -> None:
        """Does nothing: each file is finished when it is written."""


class CutOutVideo(Sink):
    """Writes a video with alpha: VP9 in WebM, or ProRes 4444 in MOV.

    Args:
        path: Ends in `.webm` or `.mov`.
        overwrite: Whether it may exist.
        fps: What the rate is about; for the encoder's planning alone.

    Raises:
        ArtifactError: The file exists, or cannot be written.
        SourceError: Another suffix.
    """

    stage = "cut-out"
    needs = (SEGMENTATION,)

    def __init__(self, path: Path, overwrite: bool = False, fps: float | None = None) -> None:
        if path.suffix.lower() not in ALPHA_VIDEOS:
            expected = " or ".join(ALPHA_VIDEOS)
            raise SourceError(f"Expected a name in {expected} for alpha, or a folder; got {path}.")
        check_writable(path, overwrite)
        self.path, self._fps = path, fps or 25.0
        self._stack = contextlib.ExitStack()
        self._part = self._stack.enter_context(atomic_write(path, overwrite=overwrite))
        self._out: Any = None
        self._stream: Any = None
        self._hw = (0, 0)
        self._pts, self._is_closed = -1, False

    def write(self, frame: Frame, processed: Processed) -> None:
        """Encodes the frame.

        Raises:
            SourceError: Its size is another than the first's, or encoding failed.
        """
        pixels = cut_out(frame.image, _mask(processed))
        height, width = hw_of(pixels)
        if self._out is None:
            self._open((height, width))
        if self._hw != (height, width):
            raise SourceError(f"{self.path}: frames changed their size to {width}x{height}.")
        padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        encoded = av.VideoFrame.from_ndarray(padded, format="bgra")
        self._pts = max(self._pts + 1, round(frame.time_s / CLOCK))
        encoded.pts, encoded.time_base = self._pts, CLOCK
        self._out.mux(self._stream.encode(encoded))

    def close(self) -> None:
        """Finishes the file and gives it its name; no frame, no file; harmless twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._out is None:
            with contextlib.suppress(_NoFrame), self._stack:
                raise _NoFrame  # which takes the empty file away
            return
        self._out.mux(self._stream.encode(None))
        self._out.close()
        self._stack.close()

    def _open(self, hw: tuple[int, int]) -> None:
        encoder, pixels, options = ALPHA_VIDEOS[self.path.suffix.lower()]
        self._out = av.open(f"file:{self._part}", "w", format=self.path.suffix.lower()[1:])
        rate = Fraction(self._fps).limit_denominator(1001)
        stream: Any = self._out.add_stream(encoder, rate=rate)
        stream.height, stream.width = hw[0] + hw[0] % 2, hw[1] + hw[1] % 2
        stream.pix_fmt, stream.options = pixels, options
        stream.codec_context.time_base = CLOCK
        self._stream, self._hw = stream, hw


class OtherBackground(Sink):
    """Hands each frame with another background to a sink.

    Args:
        inner: Gets them; closed with this one.
        background: What is behind.
    """

    stage = "background"
    needs = (SEGMENTATION,)

    def __init__(self, inner: Sink, background: Background) -> None:
        self._inner, self._background = inner, background

    def write(self, frame: Frame, processed: Processed) -> None:
        """Replaces the background and hands on."""
        image = replace_background(frame.image, _mask(processed), self._background)
        self._inner.write(frame, Processed(image, processed.results))

    def end_of_stream(self) -> None:
        """Tells the sink."""
        self._inner.end_of_stream()

    def close(self) -> None:
        """Closes the sink."""
        self._inner.close()
