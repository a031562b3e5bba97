"""Segmenter: a frame in, a mask out, on any engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, cast

import numpy as np

from seg.errors import SpecMismatch
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.fits import Fit
from seg.imaging.guided_filter import GuidedFilter, luminance
from seg.imaging.letterbox import Letterbox, Size, check_image, hw_of, round_up
from seg.kinds import Device
from seg.predictors.base import Predictor
from seg.predictors.decode import decode_logits
from seg.predictors.tta import RATIOS, Prediction, average_predictions, scaled_letterbox, slide
from seg.results import Float32, Mask, UInt8
from seg.runtimes.base import Runtime
from seg.runtimes.open import EngineOptions
from seg.spec import SEGMENTATION

if TYPE_CHECKING:
    from seg.predictors.gpu_segmentation import GpuSegmentation, TensorRuntime


class Segmenter(Predictor[Mask]):
    """Segments frames of any size with one model.

    Args:
        model: As of `Predictor`.
        device: As of `Predictor`.
        input_hw: As of `Predictor`.
        tta: 0 predicts once. N predicts at the first N ratios 1, 1.32, 1.73, 2.28, 3, in windows
            of the model's canvas that slide by half of it, each also mirrored, and averages:
            slower, and no better for `lite` (docs/benchmarks.md). The original calls it
            HEAD_SCALE_COUNT (`seg.predictors.tta`).
        guided: Whether masks follow the image's edges (`seg.imaging.guided_filter`).
        engine: As of `Predictor`.

    Attributes:
        gpu: Fits and decodes on the engine's own device; None where that is the processor, and
            where masks are edge-refined or averaged, which the processor does.

    Raises:
        SpecMismatch: `tta` is none of 0 to 5.
        SegError: As `Predictor` says.
    """

    task = SEGMENTATION
    options = ("tta", "guided")

    def __init__(
        self,
        model: str | Path | Runtime = DEFAULT_MODEL,
        device: str = Device.AUTO,
        input_hw: Size | None = None,
        *,
        tta: int = 0,
        guided: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        if not 0 <= tta <= len(RATIOS):
            raise SpecMismatch(f"tta is a number of scales from 0 to {len(RATIOS)}; got {tta}.")
        super().__init__(model, device, input_hw, **engine)
        self.tta, self.guided = tta, guided
        self.gpu: GpuSegmentation | None = None
        if self.runtime.offers_tensors and not tta and not guided:
            from seg.predictors import gpu_segmentation

            runtime_ = cast("TensorRuntime", self.runtime)
            self.gpu = gpu_segmentation.GpuSegmentation(runtime_, self.output.name)

    @property
    def description(self) -> str:
        """As of `Predictor`, with what is averaged and refined."""
        extras = [f"; averaged over {self.tta} scales, mirrored too"] if self.tta else []
        extras += ["; edge-refined"] if self.guided else []
        return super().description + "".join(extras)

    @property
    def is_multi_pass(self) -> bool:
        """Whether scales are averaged."""
        return bool(self.tta)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; index 0 is the background."""
        return self.output.classes

    def letterbox(self, frame_hw: Size) -> Letterbox:
        """Returns the way from images of a size to this model's canvas and back.

        Raises:
            SpecMismatch: The image, fitted, does not fit on the canvas.
        """
        spec = self.runtime.spec
        return Letterbox.fit(frame_hw, self.input_hw, spec.stride, spec.canvas_hw)

    def pack(self, image: UInt8) -> tuple[Float32, Letterbox]:
        """Puts an image onto the canvas.

        Args:
            image: uint8 `(H, W, 3)` BGR. It is not changed.

        Returns:
            What `run` takes, `(1, 3, H', W')`, and the way back to the image.

        Raises:
            ShapeError: The image has another dtype or layout.
        """
        check_image(image)
        letterbox = self.letterbox(hw_of(image))
        return letterbox.pack(image, self.runtime.spec.pad_rgb), letterbox

    def predict_logits(self, image: UInt8) -> list[Prediction]:
        """Runs the network on a frame: once, or with `tta` in pairs, the second one mirrored.

        Raises as a call does.
        """
        self._check_open()
        check_image(image)
        if self.tta:
            return self._predict_scales(image)
        return self._predict_canvas([image], [self.letterbox(hw_of(image))])

    def decode(self, predictions: Sequence[Prediction]) -> UInt8:
        """Turns what `predict_logits` returned into labels, uint8 `(H, W)` of the frame's size."""
        if len(predictions) > 1:
            return average_predictions(predictions)
        (only,) = predictions
        return decode_logits(only.logits, only.to_frame) if only.labels is None else only.labels

    def close(self) -> None:
        """As of `Predictor`."""
        self.gpu = None  # with what it keeps on the device
        super().close()

    def results_of(
        self, outputs: Mapping[str, Float32], pixels: Float32, fits: Sequence[Fit]
    ) -> list[Mask]:
        """As of `Predictor`."""
        boxes = [self.letterbox(fit.frame_hw) for fit in fits]
        found = self._predictions(outputs[self.output.name], pixels, boxes)
        return [Mask(self.decode([one]), self.classes) for one in found]

    def _predict(self, images: Sequence[UInt8], fits: Sequence[Fit]) -> list[Mask]:
        if self.tta:
            found = [self._predict_scales(image) for image in images]
        else:
            letterboxes = [self.letterbox(fit.frame_hw) for fit in fits]
            found = [[one] for one in self._predict_canvas(images, letterboxes)]
        return [Mask(self.decode(predictions), self.classes) for predictions in found]

    def _predict_canvas(
        self, images: Sequence[UInt8], letterboxes: Sequence[Letterbox]
    ) -> list[Prediction]:
        """Predicts each image once, all on one canvas."""
        if self.gpu:
            found = self.gpu(images, letterboxes)
            for logits, _ in found:
                self._check_scores(logits[None])
            pairs = zip(found, letterboxes, strict=True)
            return [Prediction(logits, box, labels=labels) for (logits, labels), box in pairs]
        pixels = self.pack_all(images, letterboxes)
        return self._predictions(self.run(pixels), pixels, letterboxes)

    def _predictions(
        self, scores: Float32, pixels: Float32, letterboxes: Sequence[Letterbox]
    ) -> list[Prediction]:
        return [
            Prediction(scores[i], box, self._refiner(pixels[i], scores[i], box))
            for i, box in enumerate(letterboxes)
        ]

    def _predict_scales(self, image: UInt8) -> list[Prediction]:
        """Predicts an image at the first `tta` ratios, as it is and mirrored."""
        spec = self.runtime.spec
        window_hw = spec.canvas_hw or round_up(self.input_hw, spec.stride)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        predictions = []
        for ratio in RATIOS[: self.tta]:
            box = scaled_letterbox(hw_of(image), self.input_hw, window_hw, spec.stride, ratio)
            for view, is_mirrored in ((image, False), (mirrored, True)):
                pixels = box.pack(view, spec.pad_rgb)
                logits = slide(lambda window: self.run(window)[0], pixels, window_hw, spec.stride)
                refine = self._refiner(pixels[0], logits, box)
                predictions.append(Prediction(logits, box, refine, is_mirrored))
        return predictions

    def _refiner(
        self, pixels: Float32, logits: Float32, letterbox: Letterbox
    ) -> GuidedFilter | None:
        """Returns what refines score maps by the packed image, `(3, H', W')`, where asked for."""
        if not self.guided:
            return None
        height, width = letterbox.image_hw
        # As wide as a cell of the network's grid: what it could not see is taken from the image.
        radius = max(1, letterbox.canvas_hw[0] // logits.shape[1])
        return GuidedFilter(luminance(pixels[None, :, :height, :width]), radius)

    def _check_scores(self, scores: Float32) -> None:
        if scores.ndim != 4 or scores.shape[1] != len(self.classes):
            raise SpecMismatch(
                f"The model says {len(self.classes)} classes and returns {scores.shape[1]} maps."
            )
        super()._check_scores(scores)
