"""FeatureViewer: a frame in, the colors of its patches out."""

from collections.abc import Callable, Sequence

from seg.features.views import View
from seg.predictors.embedder import Embedder
from seg.results import Features, PatchColors, UInt8
from seg.spec import ModelSpec

FitView = Callable[[Sequence[Features]], View]


class FeatureViewer:
    """Embeds frames and colors their patches, all by one view.

    Args:
        embedder: The features; None where they come from elsewhere, to `color`.
        view: How they are colored; None makes it of the first frame.
        fit: Makes it.

    Attributes:
        task: The name of its results.
        view: As given, or made.
    """

    task = "features"

    def __init__(self, embedder: Embedder | None, view: View | None, fit: FitView) -> None:
        self.view, self._embedder, self._fit = view, embedder, fit

    def __call__(self, image: UInt8, /) -> PatchColors:
        """Colors uint8 `(H, W, 3)` BGR; raises as `Embedder` does."""
        assert self._embedder is not None
        return self.color(self._embedder(image))

    def color(self, features: Features) -> PatchColors:
        """Colors the patches of features that are there already."""
        if self.view is None:
            self.view = self._fit([features])
        colors = self.view.colors(features.patches)
        return PatchColors(colors, features.frame_hw, features.patch_hw, features.origin)


def source_of(spec: ModelSpec) -> str:
    """Says what makes a model's features: no view of another's fits them."""
    layers = " ".join(map(str, spec.layers)) or "all"
    return f"{spec.arch}, layers {layers}, weights {spec.weights_id[:16] or 'unknown'}"
