"""Files of checked sections: what comes back, and what a damaged one says."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from seg.errors import ArtifactError
from seg.files.sections import HEADER, read_sections, write_sections

MAGIC = b"test file 1\n"
ARRAYS = {"a": np.arange(5, dtype=np.float32), "empty": np.empty(0), "b": np.ones((2, 3), np.int64)}


def read(path: Path):
    return read_sections(path, MAGIC, "test file", "make it again")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_sections(tmp_path / "x.bin", MAGIC, {"n": 1, "name": "\udcff"}, ARRAYS)
    return tmp_path / "x.bin"


def test_what_was_written_comes_back(path: Path) -> None:
    fields, sections = read(path)
    assert fields == {"n": 1, "name": "\udcff"}
    assert {name: part.tobytes() for name, part in sections.items()} == {
        name: array.tobytes() for name, array in ARRAYS.items()
    }
    np.testing.assert_array_equal(sections["b"].view(np.int64), np.ones(6))


def test_a_file_that_is_cut_anywhere_says_so_in_one_line(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match=r"^\S+ is cut or damaged; make it again\.$"):
            read(path)


def test_a_changed_byte_is_found_wherever_it_carries_something(path: Path) -> None:
    whole = path.read_bytes()
    kept = 0
    for position in range(len(MAGIC), len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            _, sections = read(path)
        except ArtifactError:
            continue
        kept += 1  # of the zeros between sections
        assert sections["a"].tobytes() == ARRAYS["a"].tobytes()
    assert kept < 3 * 64


def test_another_version_and_another_kind_of_file_are_told_apart(path: Path) -> None:
    path.write_bytes(b"test file 2\n" + path.read_bytes()[len(MAGIC) :])
    with pytest.raises(ArtifactError, match=r"made by another version of dinoseg; make it again"):
        read(path)
    path.write_bytes(b"\x89PNG and so on")
    with pytest.raises(ArtifactError, match=r"No test file at .*x\.bin: it is another kind"):
        read(path)
    with pytest.raises(ArtifactError, match=r"There is no test file at"):
        read(path.with_name("y.bin"))


def test_a_hostile_header_is_no_traceback(path: Path) -> None:
    for text in (b"[]", b"{}", b'{"fields": {}, "sections": {"a": [0, "x", 1]}}', b"\xff"):
        path.write_bytes(MAGIC + HEADER.pack(len(text), zlib.crc32(text)) + text)
        with pytest.raises(ArtifactError, match="cut or damaged"):
            read(path)
    path.write_bytes(MAGIC + HEADER.pack(2**63, 1) + b"{}")
    with pytest.raises(ArtifactError, match="cut or damaged"):
        read(path)
