"""apps/soak.py in-process: a loop that keeps nothing passes, a planted leak is caught."""

import json
import mmap

import numpy as np
import pytest

from seg import Segmenter, cli
from seg.benchmark.soak import soak
from seg.errors import EngineMissing
from seg.runtimes import environment

WORDS = ("--frames", "330", "--first", "150")


@pytest.fixture
def app(load_app):
    return load_app("soak")


def test_the_loop_keeps_nothing(app, clip, tiny, capsys):
    assert cli.run(app.main, ["--input", str(clip), "--model", str(tiny), *WORDS]) == 0
    out, err = capsys.readouterr()
    assert "partial file" not in err  # the video came to its end, as far as its writer knows
    assert "MB after 150 frames" in out and "MB after 330" in out and "(at most 5)" in out


def test_json_says_whether_it_passes(app, clip, tiny, capsys):
    assert cli.run(app.main, ["--input", str(clip), "--model", str(tiny), *WORDS, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (
        report["passes"]
        and report["limit_mb"] == 5
        and (report["first"], report["last"]) == (150, 330)
    )
    assert report["grown_mb"] == report["last_mb"] - report["first_mb"]


def test_a_planted_leak_is_caught(app, clip, tiny, capsys, monkeypatch):
    kept, call = [], Segmenter.__call__

    def leaking(self, image):
        # 18 MB between the two marks; of the system, since the heap has free pages to give away.
        kept.append(mmap.mmap(-1, 100_000))
        kept[-1].write(bytes(100_000))
        return call(self, image)

    monkeypatch.setattr(Segmenter, "__call__", leaking)
    assert cli.run(app.main, ["--input", str(clip), "--model", str(tiny), *WORDS]) == 1
    assert "MORE THAN 5" in capsys.readouterr().out


def test_it_compares_the_lowest_of_the_frames_before(clip, tiny):
    """One reading a frame: queues that breathe by 50 MB, and 0.1 MB more with each frame."""
    readings = iter(100 + 50 * (n % 7 != 0) + 0.1 * n for n in range(1000))
    with Segmenter(tiny, device="cpu") as segment:
        growth = soak(clip, segment, 110, 310, lambda: next(readings))
    # The first of the hundred before each mark that 7 divides: frames 14 and 210, from 0.
    assert growth.first_mb == pytest.approx(101.4) and growth.last_mb == pytest.approx(121.0)
    assert growth.grown_mb == pytest.approx(19.6) and growth.fps > 0


def test_resident_memory_is_that_of_an_array():
    """Of one that dwarfs what a process of many tests frees meanwhile."""
    before = environment.resident_mb()
    held = np.ones(300_000_000, np.uint8)
    assert environment.resident_mb() - before == pytest.approx(300, abs=50)
    del held
    assert environment.resident_mb() - before < 50


def test_what_cannot_be_is_one_line(app, clip, tiny, capsys, monkeypatch):
    words = ["--input", str(clip), "--model", str(tiny), "--frames", "9"]
    assert cli.run(app.main, words) == 1
    assert "must be more than" in capsys.readouterr().err

    def none():
        raise EngineMissing("no /proc")

    monkeypatch.setattr(environment, "resident_mb", none)
    assert cli.run(app.main, words[:4]) == 1
    assert capsys.readouterr().err == "error: no /proc\n"
