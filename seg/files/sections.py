"""One file of named sections of bytes behind a JSON header, each with its checksum."""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write
from seg.results import UInt8

ALIGNMENT = 64  # bytes: sections are mapped into memory as arrays of any type
HEADER = struct.Struct("<QI")  # the header's length and checksum
MAX_HEADER = 1 << 20  # bytes: a hostile length reads no more


def write_sections(
    path: Path, magic: bytes, fields: Mapping[str, Any], sections: Mapping[str, NDArray[Any]]
) -> None:
    """Writes a file; readers see the old one or the whole new one.

    Args:
        path: The file; one that exists is replaced.
        magic: First line of the file: what it is, and the version of its format.
        fields: What the header holds, as JSON.
        sections: Arrays, contiguous in C order; their bytes are written.

    Raises:
        ArtifactError: The file cannot be written.
    """
    parts = {name: array.reshape(-1).view(np.uint8).data for name, array in sections.items()}
    table, start = {}, 0
    for name, part in parts.items():
        table[name] = [start, len(part), zlib.crc32(part)]
        start += _aligned(len(part))
    header = json.dumps({"fields": fields, "sections": table}).encode("ascii")
    with atomic_write(path) as part_path, part_path.open("wb") as file:
        file.write(magic + HEADER.pack(len(header), zlib.crc32(header)) + header)
        for part in parts.values():
            file.seek(_aligned(file.tell()))
            file.write(part)


def read_sections(
    path: Path, magic: bytes, what: str, remedy: str
) -> tuple[dict[str, Any], dict[str, UInt8]]:
    """Reads a file that `write_sections` wrote, and checks every byte.

    Args:
        path: The file.
        magic: As it was written.
        what: The file's kind, for messages.
        remedy: What to do with a damaged one or one of another version, for messages.

    Returns:
        The header's fields, and each section as uint8 that is mapped into memory, read-only.

    Raises:
        ArtifactError: The file is missing, no such file, of another version, cut or damaged.
    """
    damaged = ArtifactError(f"{path} is cut or damaged; {remedy}.")
    try:
        if not path.is_file():
            raise ArtifactError(f"There is no {what} at {path}.")
        size = path.stat().st_size
        data = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    except OSError as error:
        raise ArtifactError(f"Cannot read {path}: {error.strerror or error}.") from error
    found = data[: len(magic)].tobytes()
    if found != magic and magic.startswith(found):
        raise damaged
    _check_magic(found, magic, path, what, remedy)
    try:
        length, checksum = HEADER.unpack(data[len(magic) :][: HEADER.size].tobytes())
        start = len(magic) + HEADER.size
        text = data[start : start + min(length, MAX_HEADER)].tobytes()
        if zlib.crc32(text) != checksum:
            raise damaged
        header = json.loads(text)
        base = _aligned(start + length)
        sections = {}
        for name, (begin, count, crc) in header["sections"].items():
            section = data[base + begin : base + begin + count]
            if len(section) != count or zlib.crc32(section.data) != crc:
                raise damaged
            sections[name] = section
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise damaged from error
    return header["fields"], sections


def _check_magic(found: bytes, magic: bytes, path: Path, what: str, remedy: str) -> None:
    if found == magic:
        return
    name = magic.rstrip().rpartition(b" ")[0]
    if found.startswith(name):
        raise ArtifactError(f"{path} was made by another version of dinoseg; {remedy}.")
    raise ArtifactError(f"No {what} at {path}: it is another kind of file.")


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
