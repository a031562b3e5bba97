"""Damage: what a recording lost, counted while it is read."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import av
from av.container import InputContainer

TAIL_S: Final = 0.5  # a shorter end that seems to be missing may be a container's rounding
# Decoders, by FFmpeg's names, that make one frame of each packet.
FRAME_PER_PACKET: Final = ("h264", "hevc", "vp9", "libdav1d", "mjpeg", "prores")
BROADCAST: Final = ("mpegts", "mpeg", "h264", "hevc", "mpegvideo")  # may start between keyframes
TIMED: Final = ("matroska", "flv", "asf")  # containers whose header says how long they last


@dataclasses.dataclass(slots=True)
class Damage:
    """What is wrong with a recording; false while nothing is.

    Attributes:
        undecodable: Packets that the decoder refused.
        flawed: Frames that were decoded with errors: parts of them are wrong.
        unread: Frames that the file lists and does not hold.
        tail_s: Seconds missing at the end, as far as the container tells.
        gaps: How often frames are missing in the middle of a damaged container.
        gap_s: Seconds missing there.
        is_cut: Whether the end is missing, without a word on how much.
    """

    undecodable: int = 0
    flawed: int = 0
    unread: int = 0
    tail_s: float = 0.0
    gaps: int = 0
    gap_s: float = 0.0
    is_cut: bool = False

    def __bool__(self) -> bool:
        counts = self.undecodable, self.flawed, self.unread, self.gaps, self.is_cut
        return any(counts) or self.tail_s > TAIL_S

    def add_gaps(self, pauses_s: Sequence[float]) -> None:
        """Counts holes in a container that is known to be damaged."""
        self.is_cut, self.gaps, self.gap_s = True, len(pauses_s), sum(pauses_s)

    def describe(self, name: str, num_frames: int) -> str:
        """Returns one line for the user; empty where nothing is wrong."""
        if not self:
            return ""
        parts = []
        if lost := self.undecodable + self.unread:
            parts.append(f"{frames_text(lost)} could not be read")
        if self.flawed:
            parts.append(f"{frames_text(self.flawed)} came with errors")
        if self.gaps:
            places = "1 place" if self.gaps == 1 else f"{self.gaps} places"
            parts.append(f"{self.gap_s:.2f} s are missing in {places}")
        is_short_tail = self.is_cut and not self.gaps and self.tail_s >= 0.05
        if self.tail_s > TAIL_S or is_short_tail:
            parts.append(f"its last {self.tail_s:.1f} s are missing")
        if not parts:
            parts.append("its end is missing")
        return (
            f"{name} is cut or damaged: {', '.join(parts)}. "
            f"{frames_text(num_frames)} could be read. Copy or download it again."
        )


class DamageCounter:
    """Counts packets in and frames out, and compares them with what the container lists.

    Args:
        file: Where the packets come from.
        stream: The one that is decoded.
        step_s: Seconds from one frame to the next.

    Attributes:
        damage: What was found until now.
    """

    def __init__(self, file: InputContainer, stream: av.VideoStream, step_s: float) -> None:
        self.damage = Damage()
        self._file, self._stream, self._step_s = file, stream, step_s
        self._num_packets = self._num_corrupt = 0
        self._num_expected = self._num_frames = 0
        self._first_pts: int | None = None
        self._last: av.Packet[Any] | None = None
        self._ends_s: dict[int, float] = {}  # by stream
        self._is_headless = False  # until the first keyframe
        self._is_interlaced = False

    @property
    def is_short(self) -> bool:
        """Whether fewer frames came than packets; after the last."""
        return self._num_frames < self._num_expected

    @property
    def is_listed(self) -> bool:
        """Whether the container lists its frames, so that `count_end` knows what is missing."""
        name = self._file.format.name
        return "mp4" in name or name == "avi"

    def count_time(self, packet: "av.Packet[Any]") -> None:
        """Notes how far a packet of any stream reaches."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            end_s = float((stamp + (packet.duration or 0)) * packet.time_base)
            index = packet.stream_index
            self._ends_s[index] = max(self._ends_s.get(index, 0.0), end_s)

    def count_packet(self, packet: "av.Packet[Any]") -> None:
        """Counts a packet that goes to the decoder."""
        if not self._num_packets:
            self._is_headless = not packet.is_keyframe and self._file.format.name in BROADCAST
            self._first_pts = packet.pts
        self._num_packets += 1
        self._last = packet
        self._num_corrupt += packet.is_corrupt
        has_time = packet.pts is not None or packet.dts is not None
        is_shown = has_time and not packet.is_discard and not self._is_leading(packet.pts)
        self._num_expected += is_shown

    def count_refused(self) -> bool:
        """Counts a packet that could not be decoded; returns whether that is damage."""
        if self._is_headless:
            self._num_expected -= 1
            return False
        self.damage.undecodable += 1
        return True

    def count_frame(self, frame: av.VideoFrame) -> None:
        """Counts a decoded frame."""
        self._num_frames += 1
        self._is_interlaced |= frame.interlaced_frame
        if not frame.is_corrupt:
            self._is_headless = False
        elif not self._is_headless and not self._is_leading(frame.pts):
            self.damage.flawed += 1

    def _is_leading(self, pts: int | None) -> bool:
        """Whether a frame is shown before the first keyframe, and refers to what was cut away."""
        return pts is not None and self._first_pts is not None and pts < self._first_pts

    def count_end(self) -> None:
        """Compares what came with what the container lists."""
        damage, stream, container = self.damage, self._stream, self._file.format.name
        damage.flawed = max(damage.flawed, self._num_corrupt)
        # Interlaced video may store each of a frame's fields in a packet of its own.
        if stream.codec_context.name in FRAME_PER_PACKET and not self._is_interlaced:
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
            damage.unread = max(0, int((duration_s - end_s) / self._step_s + 0.02))
        elif container == "gif" and self._last is not None:  # ends with a semicolon
            damage.is_cut |= not bytes(self._last).rstrip(b"\0").endswith(b";")
        elif container.startswith(TIMED):
            duration_s = (self._file.duration or 0) / av.time_base
        damage.tail_s = max(0.0, duration_s - end_s)


def frames_text(number: int) -> str:
    """Returns a number of frames in words, such as `1 frame`."""
    return f"{number} frame{'' if number == 1 else 's'}"
