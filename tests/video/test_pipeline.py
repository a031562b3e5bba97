import numpy as np

from seg.imaging.annotators import Style
from seg.imaging.overlay import Overlay
from seg.results import Mask
from seg.video.base import Frame
from seg.video.meter import Meter
from seg.video.pipeline import Pipeline

IMAGE = np.zeros((40, 60, 3), np.uint8)
FRAME = Frame(IMAGE, 0, 0.0)


class Everywhere:
    """Finds the first class in every pixel."""

    task = "segmentation"

    def __call__(self, image):
        return Mask(np.ones(image.shape[:2], np.uint8), ("background", "person"))


def overlay():
    return Overlay(Style(opacity=1, outline=False))


def test_each_predictor_is_timed_under_its_task_and_its_result_drawn_and_passed_on():
    meter, first = Meter(), overlay()
    pipeline = Pipeline([Everywhere()], first, meter)
    processed = pipeline(FRAME)
    assert pipeline.tasks == ("segmentation",) == tuple(processed.results)
    assert processed.results["segmentation"].labels.all()
    assert (processed.image == first.style.palette[1]).all() and not IMAGE.any()
    assert [(name, len(times)) for name, times in meter.stages.items()] == [
        ("segmentation", 1),
        ("overlay", 1),
    ]


def test_the_rate_is_drawn_where_it_is_wanted_and_known():
    meter = Meter(iter([*range(20)]).__next__)
    plain, pipeline = Pipeline([Everywhere()], overlay(), Meter()), None
    for show_fps in (False, True):
        pipeline = Pipeline([Everywhere()], overlay(), meter, show_fps)
        np.testing.assert_array_equal(pipeline(FRAME).image, plain(FRAME).image)
        meter.tick()
    assert (pipeline(FRAME).image != plain(FRAME).image).any()


def test_without_a_predictor_the_frame_comes_back():
    processed = Pipeline([], overlay(), Meter())(FRAME)
    assert processed.results == {} and (processed.image == IMAGE).all()


def test_a_predictor_that_remembers_gets_whole_frames():
    class Remembering:
        task = "segmentation"

        def predict_frame(self, frame):
            seen.append(frame)
            return Mask(np.zeros((40, 60), np.uint8), ("background", "person"))

    seen = []
    Pipeline([Remembering()], overlay(), Meter())(FRAME)
    assert seen == [FRAME]
