import numpy as np
import pytest

from seg import cli
from seg.video import demo_clip
from seg.video.sources import VideoFile


@pytest.fixture
def demo(load_app):
    return load_app("demo")


def test_the_clip_runs_through_and_again(demo, here, tiny, monkeypatch, capsys):
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(demo_clip.DemoClip.__init__, "__defaults__", ((160, 90),))
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


def test_every_flag_of_the_video_command_reaches_it(demo, clip, here, tiny, capsys):
    words = ["--model", str(tiny), "--input", str(clip)]
    assert cli.run(demo.main, [*words, "--graph"]) == 1
    assert "graph" in capsys.readouterr().err
    assert cli.run(demo.main, [*words, "--save-masks", "masks", "--opacity", "0.9"]) == 0
    assert len(list((here / "masks").iterdir())) == 10


def test_a_wrong_flag_is_said_before_the_clip_is_made(demo, here, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.run(demo.main, ["--opacity", "2"])
    assert stopped.value.code == 2 and not (here / "demo").exists()


def test_missing_photos_are_one_line(demo, here, monkeypatch, capsys):
    from seg.imaging import image_io

    monkeypatch.setattr(image_io.importlib.util, "find_spec", lambda package: None)
    assert cli.run(demo.main, []) == 1
    assert "pip install matplotlib" in capsys.readouterr().err
