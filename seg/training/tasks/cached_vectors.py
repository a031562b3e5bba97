"""CachedVectors: what a frozen backbone makes of each view, computed once and kept on disk."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from seg.data.class_folders import ClassSample
from seg.errors import SegError
from seg.models.classification import ClassificationNet
from seg.progress import track
from seg.results import Float32, UInt8
from seg.spec import ModelSpec
from seg.training.feature_cache import Cache, Float16, Key
from seg.training.tasks.class_loader import ClassBatch, ClassLoader, center_crops, digest_of

log = logging.getLogger("dinoseg")
NO_LABELS: UInt8 = np.empty((0, 0), np.uint8)


class CachedVectors:
    """Batches of the vectors that a head reads, `(B, F)`, of numbered views of each image.

    Args:
        net: Its backbone is run, its head is not.
        loader: Draws the views.
        num_views: Views of each image; an epoch takes one of them.
        cache: Keeps the vectors, in float16.
        device: Where `net` is.
    """

    def __init__(
        self,
        net: ClassificationNet,
        loader: ClassLoader,
        num_views: int,
        cache: Cache,
        device: torch.device,
    ) -> None:
        self.net, self.loader, self.num_views = net, loader, num_views
        self.cache, self.device = cache, device

    @property
    def num_class_channels(self) -> int:
        """How many numbers of a vector come from class tokens; the rest are means of patches."""
        return sum(self.net.backbone.channels)

    def precompute(self) -> None:
        """Computes what the cache lacks; says how much that is."""
        num_images = len(self.loader.samples)
        views = [(i, k) for i in range(num_images) for k in range(self.num_views)]
        missing = [view for view in views if self.cache.find(self._key(*view)) is None]
        log.info(
            "vectors of %d views, %d kept from before, in %s",
            len(views), len(views) - len(missing), self.cache.folder,
        )  # fmt: skip
        for view in track(missing, "computing features"):
            self._vector(*view)

    def epoch(self, number: int) -> Iterator[ClassBatch]:
        """Yields an epoch's batches; they depend on the seed and on `number` alone."""
        rng = np.random.default_rng([self.loader.config.optim.seed, number])
        for chosen in self.loader.order(rng):
            numbers = rng.integers(self.num_views, size=len(chosen)).tolist()
            vectors = [self._vector(*view) for view in zip(chosen, numbers, strict=True)]
            yield ClassBatch(torch.from_numpy(np.stack(vectors)), self.loader.labels(chosen))

    def of_samples(self, samples: Sequence[ClassSample], spec: ModelSpec) -> Float32:
        """Returns the vectors of images as the apps crop them, float32 `(B, F)`."""
        vectors = []
        for sample in samples:
            key = {"image": digest_of(sample), "view": "center", "canvas_hw": self.loader.crop_hw}
            found = self.cache.find(key)
            made = found[0][0, 0] if found else self._kept(key, center_crops([sample], spec))
            vectors.append(made)
        return np.stack(vectors).astype(np.float32)

    def _vector(self, index: int, number: int) -> Float16:
        key = self._key(index, number)
        found = self.cache.find(key)
        return found[0][0, 0] if found else self._kept(key, self.loader.view_at(index, number))

    def _kept(self, key: Key, pixels: Float32) -> Float16:
        made: Float16 = self.cache.get(key, lambda: (self._run(pixels), NO_LABELS))[0][0, 0]
        return made

    def _key(self, index: int, number: int) -> dict[str, Any]:
        return self.loader.key(index, number)

    def _run(self, pixels: Float32) -> Float16:
        # One image at a time: with others beside it the last bits may come out otherwise.
        with torch.inference_mode():
            vector = self.net.vectors(torch.from_numpy(pixels).to(self.device))
        kept: Float16 = vector.cpu().numpy().astype(np.float16)[None]  # (1, 1, F)
        if not np.isfinite(kept).all():
            raise SegError("A feature does not fit into float16; train with --views 0.")
        return kept
