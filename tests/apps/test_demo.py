import numpy as np
import pytest

from seg import cli
from seg.video.sources import VideoFile


@pytest.fixture
def demo(load_app):
    return load_app("demo")


def test_the_clip_runs_through_and_again(demo, here, tiny, monkeypatch, capsys):
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(demo, "WIDTH", 160)
    monkeypatch.setattr(demo, "HEIGHT", 90)
    for _ in range(2):
        assert cli.run(demo.main, ["--model", str(tiny)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "demo/clip-overlay.mp4" and "200 frames in" in out
    assert sorted(path.name for path in (here / "demo").iterdir()) == [
        "clip-overlay.mp4",
        "clip.mp4",
    ]
    with VideoFile(here / "demo" / "clip.mp4") as source:
        means = [frame.image.mean() for frame in source]
    assert (source.fps, len(means), min(means) > 20) == (25, 200, True)
    assert np.std(means) > 5


def test_a_video_of_ones_own_is_left_alone(demo, clip, here, tiny, capsys):
    before = clip.read_bytes()
    assert cli.run(demo.main, ["--model", str(tiny), "--input", str(clip)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "demo/clip-overlay.mp4"
    assert clip.read_bytes() == before


def test_an_output_of_ones_own_is_not_replaced(demo, clip, here, tiny, capsys):
    (here / "mine.mp4").write_bytes(b"mine")
    words = ["--model", str(tiny), "--input", str(clip), "--output", "mine.mp4"]
    assert cli.run(demo.main, words) == 1
    assert "add --overwrite" in capsys.readouterr().err
    assert (here / "mine.mp4").read_bytes() == b"mine"
    assert cli.run(demo.main, [*words, "--overwrite"]) == 0
    assert (here / "mine.mp4").read_bytes() != b"mine"


def test_missing_photos_are_one_line(demo, here, monkeypatch, capsys):
    from seg.imaging import image_io as pictures

    monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda package: None)
    assert cli.run(demo.main, []) == 1
    assert "pip install matplotlib" in capsys.readouterr().err
