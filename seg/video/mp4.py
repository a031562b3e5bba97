"""H.264 in MP4 with the source's own timestamps and audio."""

import contextlib
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

from seg.imaging.letterbox import Size, hw_of, resize
from seg.results import UInt8
from seg.video.source_tracks import DEFAULT_CLOCK, SourceTracks

# Measured on 2 cores, 150 frames of 1280x720 with people painted over, against the 1.8 MB that the
# source takes, CPU ms a frame and PSNR: superfast crf 21 4.2 MB / 5.5 / 33.5 dB, veryfast crf 23
# 1.9 MB / 6.9 / 32.3, superfast crf 23 with veryfast's macroblock tree 2.2 MB / 4.6 / 32.4. No
# B-frames: packets leave in the order of their timestamps.
OPTIONS = {"preset": "superfast", "crf": "23", "bf": "0", "x264-params": "mbtree=1:rc-lookahead=10"}
# In fragments of a second, each written at once, so that a killed process leaves what plays. The
# first one waits for the times of all tracks.
FRAGMENTS = {"movflags": "+delay_moov", "frag_duration": "1000000", "flush_packets": "1"}
BT709 = 1  # of ITU-T H.273: what players assume of high definition, so it is said and used

log = logging.getLogger("dinoseg")


class Target(Protocol):
    """Where FFmpeg writes."""

    def write(self, data: bytes, /) -> int:
        """Writes at the current position."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves."""

    def tell(self) -> int:
        """Returns the position."""


class Encoder:
    """One open MP4; holds each image back until the next one says how long it lasts.

    Args:
        target: An empty file, open for writing; stays open.
        image: The first image, uint8 `(H, W, 3)` BGR: its size becomes the video's. H.264 in 4:2:0
            has even sides: an odd one gets its last column or row twice.
        fps: What the rate is about; for the encoder's planning alone.
        source: The video that the frames come from: its clock is kept, its audio copied.
    """

    def __init__(
        self, target: Target, image: UInt8, fps: float, source: Path | None = None
    ) -> None:
        self._hw: Size = hw_of(image)
        self._even_hw: Size = self._hw[0] + self._hw[0] % 2, self._hw[1] + self._hw[1] % 2
        self._say_padding()
        self._tracks = SourceTracks(source) if source else None
        self._clock = self._tracks.clock if self._tracks else DEFAULT_CLOCK
        rate = Fraction(fps).limit_denominator(1001)
        self._out = av.open(target, "w", format="mp4", options=FRAGMENTS)
        self._stream = self._out.add_stream("libx264", rate=rate, options=OPTIONS)
        self._stream.height, self._stream.width = self._even_hw
        self._stream.pix_fmt = "yuv420p"
        codec = self._stream.codec_context
        codec.time_base = self._clock
        codec.colorspace = codec.color_primaries = codec.color_trc = codec.color_range = BT709
        if self._tracks:
            self._tracks.add_to(self._out)
        self._reformatter = VideoReformatter()
        self._held: tuple[UInt8, int] | None = None
        self._step = max(1, round(1 / rate / self._clock))
        self._steps: dict[int, int] = {}

    def write(self, image: UInt8, time_s: float) -> None:
        """Encodes the image before, now that its end is known, and holds this one.

        Args:
            image: uint8 `(H, W, 3)` BGR, not to be changed afterwards. One of another size than the
                first is fitted into it on black.
            time_s: When it is shown, from the source's first frame.
        """
        start_s = self._tracks.start_s if self._tracks else 0.0
        pts = round((time_s + start_s) / self._clock)
        if self._held is not None:
            pts = max(pts, self._held[1] + 1)
            self._step = pts - self._held[1]
            self._encode(*self._held)
        self._held = image, pts

    def close(self, is_complete: bool) -> None:
        """Writes what is left and closes the MP4, even where that fails.

        Args:
            is_complete: Whether the source ended by itself: then its audio is copied to the end,
                else up to the last image.
        """
        with ExitStack() as ending:
            if self._tracks:
                ending.callback(self._tracks.close)
            ending.callback(self._out.close)
            if self._held is not None:
                self._finish(*self._held, is_complete)

    def _finish(self, image: UInt8, pts: int, is_complete: bool) -> None:
        if self._tracks and is_complete:
            left = round(self._tracks.end_s / self._clock) - pts
            self._step = left if left > 0 else self._step
        self._encode(image, pts)
        self._mux(self._stream.encode(None))
        if self._tracks:
            end_s = float((pts + self._step) * self._clock)
            self._tracks.copy_until(float("inf") if is_complete else end_s)

    def _encode(self, image: UInt8, pts: int) -> None:
        if self._tracks:
            self._tracks.copy_until(float(pts * self._clock))
        bgr = av.VideoFrame.from_numpy_buffer(self._fit(image), format="bgr24")
        frame = self._reformatter.reformat(bgr, format="yuv420p", dst_colorspace=Colorspace.ITU709)
        frame.pts, frame.time_base = pts, self._clock
        self._steps[pts] = self._step
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: "Sequence[av.Packet[Any]]") -> None:
        for packet in packets:
            # The encoder leaves it out, and the last image's is the file's end.
            packet.duration = self._steps.pop(packet.pts or 0)
            self._out.mux(packet)

    def _fit(self, image: UInt8) -> UInt8:
        if hw_of(image) != self._hw:
            scale = min(self._hw[0] / image.shape[0], self._hw[1] / image.shape[1])
            height, width = (max(1, round(side * scale)) for side in hw_of(image))
            fitted = np.zeros((*self._hw, 3), np.uint8)
            fitted[:height, :width] = resize(image, (height, width))
            image = fitted
        below, right = self._even_hw[0] - self._hw[0], self._even_hw[1] - self._hw[1]
        if below or right:
            edge = cv2.BORDER_REPLICATE
            return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, edge), np.uint8)
        return np.ascontiguousarray(image)

    def _say_padding(self) -> None:
        if self._hw != self._even_hw:
            before, after = (f"{width}x{height}" for height, width in (self._hw, self._even_hw))
            log.info("%s padded to %s: H.264 needs an even size", before, after)


def put_index_first(recording: Path, target: Target, target_path: Path) -> None:
    """Copies an MP4 and puts its index in front, so that browsers play it while it loads.

    Args:
        recording: The MP4.
        target: An empty file, open for writing.
        target_path: Where that is; it is read once more.
    """

    def read_back(url: str, flags: int, options: dict[str, str]) -> Any:
        return target_path.open("rb")

    with (
        av.open(f"file:{recording}") as source,
        av.open(
            target, "w", format="mp4", options={"movflags": "+faststart"}, io_open=read_back
        ) as out,
    ):
        out.metadata.update({k: v for k, v in source.metadata.items() if k == "title"})
        copies = {
            track.index: out.add_stream_from_template(track)
            for track in (*source.streams.video, *source.streams.audio)
        }
        for packet in source.demux():
            if packet.dts is not None:  # the last of a track is empty
                packet.stream = copies[packet.stream_index]
                out.mux(packet)


def count_frames(path: Path) -> int:
    """Counts a video's frames without decoding them; -1 where it cannot be read."""
    with contextlib.suppress(av.FFmpegError), av.open(f"file:{path}") as file:
        return sum(packet.size > 0 for packet in file.demux(video=0))
    return -1
