"""Teacher: what trained models say of the images that a student learns from."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from seg.data.samples import IGNORE, Sample
from seg.errors import SpecMismatch
from seg.files.checksum import sha256_of
from seg.imaging.letterbox import Letterbox, Size, hw_of, resize
from seg.predictors.segmenter import Segmenter
from seg.progress import track
from seg.results import Float32, UInt8
from seg.training.feature_cache import Cache, Float16, Key
from seg.training.losses import SOFT_STEP

COARSER = 4  # the teacher's scores are kept on a grid so much coarser than the fitted image
OPENING = 0.025  # of the fitted image's long side: thinner places are edges, not people


class Teacher:
    """One model or several, whose mean probabilities are the target.

    Each sees an image once and whole, at its own size, so every view of the image, whatever its
    scale, has the same target.

    Args:
        models: Any artifacts: checkpoints, ONNX files, engines.
        classes: The student's classes, which must be theirs.
        input_hw: The student's box.
        device: Where they run.
        cache: Folder of their predictions.

    Raises:
        ArtifactError: A file is missing or damaged.
        SpecMismatch: A teacher has other classes.
    """

    def __init__(
        self,
        models: Sequence[Path],
        classes: tuple[str, ...],
        input_hw: Size,
        device: str,
        cache: Path,
    ) -> None:
        self.segmenters = [Segmenter(path, device) for path in models]
        for path, segmenter in zip(models, self.segmenters, strict=True):
            if segmenter.classes != classes:
                raise SpecMismatch(
                    f"--teacher {path} knows {', '.join(segmenter.classes)}; the student is to "
                    f"learn {', '.join(classes)}. Name the teacher's classes with --classes."
                )
        self.input_hw = input_hw
        self.files = [sha256_of(path) for path in models]
        self.cache = Cache(cache, {"arch": "teacher", "files": self.files})

    def log_probs(self, image: UInt8, digest: str) -> UInt8:
        """Returns the log-probabilities of an image's pixels.

        Args:
            image: uint8 `(H, W, 3)` BGR, as it is on disk.
            digest: Hash of the image.

        Returns:
            uint8 `(h, w, C)` on a coarser grid: 0 is certainty, each step is -0.05.
        """

        def make() -> tuple[Float16, UInt8]:
            return self._predict(image), np.empty((0, 0), np.uint8)

        log_p, _ = self.cache.get(self._key(digest), make)
        return np.clip(np.round(log_p / -SOFT_STEP), 0, IGNORE - 1).astype(np.uint8)

    def precompute(self, samples: Sequence[Sample], digests: Sequence[str]) -> None:
        """Predicts every image that the cache lacks."""
        pairs = zip(samples, digests, strict=True)
        for sample, digest in track(pairs, "asking the teacher", len(samples)):
            if self.cache.find(self._key(digest)) is None:
                self.log_probs(sample.load()[0], digest)

    def description(self) -> str:
        """Human-readable: what teaches."""
        return "; ".join(segmenter.description for segmenter in self.segmenters)

    def _key(self, digest: str) -> Key:
        return {"image": digest, "input_hw": self.input_hw}

    def _predict(self, image: UInt8) -> Float16:
        grid = Letterbox.fit(
            hw_of(image), (self.input_hw[0] // COARSER, self.input_hw[1] // COARSER), 1
        )
        means: list[Float32] = []
        for segmenter in self.segmenters:
            (look,) = segmenter.predict_logits(image)
            maps = np.stack([resize(look.to_frame(one), grid.image_hw) for one in look.logits])
            shifted = np.exp(maps - maps.max(0))
            means.append(shifted / shifted.sum(0))
        mean = np.mean(means, axis=0).transpose(1, 2, 0)
        log_p: Float16 = np.log(np.maximum(mean, 1e-6)).astype(np.float16)
        return log_p


def resize_targets(scores: UInt8, hw: Size) -> UInt8:
    """Enlarges a teacher's scores `(h, w, C)` to an image's size, `(H, W, C)`."""
    planes = [resize(np.ascontiguousarray(plane), hw) for plane in np.moveaxis(scores, 2, 0)]
    return np.stack(planes, axis=2)


def teacher_disagreement(labels: UInt8, scores: UInt8, least: float) -> npt.NDArray[np.bool_]:
    """Finds where the labels say background and the teacher predicts another class.

    Data sets leave people unlabeled, and a student that learns them as background unlearns what
    people look like. Thin seams along the labeled do not count: the teacher's edges are not
    better than the labels'.

    Args:
        labels: uint8 `(H, W)`.
        scores: The teacher's, uint8 `(H, W, C)`.
        least: Probability from which the teacher is believed.

    Returns:
        bool `(H, W)`: pixels that should teach nothing.
    """
    background = np.exp(scores[..., 0] * np.float32(-SOFT_STEP))
    other = ((background <= 1 - least) & (labels == 0)).astype(np.uint8)
    width = max(3, round(OPENING * max(labels.shape)) | 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    # Opened, so that seams go, and then grown, so that no rim of the found is left as background.
    core = cv2.morphologyEx(other, cv2.MORPH_OPEN, disc)
    found: npt.NDArray[np.bool_] = (cv2.dilate(core, disc) > 0) & (labels == 0)
    return found
