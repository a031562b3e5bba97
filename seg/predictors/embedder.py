"""Embedder: a frame in, its features out, on any engine."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

from seg.errors import SpecMismatch
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.fits import Fit
from seg.imaging.letterbox import Size
from seg.kinds import Device
from seg.predictors.base import Predictor
from seg.results import Features, Float32, mean_of_patches
from seg.runtimes.base import Runtime
from seg.runtimes.open import EngineOptions
from seg.spec import EMBEDDING

OUTPUTS = ("cls", "patches")


class Embedder(Predictor[Features]):
    """Embeds frames of any size with one model.

    Args:
        model: As of `Predictor`; the embedded model is for masks, so this is always named.
        device: As of `Predictor`.
        input_hw: As of `Predictor`.
        fit: `letterbox`, to have the whole frame, or `center_crop`; None takes the model's own.
        engine: As of `Predictor`.

    Raises:
        SpecMismatch: The model does not return `cls` and `patches`.
        SegError: As `Predictor` says.
    """

    task = EMBEDDING
    fits = ("letterbox", "center_crop")
    options = ("fit",)

    def __init__(
        self,
        model: str | Path | Runtime = DEFAULT_MODEL,
        device: str = Device.AUTO,
        input_hw: Size | None = None,
        *,
        fit: str | None = None,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(model, device, input_hw, fit=fit, **engine)
        names = sorted(output.name for output in self.outputs)
        if names != sorted(OUTPUTS):
            self.close()
            raise SpecMismatch(
                f"Expected a model that returns {' and '.join(OUTPUTS)} to embed images; this one "
                f"returns {', '.join(names)}."
            )
        outputs = {output.name: output for output in self.outputs}
        self._pools_patches = outputs["cls"].mean_of == "patches"

    def results_of(
        self, outputs: Mapping[str, Float32], pixels: Float32, fits: Sequence[Fit]
    ) -> list[Features]:
        """As of `Predictor`."""
        cls, patches = outputs["cls"], outputs["patches"]
        if cls.ndim != 2 or patches.ndim != 4 or patches.shape[:2] != cls.shape:
            raise SpecMismatch(
                f"Expected cls (B, D) and patches (B, D, h, w); the model returns {cls.shape} and "
                f"{patches.shape}."
            )
        trios = zip(cls, patches, fits, strict=True)
        return [self._features(*trio) for trio in trios]

    def _features(self, cls: Float32, patches: Float32, fit: Fit) -> Features:
        """Puts together what belongs to one frame; patches of padding alone are cut off."""
        grid_hw = patches.shape[1:]
        pairs = zip(fit.canvas_hw, grid_hw, strict=True)
        cell_hw = [side / count for side, count in pairs]
        scales = [frame / side for frame, side in zip(fit.frame_hw, fit.image_hw, strict=True)]
        sides = zip(fit.image_hw, cell_hw, grid_hw, strict=True)
        rows, columns = (min(count, -int(-side // cell)) for side, cell, count in sides)
        shown = patches[:, :rows, :columns].transpose(1, 2, 0).copy()  # (D, h, w) -> (h, w, D)
        features = Features(
            cls=cls.copy(),
            patches=shown,
            frame_hw=fit.frame_hw,
            patch_hw=(cell_hw[0] * scales[0], cell_hw[1] * scales[1]),
            origin=(fit.offset[0] * scales[0], fit.offset[1] * scales[1]),
        )
        if not self._pools_patches:
            return features
        # The graph's own mean has the padding in it.
        mean = mean_of_patches(shown, features.whole_hw)
        return dataclasses.replace(features, cls=mean)
