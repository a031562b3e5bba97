"""open_predictor takes the predictor that a model's spec asks for."""

import dataclasses

import numpy as np
import pytest

from seg import EngineFailure, Segmenter, SpecMismatch
from seg.predictors import open as registry
from seg.predictors.base import Predictor
from seg.predictors.open import open_predictor
from seg.runtimes.fake import DEFAULT, FakeRuntime
from seg.spec import Output
from tests.conftest import ROOT

SCORES = Output("scores", "brightness", ("dark", "bright"))


class Brightness(Predictor):
    """The name of the larger score."""

    task = "brightness"

    def results_of(self, outputs, pixels, fits):
        return [self.output.classes[one.argmax()] for one in outputs[self.output.name]]


def network(images):
    mean = images.mean((1, 2, 3))
    return {
        "logits": np.zeros((len(images), 2, 4, 4), np.float32),
        "scores": np.stack([1 - mean, mean], 1),
    }


def runtime(*outputs):
    return FakeRuntime(network, dataclasses.replace(DEFAULT, outputs=outputs))


@pytest.fixture
def brightness(monkeypatch):
    monkeypatch.setitem(registry.PREDICTORS, "brightness", Brightness)


def test_a_model_opens_with_the_predictor_of_its_task(brightness):
    with open_predictor(ROOT / "weights" / "person-lite.onnx", "cpu", tta=1) as predictor:
        assert isinstance(predictor, Segmenter) and predictor.tta == 1
    with pytest.raises(EngineFailure, match="closed"):
        predictor.runtime.run(np.zeros((1, 3, 32, 32), np.float32))
    images = [np.full((9, 30, 3), level, np.uint8) for level in (10, 250, 99)]
    assert open_predictor(runtime(SCORES)).predict(images) == ["dark", "bright", "dark"]


def test_a_model_for_two_tasks_opens_for_the_one_that_is_named(brightness):
    both = runtime(*DEFAULT.outputs, SCORES)
    assert isinstance(open_predictor(both, task="brightness"), Brightness)
    assert isinstance(open_predictor(both, task="segmentation"), Segmenter)
    with pytest.raises(SpecMismatch, match="for segmentation and brightness; choose one"):
        open_predictor(both)


def test_what_a_predictor_does_not_have_is_refused(brightness):
    with pytest.raises(SpecMismatch, match="A model for brightness takes no guided, tta"):
        open_predictor(runtime(SCORES), tta=1, guided=True)
    with pytest.raises(SpecMismatch, match="tta is a number of scales"):
        open_predictor(runtime(*DEFAULT.outputs), tta=9)


def test_a_task_without_a_predictor_is_named():
    with pytest.raises(SpecMismatch, match="Nothing here predicts brightness; expected one of seg"):
        open_predictor(runtime(SCORES))
