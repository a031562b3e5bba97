import json

import cv2
import pytest

from seg import cli


@pytest.fixture
def measure(load_app, tiny):
    app = load_app("benchmark_steady")
    return lambda *words: cli.run(app.main, [*map(str, words), "--model", str(tiny)])


def test_a_clip_is_measured_by_every_method_and_its_plain_masks_are_its_own(measure, clip, capsys):
    assert measure("--input", clip, "--frames", 6, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["clips"]["clip.mp4"]
    assert [row["method"] for row in rows] == ["plain", "exponential", "hysteresis", "flow"]
    assert rows[0]["iou"] == 1 and rows[0]["vc8"] is None
    assert min(row["iou"] for row in rows) > 0.8 and min(row["ms"] for row in rows) > 0


def test_pans_over_labeled_images_have_true_scores(
    measure, here, red_square, square_labels, capsys
):
    for split in ("train", "valid"):
        for kind, array in (("images", red_square), ("masks", square_labels)):
            (here / "data" / f"{split}_{kind}").mkdir(parents=True)
            cv2.imwrite(f"data/{split}_{kind}/a.png", array(4, (128, 192)))
    assert measure("--data", "data") == 0
    out = capsys.readouterr().out
    (plain,) = [line.split("|") for line in out.splitlines() if "| plain |" in line]
    assert float(plain[5]) > 0.8 and float(plain[6]) > 0.9 and float(plain[7]) > 0.9


def test_nothing_to_measure_is_said(measure, capsys):
    assert measure() == 1
    assert "--input" in capsys.readouterr().err
