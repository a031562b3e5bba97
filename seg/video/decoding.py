"""Decoding recordings with PyAV: every frame that FFmpeg gives, and what is missing."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import av
from av.codec.context import Flags as CodecFlags
from av.container import InputContainer
from av.stream import Disposition

from seg.video.damage import Damage
from seg.video.timestamps import FrameClock

FALLBACK_FPS = 25.0
GAP_S = 0.5  # a longer pause between two frames counts as a gap
ROUNDING_S = 0.002  # containers count milliseconds
FRAME_PER_PACKET = "h264", "hevc", "vp9", "libdav1d", "mjpeg", "prores"  # of FFmpeg's decoders
BROADCAST = "mpegts", "mpeg", "h264", "hevc", "mpegvideo"  # may start between two keyframes
TIMED = "matroska", "flv", "asf"  # containers whose header says how long they last


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
        self.damage = Damage()
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
        self._num_packets = self._num_corrupt_packets = 0
        self._num_expected = self._num_frames = 0
        self._first_pts: int | None = None
        self._is_interlaced = False
        self._ends_s: dict[int, float] = {}  # by stream
        self._pauses_s: list[float] = []
        self._is_headless = False  # until the first keyframe
        self._refused: int | None = None  # timestamp of the last packet that was not decoded

    @property
    def is_short(self) -> bool:
        """Whether fewer frames came than packets; after the iteration."""
        return self._num_frames < self._num_expected

    def __iter__(self) -> Iterator[Decoded]:
        for packet in self._packets():
            try:
                frames = self._context.decode(packet)
            except av.FFmpegError:
                if self._is_headless:
                    self._num_expected -= 1
                else:
                    self.damage.undecodable += 1
                    self._refused = packet.pts if packet else None
                continue
            for frame in frames:
                self._num_frames += 1
                self._is_interlaced |= frame.interlaced_frame
                if not frame.is_corrupt:
                    self._is_headless = False
                elif not self._is_headless and not self._is_leading(frame.pts):
                    self.damage.flawed += 1
                yield self._timed(frame)
        self._check_end()

    def _packets(self) -> "Iterator[av.Packet[Any] | None]":
        """Yields the video's packets, then None, which empties the decoder."""
        try:
            # Of all streams: the end of the longest tells whether the file is whole.
            for packet in self._file.demux():
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is not None:
                    end_s = float((stamp + (packet.duration or 0)) * packet.time_base)
                    index = packet.stream_index
                    self._ends_s[index] = max(self._ends_s.get(index, 0.0), end_s)
                if packet.stream_index != self.stream.index or not packet.size:
                    continue
                self._count(packet)
                yield packet
        except av.FFmpegError:
            self.damage.is_cut = True
        yield None

    def _count(self, packet: "av.Packet[Any]") -> None:
        if not self._num_packets:
            self._is_headless = not packet.is_keyframe and self._file.format.name in BROADCAST
            self._first_pts = packet.pts
        self._num_packets += 1
        self._num_corrupt_packets += packet.is_corrupt
        has_time = packet.pts is not None or packet.dts is not None
        is_shown = has_time and not packet.is_discard and not self._is_leading(packet.pts)
        self._num_expected += is_shown

    def _is_leading(self, pts: int | None) -> bool:
        """Whether a frame is shown before the first keyframe, and refers to what was cut away."""
        return pts is not None and self._first_pts is not None and pts < self._first_pts

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

    def _check_end(self) -> None:
        """Compares what came with what the container lists."""
        damage, stream, container = self.damage, self.stream, self._file.format.name
        damage.flawed = max(damage.flawed, self._num_corrupt_packets)
        # Interlaced video may store each of a frame's fields in a packet of its own.
        if self._context.name in FRAME_PER_PACKET and not self._is_interlaced:
            damage.undecodable = max(damage.undecodable, self._num_expected - self._num_frames)
        duration_s = 0.0
        end_s = max(self._ends_s.values(), default=0.0)
        if "mp4" in container:  # lists every packet
            damage.unread = max(0, len(stream.index_entries) - self._num_packets)
            damage.is_cut &= damage.unread > 0
            duration_s = float((stream.duration or 0) * (stream.time_base or 0))
        elif container == "avi":  # counts its chunks, some of which may be empty
            end_s = self._ends_s.get(stream.index, 0.0)
            duration_s = float(stream.frames * (stream.time_base or 0))
            damage.unread = max(0, int((duration_s - end_s) / self._clock.step_s + 0.02))
        elif container.startswith(TIMED):
            duration_s = (self._file.duration or 0) / av.time_base
        damage.tail_s = max(0.0, duration_s - end_s)

    def ask_demuxer(self) -> None:
        """Reads the file once more for the demuxer's errors, where frames may be missing.

        Variable rates pause, and durations are rounded, in intact files as well; FFmpeg's log
        alone tells them from holes. It is read without a codec: logging deadlocks with threads.
        """
        is_doubtful = bool(self._pauses_s) or self.damage.tail_s > ROUNDING_S
        if not self.damage and is_doubtful and _demuxer_errors(self._url):
            self.damage.gaps, self.damage.gap_s = len(self._pauses_s), sum(self._pauses_s)
            self.damage.is_cut = True

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
        raise NoVideo("it holds sound or cover art alone" if file.streams else "it is empty")
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
            # Parsers of sound complain about intact files, too.
            return sum(name == file.format.name for _, name, _ in lines)
    finally:
        av.logging.set_level(None)
