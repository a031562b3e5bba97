"""The download, from a small server with a small zip of the official layout."""

import functools
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from seg.data import open_dataset, penn_fudan
from seg.errors import ArtifactError


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the address that serves it."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/data.zip"
        server.shutdown()
        thread.join()


def zip_to(folder: Path, **members: str) -> None:
    with zipfile.ZipFile(folder / "data.zip", "w") as file:
        for name, text in members.items():
            file.writestr(name, text)


OFFICIAL = {
    "PennFudanPed/readme.txt": "terms",
    "PennFudanPed/PNGImages/FudanPed00001.png": "some image",
    "PennFudanPed/PedMasks/FudanPed00001_mask.png": "mask",
}


def test_it_is_downloaded_once_and_its_terms_are_shown(
    site: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, url = site
    zip_to(folder, **OFFICIAL)
    cache = tmp_path / "deep" / "cache"
    place = penn_fudan.download(cache, url, size=None)
    shown = caplog.text
    caplog.clear()
    assert "not to be reposted" in shown and "ACCV 2007" in shown
    assert [path.name for path in cache.iterdir()] == ["PennFudanPed"] == [place.name]
    assert (place / "PNGImages/FudanPed00001.png").read_text() == "some image"
    assert open_dataset(str(place)).train[0].mask == place / "PedMasks/FudanPed00001_mask.png"
    (folder / "data.zip").unlink()
    assert penn_fudan.download(cache, url, size=None) == place
    assert caplog.text == ""


def test_of_several_processes_one_downloads_and_the_others_wait(
    site: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = site
    images = {f"PennFudanPed/PNGImages/{i}.png": "image" * 1000 for i in range(300)}
    zip_to(folder, **OFFICIAL, **images)
    code = (
        "import logging, sys; from pathlib import Path; from seg.data import penn_fudan;"
        "logging.basicConfig(level=logging.INFO); sys.stdin.read(1);"
        "place = penn_fudan.download(Path(sys.argv[1]), sys.argv[2], size=None);"
        "print(len(list(place.glob('PNGImages/*.png'))))"
    )
    cache = tmp_path / "cache"
    words = [sys.executable, "-c", code, str(cache), url]
    pipe = subprocess.PIPE
    runs = [subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(4)]
    for run in runs:  # none begins before all have imported what they need
        assert run.stdin
        run.stdin.write(b"1")
        run.stdin.flush()
    shown = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, shown
    assert {out for out, _ in shown} == {b"301\n"}
    assert sum(b"not to be reposted" in err for _, err in shown) == 1
    assert [path.name for path in cache.iterdir()] == ["PennFudanPed"]


def test_a_data_set_that_is_in_the_cache_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DINOSEG_CACHE", str(tmp_path))
    folder = tmp_path / "datasets" / "PennFudanPed"
    (folder / "PNGImages").mkdir(parents=True)
    (folder / "PedMasks").mkdir()
    assert penn_fudan.download() == folder


def test_without_a_network_the_error_says_what_to_do(
    site: tuple[Path, str], tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError) as caught:
        penn_fudan.download(tmp_path / "cache", site[1], size=None)
    message = str(caught.value)
    assert site[1] in message and "--data FOLDER" in message and "PNGImages" in message
    assert "\n" not in message
    assert not (tmp_path / "cache/PennFudanPed").exists()


def test_a_zip_that_was_saved_by_hand_is_taken(tmp_path: Path) -> None:
    zip_to(tmp_path, **OFFICIAL)
    (tmp_path / "data.zip").rename(tmp_path / "PennFudanPed.zip")
    assert penn_fudan.download(tmp_path, "http://nowhere.invalid") == tmp_path / "PennFudanPed"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({**OFFICIAL, "../outside.txt": "x"}, "a path that leaves its folder: ../outside.txt"),
        ({**OFFICIAL, "/outside.txt": "x"}, "a path that leaves its folder: /outside.txt"),
        ({"PennFudanPed/PNGImages/a.png": "x"}, "holds no PennFudanPed/PNGImages and"),
        ({}, "holds no PennFudanPed/PNGImages and"),
    ],
)
def test_a_foreign_zip_leaves_nothing_unpacked(
    tmp_path: Path, members: dict[str, str], message: str
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    zip_to(cache, **members)
    (cache / "data.zip").rename(cache / "PennFudanPed.zip")
    with pytest.raises(ArtifactError, match=message):
        penn_fudan.download(cache, "http://nowhere.invalid")
    assert [path.name for path in cache.iterdir()] == ["PennFudanPed.zip"]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_damaged_zip_is_named(tmp_path: Path, share: float) -> None:
    zip_to(tmp_path, **OFFICIAL)
    whole = (tmp_path / "data.zip").read_bytes()
    (tmp_path / "PennFudanPed.zip").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArtifactError, match=r"PennFudanPed\.zip is damaged .* delete it"):
        penn_fudan.download(tmp_path, "http://nowhere.invalid")


def test_flipped_bytes_are_found(tmp_path: Path) -> None:
    zip_to(tmp_path, **OFFICIAL)
    whole = (tmp_path / "data.zip").read_bytes()
    (tmp_path / "PennFudanPed.zip").write_bytes(whole.replace(b"some image", b"some imaGe"))
    with pytest.raises(ArtifactError, match="Bad CRC"):
        penn_fudan.download(tmp_path, "http://nowhere.invalid")
