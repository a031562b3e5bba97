"""apps/evaluate.py on a model of one convolution: red is a person."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from seg import cli
from seg.data.samples import SPLITS
from seg.evaluation import evaluate as evaluation
from seg.spec import METADATA_KEY, ModelSpec, embedding_outputs, segmentation_outputs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def app() -> ModuleType:
    found = importlib.util.spec_from_file_location("apps_evaluate", ROOT / "apps/evaluate.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def write_model(path: Path, classes: tuple[str, ...] = ("background", "person")) -> Path:
    """Logits: 0 for the background, red - 0.75 for class 1, -1 for the others."""
    weights = np.zeros((len(classes), 3, 1, 1), np.float32)
    weights[1, 0] = 1
    bias = np.array([0, -0.75, *[-1] * (len(classes) - 2)], np.float32)
    shape = (1, 3, "h", "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "weights", "bias"], ["logits"])],
        "red",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, len(classes), "h", "w"))],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    spec = ModelSpec(
        arch="lite", outputs=segmentation_outputs(classes), input_hw=(48, 64), stride=16
    )
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos 64 x 48: rows 0 to 11 are red, rows 0 to 15 are labeled person."""
    model = write_model(tmp_path / "red.onnx")
    assert model.exists()
    image = np.zeros((48, 64, 3), np.uint8)
    image[:12] = (0, 0, 255)
    mask = np.zeros((48, 64), np.uint8)
    mask[:16] = 255
    for name in ("images", "masks", "rooms"):
        (tmp_path / name).mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), image)
        cv2.imwrite(str(tmp_path / f"masks/{i}.png"), mask)
    cv2.imwrite(str(tmp_path / "rooms/red.png"), image)
    cv2.imwrite(str(tmp_path / "rooms/black.png"), image * 0)
    return tmp_path


def run(app: ModuleType, folder: Path, *words: str) -> int:
    return cli.run(app.main, ["--model", str(folder / "red.onnx"), "--device", "cpu", *words])


def test_the_table_shows_scores_model_and_canvas(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, folder, "--data", f"{folder},val=2") == 0
    shown = capsys.readouterr()
    lines = {line.split("  ")[0]: " ".join(line.split()) for line in shown.out.splitlines()}
    assert lines["data"].endswith("valid: 2 images")
    assert "red.onnx: lite, ONNX Runtime" in lines["model"] and "CPU" in lines["model"]
    assert lines["fitted into"] == "fitted into 64x48, canvas multiples of 16"
    assert lines["mIoU"].startswith("mIoU 0.8194 (")  # (32 / 36 + 12 / 16) / 2
    assert lines["foreground IoU"].startswith("foreground IoU 0.7500 (bootstrap 95 %")
    assert lines["pixel accuracy"].startswith("pixel accuracy 0.9167 (")
    assert lines["background"].startswith("background 0.8889 0.8889 1.0000")
    assert lines["person"].startswith("person 0.7500 1.0000 0.7500")
    assert lines["boundary IoU"].startswith("boundary IoU 0.")
    # 16 of 48 rows: a third.
    assert lines["IoU, medium"].startswith("IoU, medium 0.7500 (bootstrap 95 % CI: 0.7500 to")
    assert "false-positive area" not in lines
    assert "images/ masks/ with masks of 0 and 255" in shown.err


def test_json_on_stdout_is_nothing_but_json(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, folder, "--data", str(folder), "--split", "all", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["num_images"] == 3 and report["iou"]["person"] == 0.75
    assert (report["imgsz"], report["canvas"], report["stride"]) == ([64, 48], None, 16)
    assert len(report["sha256"]) == 64


def test_json_files_are_not_replaced_unasked(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = folder / "scores.json"
    words = ["--data", str(folder), "--json", str(target)]
    assert run(app, folder, *words) == 0
    assert "mIoU" in capsys.readouterr().out
    assert json.loads(target.read_text())["split"] == "valid"
    target.write_text("mine")
    assert run(app, folder, *words) == 1
    assert "exists already" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert run(app, folder, *words, "--overwrite") == 0
    assert json.loads(target.read_text())["num_images"] == 1
    assert not list(folder.glob(".part-*"))


def test_negatives_report_their_false_positive_area_alone(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, folder, "--data", f"{folder / 'rooms'},negatives", "--split", "all") == 0
    out = capsys.readouterr().out
    assert "false-positive area  0.1250  (bootstrap 95 % CI: 0.0000 to 0.2500)" in out
    assert "worst                red.png 0.2500; black.png 0.0000" in out
    assert "IoU" not in out


def test_markdown_holds_every_table(app: ModuleType, folder: Path) -> None:
    target = folder / "scores.md"
    assert run(app, folder, "--data", str(folder), "--markdown", str(target)) == 0
    text = target.read_text()
    assert "| foreground IoU | 0.7500 | 0.7500 to 0.7500 |" in text
    assert "| person | 0.7500 | 1.0000 | 0.7500 |" in text
    assert "| person | medium | 1 | 0.7500 |" in text
    for row in [line for line in text.splitlines() if line.startswith("|")]:
        assert row.count("|") in (3, 4, 5, 7)


def test_figures_show_the_worst_first(app: ModuleType, folder: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[24:] = 255  # nothing of it is found, and rows 0 to 11 are false
    cv2.imwrite(str(folder / "masks/1.png"), mask)
    words = ["--data", str(folder), "--split", "all", "--figures", str(folder / "figures")]
    assert run(app, folder, *words) == 0
    worst = cv2.imread(str(folder / "figures/worst.png"))
    assert worst.shape == (3 * 320, 3 * 320, 3)
    row, rest = worst[:320, 640:], worst[320:640, 640:]
    assert row[45, 160].tolist() == [235, 130, 40]  # false: below the caption, above row 12 of 48
    assert row[200, 160].tolist() == [60, 60, 235]  # missed
    assert rest[70, 160].tolist() == [60, 60, 235]
    assert rest[200, 160].tolist() == [64, 64, 64]  # right: the image in gray
    assert cv2.imread(str(folder / "figures/confusion.png")).std() > 5
    assert run(app, folder, *words) == 1  # never replaced unasked


def test_without_matplotlib_figures_are_one_line_before_any_work(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(app, folder, "--data", str(folder), "--figures", str(folder / "figures")) == 1
    assert "error: --figures needs matplotlib: pip install" in capsys.readouterr().err
    assert not (folder / "figures").exists()


def test_imgsz_is_width_then_height(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, folder, "--data", str(folder), "--imgsz", "128", "96", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["imgsz"] == [128, 96]
    assert report["iou"]["person"] == pytest.approx(0.75, abs=0.04)


def test_faults_are_listed_without_a_traceback(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "masks/0.png").unlink()
    (folder / "images/1.png").write_text("no image")
    assert run(app, folder, "--data", str(folder), "--split", "all") == 1
    shown = capsys.readouterr()
    assert "The data has 2 faults:" in shown.err and "Traceback" not in shown.err
    assert "0.png: no such mask" in shown.err and "1.png: not an image" in shown.err
    assert shown.out == ""


def test_classes_of_model_and_data_must_agree(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(folder / "red.onnx", ("background", "leaf", "spot"))
    assert run(app, folder, "--data", str(folder)) == 1
    assert "only 0 and 255, two classes; 3 were asked for" in capsys.readouterr().err
    (folder / "images").rename(folder / "PNGImages")
    (folder / "masks").rename(folder / "PedMasks")
    assert run(app, folder, "--data", str(folder)) == 1
    assert "Penn-Fudan labels 'person'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "--data"),
        (["--data", "nowhere"], 1, "nowhere does not exist"),
        (["--data", ".", "--split", "test"], 2, "invalid choice"),
        (["--data", ".", "--imgsz", "64"], 2, "--imgsz"),
    ],
)
def test_wrong_words_are_usage_or_one_line(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str],
    words: list[str], code: int, message: str,
) -> None:  # fmt: skip
    try:
        got = run(app, folder, *words)
    except SystemExit as stop:
        got = int(stop.code or 0)
    assert got == code
    assert message in capsys.readouterr().err


def test_a_missing_model_is_one_line(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "red.onnx").unlink()
    assert run(app, folder, "--data", str(folder)) == 1
    assert "No model at" in capsys.readouterr().err


def test_help_shows_commands_and_fits_a_screen(
    app: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as stop:
        app.main(["--help"])
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("python apps/evaluate.py --data" in line for line in lines)
    assert len(lines) <= 50 and max(map(len, lines)) <= 100


def test_an_old_flag_is_refused_with_its_new_name(
    app: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        app.main(["--data", str(folder), "--pictures", "figures"])
    assert stop.value.code == 2
    assert "--pictures is now called --figures" in capsys.readouterr().err


def test_the_splits_are_those_of_the_library(app: ModuleType) -> None:
    assert app.SPLITS == SPLITS


def test_names_that_are_not_utf_8_come_through(folder: Path) -> None:
    name = os.fsdecode(b"\xff 1.png")
    for place in ("images", "masks"):
        (folder / place / "1.png").rename(folder / place / name)
    words = ["--data", folder, "--split", "all", "--model", folder / "red.onnx", "--device", "cpu"]
    files = ["--json", folder / "scores.json", "--markdown", folder / "scores.md"]
    command = [sys.executable, ROOT / "apps/evaluate.py", *words, *files]
    command += ["--figures", folder / "figures"]  # OpenCV crashes where it is to draw such a name
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"\xff 1.png" in done.stdout
    report = json.loads((folder / "scores.json").read_text("utf-8"))
    assert name in [image["name"] for image in report["images"]]
    assert r"\udcff 1.png" in (folder / "scores.md").read_text("utf-8")


def test_a_file_that_appears_meanwhile_is_not_replaced(
    app: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder / "scores.json"
    whole = evaluation.evaluate

    def evaluate_and_write(*args: Any) -> Any:
        target.write_text("mine")
        return whole(*args)

    monkeypatch.setattr("seg.evaluation.segmentation.evaluate", evaluate_and_write)
    assert run(app, folder, "--data", str(folder), "--json", str(target)) == 1
    assert target.read_text() == "mine"


def class_folders(root: Path) -> Path:
    """Red and blue images, of each three to vote and two to classify."""
    for part, count in (("train", 3), ("val", 2)):
        for name, color in (("blue", (250, 20, 20)), ("red", (20, 20, 250))):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                image = np.full((40, 50, 3), color, np.uint8)
                image[index:] -= np.uint8(5 * index + len(part))
                cv2.imwrite(str(root / part / name / f"{index}.png"), image)
    return root


def write_embedding(path: Path) -> Path:
    """Features are the mean color of cells of 16 pixels."""
    nodes = [
        helper.make_node(
            "AveragePool", ["images"], ["patches"], kernel_shape=[16, 16], strides=[16, 16]
        ),
        helper.make_node("ReduceMean", ["images", "axes"], ["cls"], keepdims=0),
    ]  # fmt: skip
    outputs = [
        helper.make_tensor_value_info("cls", TensorProto.FLOAT, ("b", 3)),
        helper.make_tensor_value_info("patches", TensorProto.FLOAT, ("b", 3, "y", "x")),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ("b", 3, "h", "w"))
    axes = onnx.numpy_helper.from_array(np.array([2, 3]), "axes")
    graph = helper.make_graph(nodes, "colors", [images], outputs, [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    spec = ModelSpec(
        arch="efficientnet_lite0", outputs=embedding_outputs(is_mean=True),
        input_hw=(32, 32), stride=16, fit="center_crop",
    )  # fmt: skip
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
    return path


def test_neighbors_classify_images(app: ModuleType, tmp_path: Path, capsys: Any) -> None:
    data, model = class_folders(tmp_path / "set"), write_embedding(tmp_path / "colors.onnx")
    words = ["--knn", "3", "--data", str(data), "--model", str(model), "--device", "cpu"]
    figures = ["--figures", str(tmp_path / "figures"), "--markdown", str(tmp_path / "a.md")]
    assert cli.run(app.main, [*words, *figures]) == 0
    said = capsys.readouterr().out
    assert "top-1                1.0000" in said and "k 3, temperature 0.07, 6 images vote" in said
    assert (tmp_path / "figures" / "confusion.png").is_file()
    assert "| red | 1.0000 | 1.0000 | 1.0000 |" in (tmp_path / "a.md").read_text()
    assert cli.run(app.main, [*words, "--leave-one-out", "--split", "all", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["top1"] == 1 and report["num_images"] == 10 and "tta" not in report


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--knn", "9"], "9 neighbors were asked for, and there are 6 images"),
        (["--knn", "--split", "all"], "add --leave-one-out"),
        (["--knn"], "20 neighbors were asked for, and there are 6 images"),
        (["--allow-duplicates"], "is for embedding; measure it with --knn"),
        (["--knn", "--tta", "2"], "A model for embedding takes no tta"),
        ([], "is for embedding; measure it with --knn"),
    ],
)
def test_flags_of_neighbors_that_do_not_fit_are_one_line(
    app: ModuleType, tmp_path: Path, words: list[str], said: str, caplog: Any
) -> None:
    data, model = class_folders(tmp_path / "set"), write_embedding(tmp_path / "colors.onnx")
    assert cli.run(app.main, ["--data", str(data), "--model", str(model), *words]) == 1
    assert said in caplog.text


def test_images_in_both_splits_have_to_be_allowed(
    app: ModuleType, tmp_path: Path, caplog: Any
) -> None:
    data, model = class_folders(tmp_path / "set"), write_embedding(tmp_path / "colors.onnx")
    (data / "val" / "red" / "copy.png").write_bytes((data / "train/red/0.png").read_bytes())
    words = ["--knn", "3", "--data", str(data), "--model", str(model)]
    assert cli.run(app.main, words) == 1
    assert "in both splits, or in two classes: 1;" in caplog.text and "copy.png" in caplog.text
    assert cli.run(app.main, [*words, "--allow-duplicates"]) == 0
