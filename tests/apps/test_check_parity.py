"""apps/check_parity.py in-process: equal artifacts pass, a spoiled one fails and is named."""

import json

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from seg import cli


@pytest.fixture
def check_parity(load_app, here, red_square):
    (here / "frames").mkdir()
    for index in range(2):
        cv2.imwrite(str(here / "frames" / f"{index}.png"), red_square(index))
    app = load_app("check_parity")
    return lambda *words: cli.run(app.main, [*map(str, words), "--input", "frames"])


def rows(out):
    lines = [line.split("|")[1:-1] for line in out.splitlines() if line.startswith("|")]
    return [dict(zip(map(str.strip, lines[0]), map(str.strip, line), strict=True))
            for line in lines[2:]]  # fmt: skip


def test_each_artifact_is_held_to_its_precision(check_parity, tiny, capsys):
    both = [f"{tiny},device=cpu", f"{tiny},runtime=openvino,precision=float32,imgsz=48x32"]
    assert check_parity("--against", tiny, "--model", *both) == 0
    shown = capsys.readouterr().out
    assert "reference: tiny.onnx on ONNX Runtime" in shown and "2 images" in shown
    found = rows(shown)
    assert [row["artifact"] for row in found] == [
        "tiny.onnx cpu", "tiny.onnx openvino float32 48x32",
    ]  # fmt: skip
    for row in found:
        assert row["pixels that agree"] == "100.0000 %" and row["mask mIoU"] == "1.00000"
        assert (row["precision"], row["verdict"]) == ("float32", "passes")
    assert "float32: at least 99.99 %" in shown and "int8" not in shown


def test_a_spoiled_artifact_fails_and_so_does_the_command(check_parity, tiny, here, capsys):
    """Red and blue are swapped in its weights, so the red square is nobody."""
    model = onnx.load(str(tiny))
    weights = next(one for one in model.graph.initializer if one.name == "w")
    swapped = np.ascontiguousarray(numpy_helper.to_array(weights)[:, ::-1])
    weights.CopyFrom(numpy_helper.from_array(swapped, "w"))
    onnx.save(model, "swapped.onnx")
    assert check_parity("--against", tiny, "--model", tiny, "swapped.onnx") == 1
    found = rows(capsys.readouterr().out)
    assert [row["verdict"] for row in found] == ["passes", "**fails**"]
    # By hand: the square's 16 x 16 pixels of 64 x 96, less its rounded corners.
    assert found[1]["differ in the worst image"] == f"{100 * (256 - 4) / (64 * 96):.4f} %"
    assert float(found[1]["lowest mask IoU"]) == 0


def test_what_cannot_be_is_one_line(check_parity, tiny, capsys):
    assert check_parity("--against", tiny, "--model", "none.onnx") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: No model at none.onnx."


def test_scripts_get_json(check_parity, tiny, capsys):
    assert check_parity("--against", tiny, "--model", tiny, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 2 and found["reference"].startswith("tiny.onnx on ONNX Runtime")
    (artifact,) = found["artifacts"]
    assert (artifact["name"], artifact["precision"], artifact["passes"]) == (
        "tiny.onnx", "float32", True,
    )  # fmt: skip
    assert artifact["parity"]["agreement"] == 1 and artifact["parity"]["frames"] == 2


def test_the_old_name_says_the_new_one(load_app, capsys):
    assert cli.run(load_app("gate").main) == 1
    assert "is now apps/check_parity.py" in capsys.readouterr().err
