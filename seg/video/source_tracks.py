"""SourceTracks: what a recording takes from the video that its frames come from."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer

DEFAULT_CLOCK = Fraction(1, 90000)

log = logging.getLogger("dinoseg")


class SourceTracks:
    """The video that frames come from, opened once more for its clock, its audio and its title.

    Attributes:
        clock: Unit of its timestamps, in seconds.
        start_s: When its first frame is, after the file's start; audio may begin before.
        end_s: When its last frame ends.
    """

    def __init__(self, path: Path) -> None:
        self._file = av.open(f"file:{path}")
        video = self._file.streams.best("video") or self._file.streams.video[0]
        # Some streams count from anywhere; audio and frames must move by the same amount.
        self._zero_s = max(0.0, (self._file.start_time or 0) / av.time_base)
        self.clock = video.time_base or DEFAULT_CLOCK
        self.start_s = float((video.start_time or 0) * self.clock) - self._zero_s
        self.end_s = self.start_s + float((video.duration or 0) * self.clock)
        self._copies: dict[int, av.audio.stream.AudioStream] = {}
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._packets: Iterator[av.Packet[Any]] = iter(())
        self._next: av.Packet[Any] | None = None
        self._num_refused = 0

    def add_to(self, out: OutputContainer) -> None:
        """Prepares to copy every audio track that MP4 can hold; names the tracks that stay out."""
        for track in self._file.streams.audio:
            codec = track.codec_context.name if track.codec_context else "this codec"
            if codec in out.supported_codecs:
                self._copies[track.index] = out.add_stream_from_template(track)
                if codec == "aac" and not track.codec_context.extradata:  # of broadcasts
                    # In fragments FFmpeg does not add the filter that MP4 needs by itself.
                    filtered = BitStreamFilterContext("aac_adtstoasc", track)
                    self._filters[track.index] = filtered
            else:
                log.warning("audio left out: MP4 cannot hold %s", codec)
        if self._file.streams.subtitles:
            log.warning("subtitles left out")
        if title := self._file.metadata.get("title"):
            out.metadata["title"] = title
        self._out = out
        if self._copies:
            self._packets = self._file.demux(list(self._file.streams.audio))
            self._step()

    def copy_until(self, end_s: float) -> None:
        """Copies the audio up to a time, so that the file's audio and frames lie together."""
        while self._next is not None and _time_s(self._next) - self._zero_s < end_s:
            packet = self._next
            shift = round(self._zero_s / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            try:
                self._mux(packet)
            except av.FFmpegError:  # damaged: such as times that go back
                self._num_refused += 1
            self._step()

    def _mux(self, packet: "av.Packet[Any]") -> None:
        index = packet.stream_index
        for ready in self._filters[index].filter(packet) if index in self._filters else [packet]:
            ready.stream = self._copies[index]
            self._out.mux(ready)

    def _step(self) -> None:
        try:
            # The last of a track is empty and has no time.
            self._next = next(
                (p for p in self._packets if p.dts is not None and p.stream_index in self._copies),
                None,
            )
        except av.FFmpegError:  # a cut file; the source says so
            self._next = None

    def close(self) -> None:
        """Closes the file; says how much of the audio could not be copied."""
        self._file.close()
        if self._num_refused:
            log.warning("%d damaged packets of audio left out", self._num_refused)


def _time_s(packet: "av.Packet[Any]") -> float:
    """Returns when a packet starts, in seconds."""
    return float((packet.pts or 0) * packet.time_base)
