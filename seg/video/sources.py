"""Recordings: videos with an end, as files or at an address."""

import logging
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import av

from seg.errors import SourceError
from seg.imaging.letterbox import Size, hw_of
from seg.video.addresses import refuse_address
from seg.video.base import Frame, Source
from seg.video.decoding import Decoded, Decoder, NoVideo
from seg.video.pixels import ImageConverter

log = logging.getLogger("dinoseg")


class Recording(Source):
    """A video with an end: every frame that FFmpeg decodes, once, upright, with square pixels.

    Damage does not end it: what cannot be decoded is counted, the rest comes, and `damage` says
    at the end what is missing. All cores decode until something is wrong. Then one thread starts
    again from the beginning, since several lose intact frames around an error.

    Args:
        url: What FFmpeg opens.
        name: How messages call it.
        is_local: Whether it can be read twice.
        options: FFmpeg's, for the protocol.
        timeout_s: How long an address may keep silent.

    Attributes:
        frame_hw: Size of the first frame.

    Raises:
        SourceError: It cannot be opened, or not one frame can be decoded.
    """

    def __init__(
        self,
        url: str,
        name: str,
        is_local: bool = True,
        options: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self._url, self._options, self._timeout_s = url, options, timeout_s
        self._is_threaded = is_local
        self._is_local = is_local
        self._decoder = self._open()
        self._frames = self._read()
        first = next(self._frames, None)
        if first is None:
            self.close()
            raise self._unreadable("not one frame can be decoded")
        self._first = first
        self._say_what_differs()
        self.fps, self.num_frames = self._decoder.fps, self._decoder.num_frames
        self.frame_hw: Size = hw_of(first.image)

    def __iter__(self) -> Iterator[Frame]:
        yield self._first
        yield from self._frames

    def close(self) -> None:
        """Closes the file or the connection."""
        self._decoder.close()

    def _say_what_differs(self) -> None:
        """Names what is not obvious from the first frame."""
        width, height = self._decoder.stream.width, self._decoder.stream.height
        if self._decoder.num_videos > 1:
            log.info(
                f"{self.name} has {self._decoder.num_videos} video streams; the one of "
                f"{width}x{height} is read",
            )
        square = self._convert.square_hw((height, width))
        if square != (height, width):
            log.info(
                f"{self.name} has pixels that are not square: {width}x{height} is scaled to "
                f"{square[1]}x{square[0]}",
            )

    def _open(self) -> Decoder:
        threads = 0 if self._is_threaded else 1
        try:
            decoder = Decoder(self._url, threads, self._options, self._timeout_s)
        except NoVideo as error:
            raise self._unreadable(str(error)) from error
        except av.FFmpegError as error:
            raise self._unreadable("it is another kind of file, or cut or damaged") from error
        self._convert = ImageConverter(decoder.stream.sample_aspect_ratio)
        return decoder

    def _unreadable(self, why: str) -> SourceError:
        return SourceError(
            f"{self.name} is not a video that can be read: {why}. Play it to see; if it plays, "
            "convert it: ffmpeg -i INPUT -c:v libx264 -c:a aac new.mp4"
        )

    def _read(self) -> Iterator[Frame]:
        num_read = 0
        for frame in self._decode():
            yield frame
            num_read += 1
        if self._is_threaded and (self._decoder.damage or self._decoder.is_short):
            self._decoder.close()
            self._is_threaded = False
            self._decoder = self._open()
            for frame in self._decode(num_read):
                yield frame
                num_read += 1
        if self._is_local:
            self._decoder.ask_demuxer()
        self.damage = self._decoder.damage.describe(self.name, num_read)

    def _decode(self, first: int = 0) -> Iterator[Frame]:
        """Yields the frames from the number `first` on; with threads only up to an error."""
        index, damage = 0, self._decoder.damage
        for decoded in self._decoder:
            if self.stop.is_set() or (self._is_threaded and damage):
                break
            if index >= first:
                frame = self._convert_one(decoded, index)
                if frame is None:
                    continue
                yield frame
            index += 1

    def _convert_one(self, decoded: Decoded, index: int) -> Frame | None:
        try:
            image = self._convert(decoded.frame)
        except av.FFmpegError:  # damage can name a format that does not exist
            self._decoder.damage.undecodable += 1
            return None
        return Frame(image, index, decoded.time_s, discontinuity=decoded.is_after_gap)


class VideoFile(Recording):
    """A video file, GIF included.

    Args:
        path: The file.

    Raises:
        SourceError: There is no such file, it may not be read, or it is not a video.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_readable(self.path)
        # The prefix keeps a colon in a name from being taken for a protocol.
        super().__init__(f"file:{self.path}", str(self.path))


def check_readable(path: Path) -> None:
    """Raises SourceError, with the cause, where a path is not a file that can be read."""
    refuse_address(str(path), "apps/infer_webcam.py reads addresses")
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(f"{path} is a folder; expected a video file.")
        if not stat.S_ISREG(mode):
            raise SourceError(f"{path} is a device or a pipe; expected a video file.")
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError as error:
        raise SourceError(f"There is no file {path}.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    if is_empty:
        raise SourceError(f"{path} is empty; copy or download it again.")
