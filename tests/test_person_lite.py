"""The embedded model: it is what its card says."""

import re

import pytest

from seg import Segmenter
from seg.data import open_dataset
from seg.evaluation.segmentation import evaluate_segmenter
from seg.files.checksum import sha256_of
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.image_io import photo

CARD = DEFAULT_MODEL.with_suffix(".md")


@pytest.fixture(scope="module")
def segment():
    with Segmenter(DEFAULT_MODEL, device="cpu") as opened:
        yield opened


def row(name):
    """Returns the numbers of a row of the card's table."""
    (line,) = [text for text in CARD.read_text().splitlines() if text.startswith(f"| {name} |")]
    return [float(number) for number in re.findall(r"\d+\.\d+", line)]


def test_the_card_is_about_this_file():
    assert sha256_of(DEFAULT_MODEL) in CARD.read_text()
    assert DEFAULT_MODEL.stat().st_size <= 14e6


def test_people_on_public_photos_are_found(segment):
    """Places chosen by eye: face, chest and shoulder, and the plain background beside them."""
    astronaut = segment(photo("astronaut")).of("person")
    for x, y in ((220, 110), (220, 300), (120, 400)):
        assert astronaut[y, x]
    assert astronaut[40:180, 310:360].mean() < 0.05
    hopper = segment(photo("hopper")).of("person")
    assert hopper[180, 260] and hopper[500, 200]
    assert hopper[60:200, 420:500].mean() < 0.05


@pytest.mark.parametrize(("name", "share"), [("coffee", 0.03), ("rocket", 0.1)])
def test_photos_without_people_stay_nearly_empty(segment, name, share):
    assert segment(photo(name)).area_fraction("person") < share


def test_the_cards_iou_is_reproduced(segment, data_root):
    scores = evaluate_segmenter(segment, open_dataset(str(data_root / "PennFudanPed")).valid).scores
    iou, miou = row("Penn-Fudan validation")[:2]
    assert 100 * scores["foreground_iou"] == pytest.approx(iou, abs=0.06)
    assert 100 * scores["miou"] == pytest.approx(miou, abs=0.06)
    edges = row("Penn-Fudan validation, edges")
    assert 100 * scores["boundary_iou"] == pytest.approx(edges[0], abs=0.1)


def test_the_cards_iou_where_everyone_is_labeled_is_reproduced(segment, data_root):
    valid = open_dataset(str(data_root / "PennFudanPed")).valid
    (said,) = re.findall(r"IoU is (\d+\.\d+):", CARD.read_text())
    whole = [v for i, v in enumerate(valid) if i not in {0, 3, 5, 7, 8, 12, 14, 21}]
    score = 100 * evaluate_segmenter(segment, whole).scores["foreground_iou"]
    assert score == pytest.approx(float(said), abs=0.06)


def test_the_cards_false_positive_area_is_reproduced(segment, data_root):
    data = open_dataset(f"{data_root / 'negatives'},negatives,val=80,seed=2")
    area = 100 * evaluate_segmenter(segment, data.valid).scores["false_positive_area"]
    assert area == pytest.approx(row("held-out photos without people")[0], abs=0.02)
