"""Decoding recordings with PyAV: every frame that FFmpeg gives, and what is missing."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import av
from av.codec.context import Flags as CodecFlags
from av.container import InputContainer
from av.stream import Disposition

from seg.video.damage import DamageCounter
from seg.video.timestamps import FrameClock

FALLBACK_FPS = 25.0
GAP_S = 0.5  # a longer pause between two frames counts as a gap
ROUNDING_S = 0.002  # containers count milliseconds


class Decoded(NamedTuple):
    """A frame, its seconds from the recording's start, and whether frames before it are missing."""

    frame: av.VideoFrame
    time_s: float
    is_after_gap: bool


class NoVideo(Exception):
    """There is no video to decode; the message says why in half a sentence."""


class Decoder:
    """Decodes the video of a recording once, from its start, and goes on after damage.

    Args:
        url: What FFmpeg opens: `file:` and a path, or an address.
        num_threads: Of the codec, 0 for all cores. With several, an error among the last frames
            takes intact ones with it; `is_short` tells.
        options: FFmpeg's, for the protocol.
        timeout_s: How long an address may keep silent.

    Attributes:
        damage: What was found until now; complete after the iteration.
        stream: The video stream.
        num_videos: How many there are.
        fps: Frames per second as the file says it, None where it does not.

    Raises:
        NoVideo: It holds none that FFmpeg can decode.
        av.FFmpegError: It cannot be opened.
    """

    def __init__(
        self,
        url: str,
        num_threads: int = 0,
        options: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self._url = url
        # PyAV's default, made-up timestamps, is out of order for the B-frames of an AVI.
        all_options = {**(options or {}), "fflags": "-genpts"}
        self._file = av.open(url, options=all_options, timeout=timeout_s)
        try:
            videos = _videos(self._file)
        except NoVideo:
            self._file.close()
            raise
        self.stream, self.num_videos = videos[0], len(videos)
        self._context = self.stream.codec_context
        # As the ffmpeg command does: a frame with errors is better than none, and is marked.
        self._context.flags |= CodecFlags.output_corrupt
        self._context.thread_type = "AUTO"
        self._context.thread_count = num_threads
        rate = self.stream.guessed_rate
        self.fps = float(rate) if rate and 0 < rate < 1000 else None
        self._clock = FrameClock(self.stream, 1 / (self.fps or FALLBACK_FPS))
        self._counter = DamageCounter(self._file, self.stream, self._clock.step_s)
        self.damage = self._counter.damage
        self._pauses_s: list[float] = []
        self._refused: int | None = None  # timestamp of the last packet that was not decoded

    @property
    def num_frames(self) -> int | None:
        """Returns how many frames the file says it has; None where it does not."""
        duration_s = (self._file.duration or 0) / av.time_base
        return self.stream.frames or round(duration_s * (self.fps or 0)) or None

    @property
    def is_short(self) -> bool:
        """Whether fewer frames came than packets; after the iteration."""
        return self._counter.is_short

    def __iter__(self) -> Iterator[Decoded]:
        for packet in self._packets():
            try:
                frames = self._context.decode(packet)
            except av.FFmpegError:
                if self._counter.count_refused():
                    self._refused = packet.pts if packet else None
                continue
            for frame in frames:
                self._counter.count_frame(frame)
                yield self._timed(frame)
        self._counter.count_end()

    def _packets(self) -> "Iterator[av.Packet[Any] | None]":
        """Yields the video's packets, then None, which empties the decoder."""
        try:
            # Of all streams: the end of the longest tells whether the file is whole.
            for packet in self._file.demux():
                self._counter.count_time(packet)
                if packet.stream_index == self.stream.index and packet.size:
                    self._counter.count_packet(packet)
                    yield packet
        except av.FFmpegError:
            self.damage.is_cut = True
        yield None

    def _timed(self, frame: av.VideoFrame) -> Decoded:
        before_s = self._clock.last_s
        time_s = self._clock.time_of(frame)
        pause_s = 0.0 if before_s is None else time_s - before_s
        if pause_s > 1.5 * self._clock.step_s:
            self._pauses_s.append(pause_s - self._clock.step_s)
        is_after_gap = pause_s > max(GAP_S, 3 * self._clock.step_s)
        if self._refused is not None and (frame.pts is None or frame.pts > self._refused):
            is_after_gap, self._refused = True, None
        return Decoded(frame, time_s, is_after_gap)

    def ask_demuxer(self) -> None:
        """Reads the file once more for the demuxer's errors, where frames may be missing.

        Variable rates pause, and durations are rounded, in intact files as well; FFmpeg's log
        alone tells them from holes. It is read without a codec: logging deadlocks with threads.
        """
        is_doubtful = bool(self._pauses_s) or self.damage.tail_s > ROUNDING_S
        is_counted = bool(self.damage) and self._counter.is_listed
        if is_doubtful and not is_counted and _demuxer_errors(self._url):
            self.damage.add_gaps(self._pauses_s)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _videos(file: InputContainer) -> list[av.VideoStream]:
    """Returns the streams that may be decoded, the best first; covers and thumbnails are none.

    Raises:
        NoVideo: There is none, or FFmpeg has no decoder for the best.
    """
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in file.streams.video if not stream.disposition & covers]
    if not streams:
        raise NoVideo("it holds audio or cover art alone" if file.streams else "it is empty")
    best = file.streams.best("video")
    streams.sort(key=lambda stream: stream is not best)
    if streams[0].codec_context is None:
        raise NoVideo("FFmpeg has no decoder for its video")
    return streams


def _demuxer_errors(url: str) -> int:
    """Counts the errors that FFmpeg logs while it reads a file's packets."""
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=False) as lines, av.open(url) as file:
            with contextlib.suppress(av.FFmpegError):
                for _ in file.demux():
                    continue
            # Parsers of audio complain about intact files, too.
            return sum(name == file.format.name for _, name, _ in lines)
    finally:
        av.logging.set_level(None)
