"""Downloads: one file over HTTP, resumed where it stopped and checked before it gets its name."""

import http.client
import logging
import math
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import Protocol

from seg.errors import ArtifactError
from seg.files.checksum import sha256_of
from seg.files.lock import length_of, open_locked
from seg.progress import track

logger = logging.getLogger("dinoseg")
CHUNK = 1 << 20
TIMEOUT_S = 30.0
TRANSIENT = {408, 429, 500, 502, 503, 504}


class Response(Protocol):
    """What this file needs of urllib's response."""

    status: int
    headers: http.client.HTTPMessage

    def read(self, amount: int, /) -> bytes:
        """Returns up to `amount` bytes; none at the end."""
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...


Opener = Callable[..., Response]


def fetch(
    url: str,
    path: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    opener: Opener = urllib.request.urlopen,
    pauses_s: Sequence[float] = (0.5, 1.0, 2.0),
) -> None:
    """Downloads a file, and says so.

    Bytes go to `<path>.part` first. What is there from an attempt before, even one stopped by
    Ctrl-C, is continued where the server can; a file takes its name only when it is whole. Of
    several processes that want the same file, one downloads it and the others wait for it.

    Args:
        url: Where from.
        path: Where to. A file of that name is replaced; folders are made.
        size: Bytes expected; None takes the server's word.
        sha256: Digest expected, 64 hexadecimal digits; None checks the size alone.
        opener: Called with a `urllib.request.Request` and `timeout`, as `urlopen` is.
        pauses_s: Seconds to wait before each new attempt; their number is that of retries.

    Raises:
        ArtifactError: The file cannot be fetched or written, or is not the expected one.
    """
    part = path.with_name(path.name + ".part")
    by_hand = f"To fetch it yourself, save it as {path}."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        before = _identity(path)
        with open_locked(part) as file:
            if _identity(path) != before:  # another process has brought it meanwhile
                return
            _download(url, file, size, opener, pauses_s, by_hand)
            _check_digest(url, part, sha256, by_hand)
            part.replace(path)
    except OSError as error:
        raise ArtifactError(f"Cannot write {path}: {_reason(error)}.") from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns what another file of the same name would not have; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _download(
    url: str,
    file: FileIO,
    size: int | None,
    opener: Opener,
    pauses_s: Sequence[float],
    by_hand: str,
) -> None:
    """Asks for what `file` lacks until it is whole; raises ArtifactError after the last attempt."""
    for pause in [*pauses_s, None]:
        try:
            return _attempt(url, file, size, opener)
        except (OSError, http.client.HTTPException) as error:
            if pause is None or not _is_transient(error):
                reason = _reason(error)
                raise ArtifactError(f"Cannot download {url}: {reason}. {by_hand}") from error
            time.sleep(pause)


def _attempt(url: str, file: FileIO, size: int | None, opener: Opener) -> None:
    """Asks once for what `file` lacks; returns when it is whole, else raises OSError."""
    have = length_of(file)
    if size is not None and have >= size:
        if have == size:
            return
        file.truncate(0)
        have = 0
    headers = {"User-Agent": "dinoseg", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = opener(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Nothing lies behind what is here. It may be whole or wrong; only starting afresh tells.
        file.truncate(0)
        raise ConnectionError("the server refused to continue the download") from error
    try:
        start, total = _extent(response, have)
        if size is not None and total not in (None, size):
            raise ArtifactError(
                f"{url} has {total} bytes, expected {size}: it is not the file this version knows."
            )
        _save(url, response, file, start, total or size)
    finally:
        response.close()


def _extent(response: Response, have: int) -> tuple[int, int | None]:
    """First byte that a response brings, and the size of the whole file where it is known."""
    partial = re.fullmatch(
        r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
    )
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        if partial is None or int(partial[1]) != have:
            raise http.client.HTTPException("the server continues at another place than asked")
        return have, None if partial[2] == "*" else int(partial[2])
    length = response.headers.get("Content-Length")
    if length is None:
        return 0, None
    if not (length.isascii() and length.isdigit()):
        raise http.client.HTTPException(f"the server names an impossible length, {length!r}")
    return 0, int(length)


def _save(url: str, response: Response, file: FileIO, start: int, total: int | None) -> None:
    """Writes a response behind the first `start` bytes of a file."""
    if start == 0 and length_of(file):
        file.truncate(0)
    logger.info("Downloading %s%s.", url, f", {total / 1e6:.1f} MB" if total else "")
    done = start
    chunks = iter(lambda: response.read(CHUNK), b"")
    num_chunks = math.ceil((total - start) / CHUNK) if total else None
    for chunk in track(chunks, f"{Path(file.name).stem}, MiB", num_chunks):
        done += len(chunk)
        if total is not None and done > total:
            file.truncate(0)
            raise ArtifactError(f"{url} sends more than the {total} bytes of this file.")
        _write(file, chunk)
    if total is not None and done != total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _write(file: FileIO, chunk: bytes) -> None:
    """Writes at once, so that a full disk shows here and not as a fault of the network."""
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise ArtifactError(
            f"Cannot write {file.name}: {_reason(error)}. Make room and run it again; it continues."
        ) from error


def _check_digest(url: str, part: Path, sha256: str | None, by_hand: str) -> None:
    """Deletes a file that is not the expected one and raises ArtifactError."""
    if sha256 is None:
        return
    got = sha256_of(part)
    if got != sha256:
        part.unlink()
        raise ArtifactError(
            f"{url}: expected sha256 {sha256}, got {got}; the download is deleted. "
            f"Run it again, or look for a proxy that changes files. {by_hand}"
        )


def _is_transient(error: Exception) -> bool:
    return not isinstance(error, urllib.error.HTTPError) or error.code in TRANSIENT


def _reason(error: Exception) -> str:
    """One line without the jargon of the libraries."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code} {error.reason}"
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return text.splitlines()[0].rstrip(".")
