"""OnePass: the results of several tasks from one run of a network with an output for each."""

from collections.abc import Sequence
from typing import Any

from seg.errors import SpecMismatch
from seg.imaging.letterbox import hw_of
from seg.predictors.base import Predictor
from seg.predictors.feature_viewer import FeatureViewer
from seg.results import UInt8
from seg.spec import EMBEDDING


class OnePass:
    """Predicts every task of a model on one run of it.

    Args:
        predictors: One for each task, on the same runtime, which fit images alike and run once.
        viewer: Colors the features among the results; its colors are one result more.

    Attributes:
        predictors: As given.
        viewer: As given.
        tasks: The tasks, in their order.

    Raises:
        SpecMismatch: They have different runtimes, sizes, or ways to fit images.
    """

    def __init__(
        self, predictors: Sequence[Predictor[Any]], viewer: FeatureViewer | None = None
    ) -> None:
        first = predictors[0]
        for one in predictors[1:]:
            if one.runtime is not first.runtime or one.fit_key != first.fit_key:
                raise SpecMismatch("Tasks of one pass share a model and the way images are fitted.")
        for one in predictors:
            if one.is_multi_pass:
                raise SpecMismatch(f"{one.task} runs the network several times; omit --tta.")
        self.predictors, self.viewer = tuple(predictors), viewer
        self.tasks = (*(one.task for one in predictors), *([viewer.task] if viewer else []))

    @property
    def description(self) -> str:
        """What really runs, human-readable."""
        return f"{self.predictors[0].description}; {', '.join(self.tasks)} in one pass"

    def __call__(self, image: UInt8) -> dict[str, Any]:
        """Predicts one image, uint8 `(H, W, 3)` BGR; raises as `Predictor` does.

        Returns:
            The results by task.
        """
        first = self.predictors[0]
        fit = first.fit(hw_of(image))
        pixels = first.pack_all([image], [fit])
        made = first.runtime.run(pixels)
        found = {
            one.task: one.results_of(one.outputs_in(made), pixels, [fit])[0]
            for one in self.predictors
        }
        if self.viewer:
            found[self.viewer.task] = self.viewer.color(found[EMBEDDING])
        return found
