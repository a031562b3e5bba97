"""Four classes from end to end: train, evaluate, export, draw."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

import train
from export import to_onnx
from seg import Segmenter, cli
from seg.imaging.image_io import read_image
from seg.imaging.palette import Palette

ROOT = Path(__file__).resolve().parent.parent
CLASSES = ("background", "ball", "box", "roof", "stripe")
COLORS = {"ball": (40, 40, 230), "box": (230, 60, 40), "roof": (50, 220, 60), "stripe": (0,) * 3}


def app(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"apps_{name}", ROOT / f"apps/{name}.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def shape(name: str, mask: np.ndarray, x: int, y: int) -> None:
    """Draws a shape of 20 pixels around a place, as its class's label."""
    label = CLASSES.index(name)
    if name == "ball":
        cv2.circle(mask, (x, y), 10, label, -1)
    elif name == "roof":
        cv2.fillPoly(mask, [np.array([(x - 12, y + 9), (x + 12, y + 9), (x, y - 12)])], label)
    else:
        wide, high = (10, 10) if name == "box" else (14, 5)
        cv2.rectangle(mask, (x - wide, y - high), (x + wide, y + high), label, -1)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images 96 x 96 of light noise, one shape of each class in a corner of its own."""
    folder, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for index in range(24):
        mask = np.zeros((96, 96), np.uint8)
        corners = rng.permutation([(24, 24), (72, 24), (24, 72), (72, 72)])
        for name, corner in zip(CLASSES[1:], corners, strict=True):
            x, y = corner + rng.integers(-8, 9, 2)
            shape(name, mask, int(x), int(y))
        image = rng.integers(150, 200, (96, 96, 3), dtype=np.uint8)
        for name, color in COLORS.items():
            image[mask == CLASSES.index(name)] = color
        cv2.imwrite(str(folder / f"images/{index:02}.png"), image)
        cv2.imwrite(str(folder / f"masks/{index:02}.png"), mask)
    return folder


@pytest.fixture(scope="module")
def onnx(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network after a few epochs, exported; export compares it with torch."""
    folder = tmp_path_factory.mktemp("run")
    words = ["--data", f"{shapes},val=6", "--classes", *CLASSES, "--arch", "lite"]
    words += [
        "--imgsz",
        "96",
        "96",
        "--crop",
        "96",
        "96",
        "--scale",
        "0.9",
        "1.1",
        "--copy-paste-prob",
    ]
    words += [
        "0",
        "--color",
        "0",
        "--epochs",
        "2",
        "--samples",
        "64",
        "--batch",
        "4",
        "--warmup",
        "4",
    ]
    words += ["--ema", "0", "--precision", "float32", "--lr", "0.005", "--device", "cpu"]
    assert cli.run(train.main, [*words, "--output", str(folder / "run")]) == 0
    target = folder / "shapes.onnx"
    words = ["--model", str(folder / "run/last.pt"), "--output", str(target)]
    assert cli.run(to_onnx.main, words) == 0
    return target


def test_every_class_is_learned_and_scored_by_name(
    onnx: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(onnx), "--device", "cpu", "--data", f"{shapes},val=6", "--json"]
    words += ["--markdown", str(tmp_path / "s.md"), "--figures", str(tmp_path)]
    assert cli.run(app("evaluate").main, words) == 0
    report = json.loads(capsys.readouterr().out)
    assert tuple(report["iou"]) == CLASSES and min(report["iou"].values()) > 0.7
    assert report["foreground_iou"] == pytest.approx(
        np.mean([report["iou"][name] for name in CLASSES[1:]])
    )
    # Shapes are 11 to 22 of 96 rows high: small, all of them, one in each of 6 images.
    for name in CLASSES[1:]:
        assert report["iou_by_size"][name]["small"]["num_objects"] == 6
    assert np.array(report["confusion"]).sum() == 6 * 96 * 96
    assert "| stripe | 0." in (tmp_path / "s.md").read_text()
    assert (tmp_path / "confusion.png").stat().st_size > 1000


def test_the_overlay_has_the_palettes_color_for_each_class(
    onnx: Path, shapes: Path, tmp_path: Path
) -> None:
    target = tmp_path / "drawn.png"
    words = ["--input", str(shapes / "images/00.png"), "--model", str(onnx), "--device", "cpu"]
    words += ["--output", str(target), "--opacity", "1", "--save-masks", str(tmp_path / "masks")]
    assert cli.run(app("infer_image").main, words) == 0
    drawn = read_image(target)
    image, labels = (
        read_image(shapes / "images/00.png"),
        cv2.imread(str(shapes / "masks/00.png"), cv2.IMREAD_UNCHANGED),
    )
    saved = cv2.imread(str(tmp_path / "masks/00.png"), cv2.IMREAD_UNCHANGED)
    mask = Segmenter(onnx, "cpu")(image)
    assert mask.classes == CLASSES and np.array_equal(saved, mask.labels)
    for label, name in enumerate(CLASSES[1:], 1):
        hit = mask.of(name) & (labels == label)
        assert hit.sum() > 60
        assert (drawn[hit] == Palette()[label]).all()
    assert (drawn[mask.of("background")] == image[mask.of("background")]).all()
    assert len({Palette()[label] for label in range(1, 5)}) == 4


def test_averaging_and_edges_work_with_many_classes(onnx: Path, shapes: Path) -> None:
    image = read_image(shapes / "images/01.png")
    once = Segmenter(onnx, "cpu")(image).labels
    for options in ({"tta": 2}, {"guided": True}, {"tta": 1, "guided": True}):
        often = Segmenter(onnx, "cpu", **options)(image).labels
        assert (often == once).mean() > 0.9
