"""The check at export sees what a fixed canvas and rounded padding change, for any task."""

import dataclasses

import numpy as np
import pytest

from seg import ParityError
from seg.imaging.letterbox import Letterbox
from seg.predictors.base import Predictor
from seg.predictors.open import PREDICTORS
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec, Output, segmentation_outputs
from seg.verification import self_test
from seg.verification.export_check import compare_export
from seg.verification.mask_graph import (
    GraphRun,
    compare_bytes,
    compare_in_apps,
    compare_padding,
)
from seg.verification.parity import AGREEMENTS

CLASSES = ("background", "person")
FREE = ModelSpec(
    arch="fake", outputs=segmentation_outputs(CLASSES), input_hw=(64, 64), stride=16,
    mean=(0.1, 0.5, 0.5),
)  # fmt: skip
FIXED = dataclasses.replace(FREE, canvas_hw=(64, 64), batch=1)


def above_the_mean(images):
    """A person where red exceeds the mean of the whole canvas, its padding included."""
    margin = images[:, 0] - images[:, 0].mean((1, 2), keepdims=True)
    return np.stack([-margin, margin], 1)


def above_half(images):
    margin = images[:, 0] - 0.5
    return np.stack([-margin, margin], 1)


def stripes(hw, *reds):
    """Equal columns of these reds."""
    image = np.zeros((*hw, 3), np.uint8)
    image[:, :, 2] = np.repeat(reds, hw[1] // len(reds))
    return image


def test_what_a_fixed_canvas_changes_is_reported_and_no_error():
    """By hand: reds 100, 90, 90, 90. The mean of the image is 92.5, so a quarter is a person.

    On the canvas, half of which is padding of 25.5, it is 59, and all of it is.
    """
    images = [stripes((32, 64), 100, 90, 90, 90), stripes((64, 64), 100, 90, 90, 90)]
    report = compare_export(
        FakeRuntime(above_the_mean, FREE), FakeRuntime(above_the_mean, FIXED), images
    )
    assert report.parity["segmentation"].results.agreement == 1
    in_apps = report.in_apps["segmentation"]
    assert in_apps.num_images == 1  # the other fills the canvas
    assert in_apps.results.agreement == pytest.approx(0.25)
    said = report.lines("torch")
    assert len(said) == 2 and "25.0000 % of the pixels agree" in said[1] and "--imgsz" in said[1]
    kept = report.to_dict()
    assert kept["agreement"] == 1 and kept["frames"] == 2
    assert kept["in_apps"]["segmentation"]["agreement"] == pytest.approx(0.25)


@pytest.mark.parametrize("candidate", [FREE, FIXED])
def test_where_every_canvas_is_the_same_there_is_nothing_to_report(candidate):
    source, exported = FakeRuntime(above_half, FREE), FakeRuntime(above_half, candidate)
    report = compare_export(source, exported, [stripes((64, 64), 200, 90)])
    assert not report.in_apps and "in_apps" not in report.to_dict()
    fixed = FakeRuntime(above_half, FIXED)
    assert not compare_export(fixed, fixed, [stripes((32, 64), 200, 90)]).in_apps


def test_an_export_on_the_same_canvas_is_held_to_its_precision():
    other = FakeRuntime(lambda images: above_half(images)[:, ::-1], FIXED)
    with pytest.raises(ParityError, match=r"results differ.*Expected in float32 masks"):
        compare_export(FakeRuntime(above_half, FREE), other, [stripes((64, 64), 200, 90)])


def graph_runs(function, images):
    """What a graph of `function` makes of images that another program fits and pads."""
    runs = []
    for image in images:
        letterbox = Letterbox.fit(image.shape[:2], (64, 64), 16, (64, 64))
        canvas = letterbox.pack_bytes(image, FREE.pad_rgb)
        pixels = canvas[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
        runs.append(GraphRun(letterbox, canvas, function(pixels).argmax(1).astype(np.uint8)))
    return runs


def test_rounding_the_padding_is_measured_against_the_exact_color():
    """25.5 is padded as 26: the mean of a canvas half full of it moves by a quarter of a level.

    The image is 34.2 on average and the canvas 29.85, or 30.1 with rounded padding; its column of
    30 is a person against the one and not against the other.
    """
    image = stripes((32, 64), 30, 30, 20, 20)
    image[:, 32:, 2] = np.where(np.arange(32) < 16, 20, 57)
    assert image[..., 2].mean() == pytest.approx(34.25)
    runs = graph_runs(above_the_mean, [image, stripes((64, 64), 10, 200)])
    source = FakeRuntime(above_the_mean, FREE)
    spec = dataclasses.replace(FIXED, input_kind="frames")
    assert compare_bytes(source, spec, runs).results.agreement == 1
    with pytest.raises(ParityError, match="Padding in whole gray levels changes the masks: 1 im"):
        compare_padding(source, spec, runs)
    steady = compare_padding(
        FakeRuntime(above_half, FREE), spec, graph_runs(above_half, [image, image])
    )
    assert steady.num_images == 2 and steady.results.agreement == 1
    assert compare_padding(source, spec, runs[1:]) is None


def test_every_place_of_a_mask_graphs_batch_is_compared():
    (run,) = graph_runs(above_half, [stripes((64, 64), 200, 90)])
    run = dataclasses.replace(run, masks=np.concatenate([run.masks, 1 - run.masks]))
    found = compare_bytes(FakeRuntime(above_half, FREE), FIXED, [run])
    assert found.results.agreement == pytest.approx(0.5) and found.num_images == 1


def test_a_mask_graph_is_also_compared_with_what_the_apps_do():
    """As by hand above: the same bytes agree, the canvas of the apps leaves a quarter."""
    runs = graph_runs(above_the_mean, [stripes((32, 64), 100, 90, 90, 90)])
    found = compare_in_apps(FakeRuntime(above_the_mean, FREE), FIXED, runs)
    assert found.results.agreement == pytest.approx(0.25)


@dataclasses.dataclass(frozen=True)
class ColorAgreement:
    """A task of its own: how far two mean colors are apart."""

    largest: float

    def to_dict(self):
        return dataclasses.asdict(self)

    def passes(self, precision):
        return self.largest <= {"float32": 1e-5, "float16": 1e-2}[precision]

    def expected(self, precision):
        return "nearly the same color"


class MeanColorPredictor(Predictor):
    task = "mean_color"

    def results_of(self, outputs, pixels, fits):
        return outputs[self.output.name]


def mean_color(offset=0.0, canvas_hw=None, precision="float32"):
    """A network that returns a vector, under a name of its own."""
    spec = dataclasses.replace(
        FREE, outputs=(Output("color", "mean_color"),), canvas_hw=canvas_hw, precision=precision
    )
    return FakeRuntime(lambda images: images.mean((2, 3)) + np.float32(offset), spec)


@pytest.fixture
def registered(monkeypatch):
    """The task in the tables, as a new one adds its lines."""

    def agreement(pairs):
        return ColorAgreement(max(float(np.abs(one - other).max()) for one, other in pairs))

    monkeypatch.setitem(PREDICTORS, "mean_color", MeanColorPredictor)
    monkeypatch.setitem(AGREEMENTS, "mean_color", agreement)


def test_another_task_brings_its_own_measure(registered):
    images = [stripes((64, 64), 10, 200), stripes((32, 64), 10, 200)]
    report = compare_export(mean_color(), mean_color(canvas_hw=(64, 64)), images)
    assert report.to_dict()["largest"] == 0 and report.parity["mean_color"].max_difference == 0
    # By hand: half of the canvas is padding, (0.1, 0.5, 0.5) against red 105 / 255.
    assert report.in_apps["mean_color"].results.largest == pytest.approx(0.25)
    with pytest.raises(ParityError, match="Expected in float32 nearly the same color"):
        compare_export(mean_color(), mean_color(0.001), images)
    compare_export(mean_color(), mean_color(0.001, precision="float16"), images)


def test_the_self_test_takes_outputs_of_any_name_and_shape(registered):
    recorded = {self_test.GOLDEN_KEY: self_test.record(mean_color())}
    same, other, logits = mean_color(), mean_color(0.1), FakeRuntime(above_half, FREE)
    for runtime in (same, other, logits):
        runtime.metadata = recorded
    assert self_test.verify(MeanColorPredictor(same)).error == 0
    with pytest.raises(ParityError, match="off by"):
        self_test.verify(MeanColorPredictor(other))
    with pytest.raises(ParityError, match=r"Expected scores of shape.*color.*got.*logits"):
        self_test.verify_scores(logits)
