"""CachedFeatures: batches and validation from a cache, computed once for each view."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from seg.errors import SegError
from seg.models.base import Net
from seg.models.segmentation import LinearSegmentationNet
from seg.progress import track
from seg.results import Float32, UInt8
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec
from seg.training.autocast import autocast
from seg.training.feature_cache import Cache, Float16, Key, entry_bytes, format_bytes
from seg.training.sample_loader import Batch, SampleLoader

log = logging.getLogger("dinoseg")


def backbone_key(spec: ModelSpec) -> dict[str, Any]:
    """Returns what features depend on beside the image: names, layers, and a hash of weights."""
    return {
        "arch": spec.arch,
        "layers": spec.layers,
        "mean": spec.mean,
        "std": spec.std,
        "weights": spec.weights_id,
    }


class CachedFeatures:
    """The backbone's features of each view, from the cache; the head is trained on them.

    An image has `num_views` numbered views, drawn as `SampleLoader` draws them; an epoch takes
    one of them for each image. Features are float16, the rest of the training is as without.

    Args:
        net: Its normalization and backbone are run, its head is not.
        batches: Draws images and views.
        num_views: Views of each image.
        cache: Keeps what was computed.
        device: Where `net` is.
        precision: `float32` or `bfloat16`, for views; validation images take float32, as always.
    """

    def __init__(
        self,
        net: LinearSegmentationNet,
        batches: SampleLoader,
        num_views: int,
        cache: Cache,
        device: torch.device,
        precision: str,
    ) -> None:
        self.net, self.batches, self.num_views = net, batches, num_views
        self.cache = cache
        self.device, self.precision = device, precision

    def precompute(self) -> None:
        """Computes what the cache lacks of the views; says first how much that is.

        Raises:
            ArtifactError: The disk has no room, or cannot be written to.
        """
        views = [(i, k) for i in range(len(self.batches.samples)) for k in range(self.num_views)]
        missing = [(i, k) for i, k in views if self.cache.find(self._key(i, k)) is None]
        needed = len(missing) * self._bytes_of_a_view()
        free = self.cache.reserve(needed)
        log.info(
            "features of %d views, %d kept from before; %s more into %s, %s are free",
            len(views), len(views) - len(missing),
            format_bytes(needed), self.cache.folder, format_bytes(free),
        )  # fmt: skip
        # Two runs at once start at different places, and each skips what the other has made.
        start = os.getpid() % max(1, len(missing))
        order = missing[start:] + missing[:start]
        for index, number in track(order, "computing features"):
            self.view(index, number)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yields an epoch's batches; they depend on the seed and on `number` alone.

        Yields:
            float16 `(B, C, h, w)` features, and int64 `(B, H, W)` with `IGNORE` outside.
        """
        size = self.batches.config.data.batch
        rng = np.random.default_rng([self.batches.config.optim.seed, number])
        order = self.batches.order(rng)
        numbers = rng.integers(self.num_views, size=len(order)).tolist()
        drawn = list(zip(order, numbers, strict=True))
        for start in range(0, len(drawn), size):
            entries = [self.view(*view) for view in drawn[start : start + size]]
            features = torch.from_numpy(np.stack([maps for maps, _ in entries]))
            labels = torch.from_numpy(np.stack([labels for _, labels in entries]))
            yield Batch(features.permute(0, 3, 1, 2), labels.long())  # (B, h, w, C) -> (B, C, h, w)

    def logits(self, net: Net, inputs: Tensor) -> list[Tensor]:
        """Runs the head of a network in training on a batch's features."""
        return [cast(LinearSegmentationNet, net).head(inputs.float())]

    def runtime(self, net: Net, spec: ModelSpec, device: torch.device) -> TorchRuntime:
        """Returns the network as validation runs it, from cached features."""
        return CachedRuntime(cast(LinearSegmentationNet, net), spec, device, self)

    def view(self, index: int, number: int) -> tuple[Float16, UInt8]:
        """Returns features `(h, w, C)` and labels `(H, W)` of one of an image's views."""

        def make() -> tuple[Float16, UInt8]:
            view = self.batches.view_at(index, number)
            return self._run(view.inputs, self.precision), view.labels[0].numpy().astype(np.uint8)

        return self.cache.get(self._key(index, number), make)

    def image_features(self, pixels: Float32) -> Float16:
        """Returns features `(h, w, C)` of a packed image `(1, 3, H, W)`."""

        def make() -> tuple[Float16, UInt8]:
            return self._run(torch.from_numpy(pixels), "float32"), np.empty((0, 0), np.uint8)

        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
        return self.cache.get({"pixels": digest, "canvas_hw": pixels.shape[2:]}, make)[0]

    def _key(self, index: int, number: int) -> Key:
        return {**self.batches.key(index, number), "precision": self.precision}

    def _bytes_of_a_view(self) -> int:
        height, width = self.batches.letterbox.canvas_hw
        patch = self.net.backbone.stride
        grid = height // patch, width // patch, sum(self.net.backbone.channels)
        return entry_bytes(grid, (height, width))

    def _run(self, images: Tensor, precision: str) -> Float16:
        # One image at a time: with others beside it the last bits may come out otherwise.
        with torch.inference_mode(), autocast(self.device, precision):
            maps = self.net.features(images.to(self.device))[0]
        # Contiguous, as it comes from a file: another layout is another order of summing up.
        features: Float16 = maps.permute(1, 2, 0).to(torch.float16).contiguous().cpu().numpy()
        if not np.isfinite(features).all():
            raise SegError("A feature does not fit into float16; train with --no-cache.")
        return features


class CachedRuntime(TorchRuntime):
    """A network whose backbone's share comes from the cache; computed where it is not there yet.

    Args:
        net: The network that is evaluated; only its head runs.
        spec: What the network is.
        device: Where the head runs.
        features: The cache, and the backbone behind it.
    """

    def __init__(
        self,
        net: LinearSegmentationNet,
        spec: ModelSpec,
        device: torch.device,
        features: CachedFeatures,
    ) -> None:
        super().__init__(net.head, spec, device)
        self.features, self.offers_tensors = features, False  # the cache is the processor's
        self.description += ", features cached in float16"

    def _run(self, images: Float32) -> Mapping[str, Float32]:
        maps = [self.features.image_features(image[None]).transpose(2, 0, 1) for image in images]
        return super()._run(np.stack(maps).astype(np.float32))
