"""H.264 in MP4 with the source's own timestamps and sound. The one place with PyAV."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

from seg.imaging.letterbox import Size, resize
from seg.notes import note
from seg.results import UInt8

# Measured on 2 cores, 1280x720 street scene, CPU ms per frame and kB for 150 frames at the same
# quality (36.6 dB): ultrafast 5.6 / 3116, superfast 8.5 / 2109, veryfast 12.3 / 1419. Superfast
# leaves the cores to the model. No B-frames: packets leave in the order of their timestamps.
OPTIONS = {"preset": "superfast", "crf": "21", "bf": "0"}
BT709 = 1  # of ITU-T H.273: what players assume of high definition, so it is said and used
CLOCK = Fraction(1, 90000)


class Encoder:
    """One open MP4; holds each picture back until the next one says how long it lasts."""

    def __init__(self, part: Path, picture: UInt8, fps: float, source: Path | None) -> None:
        self.hw: Size = picture.shape[0], picture.shape[1]
        self.even_hw: Size = self.hw[0] + self.hw[0] % 2, self.hw[1] + self.hw[1] % 2
        if self.hw != self.even_hw:
            note(
                f"{self.hw[1]}x{self.hw[0]} is odd and H.264 is even: the last column or row is "
                f"there twice, in {self.even_hw[1]}x{self.even_hw[0]}"
            )
        self.origin = Origin(source) if source else None
        clock = self.origin.clock if self.origin else CLOCK
        rate = Fraction(fps).limit_denominator(1001)
        # Moving the index to the front lets browsers play the file while it loads.
        self.out = av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"})
        self.stream = self.out.add_stream("libx264", rate=rate, options=OPTIONS)
        self.stream.height, self.stream.width = self.even_hw
        self.stream.pix_fmt, self.clock = "yuv420p", clock
        codec = self.stream.codec_context
        codec.time_base = clock
        codec.colorspace = codec.color_primaries = codec.color_trc = codec.color_range = BT709
        if self.origin:
            self.origin.add_sound_to(self.out)
        self.reformatter = VideoReformatter()
        self.held: tuple[UInt8, int] | None = None
        self.step = max(1, round(1 / rate / clock))
        self.steps: dict[int, int] = {}

    def write(self, picture: UInt8, time_s: float) -> None:
        """Encodes the picture before, now that its end is known, and holds this one."""
        start_s = self.origin.start_s if self.origin else 0.0
        pts = round((time_s + start_s) / self.clock)
        if self.held is not None:
            pts = max(pts, self.held[1] + 1)
            self.step = pts - self.held[1]
            self._encode(*self.held)
        self.held = picture, pts

    def close(self, is_complete: bool) -> None:
        """Writes what is left; the whole sound for a whole source, else sound up to the end."""
        if self.held is not None:
            if self.origin and is_complete:
                left = round(self.origin.end_s / self.clock) - self.held[1]
                self.step = left if left > 0 else self.step
            end_s = float((self.held[1] + self.step) * self.clock)
            self._encode(*self.held)
            self._mux(self.stream.encode(None))
            if self.origin:
                self.origin.copy_until(float("inf") if is_complete else end_s)
        self.out.close()
        if self.origin:
            self.origin.close()

    def _encode(self, picture: UInt8, pts: int) -> None:
        if self.origin:
            self.origin.copy_until(float(pts * self.clock))
        image = av.VideoFrame.from_numpy_buffer(self._fit(picture), format="bgr24")
        frame = self.reformatter.reformat(image, format="yuv420p", dst_colorspace=Colorspace.ITU709)
        frame.pts, frame.time_base = pts, self.clock
        self.steps[pts] = self.step
        self._mux(self.stream.encode(frame))

    def _mux(self, packets: "Sequence[av.Packet[Any]]") -> None:
        for packet in packets:
            # The encoder leaves it out, and the last picture's is the file's end.
            packet.duration = self.steps.pop(packet.pts or 0)
            self.out.mux(packet)

    def _fit(self, picture: UInt8) -> UInt8:
        if picture.shape[:2] != self.hw:
            scale = min(self.hw[0] / picture.shape[0], self.hw[1] / picture.shape[1])
            height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
            fitted = np.zeros((*self.hw, 3), np.uint8)
            fitted[:height, :width] = resize(picture, (height, width))
            picture = fitted
        below, right = self.even_hw[0] - self.hw[0], self.even_hw[1] - self.hw[1]
        if below or right:
            edge = cv2.BORDER_REPLICATE
            return np.asarray(cv2.copyMakeBorder(picture, 0, below, 0, right, edge), np.uint8)
        return np.ascontiguousarray(picture)


class Origin:
    """The video that frames come from, opened once more for its clock and its sound.

    Attributes:
        clock: Unit of its timestamps, in seconds.
        start_s: When its first picture is, after the file's start; sound may begin before.
        end_s: When its last picture ends.
    """

    def __init__(self, path: Path) -> None:
        self.file = av.open(str(path))
        video = self.file.streams.best("video") or self.file.streams.video[0]
        # Some streams count from anywhere; sound and pictures must move by the same amount.
        self.zero_s = max(0.0, (self.file.start_time or 0) / av.time_base)
        self.clock = video.time_base or CLOCK
        self.start_s = float((video.start_time or 0) * self.clock) - self.zero_s
        self.end_s = self.start_s + float((video.duration or 0) * self.clock)
        self.copies: dict[int, av.audio.stream.AudioStream] = {}
        self.packets: Iterator[av.Packet[Any]] = iter(())
        self.next: av.Packet[Any] | None = None

    def add_sound_to(self, out: "av.container.OutputContainer") -> None:
        """Prepares to copy every sound track that MP4 can hold; names those that it cannot."""
        for track in self.file.streams.audio:
            codec = track.codec_context.name
            if codec in out.supported_codecs:
                self.copies[track.index] = out.add_stream_from_template(track)
            else:
                note(f"sound left out: MP4 cannot hold {codec}")
        self.out = out
        if self.copies:
            self.packets = self.file.demux(list(self.file.streams.audio))
            self._step()

    def copy_until(self, end_s: float) -> None:
        """Copies the sound up to a time, so that the file's sound and pictures lie together."""
        while self.next is not None and _time(self.next) - self.zero_s < end_s:
            packet = self.next
            shift = round(self.zero_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            packet.stream = self.copies[packet.stream_index]
            self.out.mux(packet)
            self._step()

    def _step(self) -> None:
        try:
            # The last of a track is empty and has no time.
            ours = (p for p in self.packets if p.dts is not None and p.stream_index in self.copies)
            self.next = next(ours, None)
        except av.FFmpegError:  # a cut file; the source says so
            self.next = None

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


def count_frames(path: Path) -> int:
    """Counts a video's pictures without decoding them; -1 where it cannot be read."""
    try:
        with av.open(str(path)) as file:
            return sum(packet.size > 0 for packet in file.demux(video=0))
    except av.FFmpegError:
        return -1


def _time(packet: "av.Packet[Any]") -> float:
    """Returns when a packet starts, in seconds."""
    return float((packet.pts or 0) * packet.time_base)
