"""The images of a pre-training: which there are, in which order, and their views."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from seg.data.augment_multicrop import MultiCrop
from seg.data.dataset_string import DataOptions
from seg.data.multicrop_args import TransformArgs
from seg.data.segmentation_folders import find_images
from seg.errors import DataError
from seg.imaging.image_io import read_image
from seg.imaging.letterbox import to_network
from seg.pretraining.ranks import rank, world_size
from seg.results import UInt8

MOST_TRIES = 100
log = logging.getLogger("dinoseg")


class Views(NamedTuple):
    """The views of some images, float32 RGB 0..1.

    Attributes:
        global_views: `(2 B, 3, H, W)`, the first view of all images, then the second one.
        local_views: `(L B, 3, h, w)`, likewise; None where there are none.
        files: Which images these are.
        unreadable: Images in whose place others were taken.
    """

    global_views: Tensor
    local_views: Tensor | None
    files: list[str]
    unreadable: list[str]


def open_images(texts: Sequence[str]) -> list[Path]:
    """Finds the images of folders and of lists.

    Args:
        texts: `PATH[,only=PATTERN][,recursive]`; a path is a folder, or a `.txt` file with the
            path of an image in each line, relative to its own folder.

    Raises:
        DataError: A path is neither, or there is no image.
    """
    found: list[Path] = []
    for text in texts:
        options = DataOptions.parse(text, ("only", "recursive"))
        path = options.path
        if path.is_dir():
            found += find_images(path, options.only, options.recursive).images
        elif path.suffix == ".txt" and path.is_file():
            lines = path.read_text("utf-8", errors="surrogateescape").splitlines()
            found += [path.parent / line.strip() for line in lines if line.strip()]
        else:
            problem = "is a file" if path.exists() else "does not exist"
            raise DataError(f"--data {path} {problem}; expected a folder or a .txt list of images.")
    if not found:
        raise DataError("--data lists no images.")
    return found


class Order:
    """Which image is at which place of an endless stream: a new permutation in each epoch.

    Args:
        num_images: Number of images.
        seed: Decides the permutations.
    """

    def __init__(self, num_images: int, seed: int) -> None:
        self.num_images, self._seed = num_images, seed
        self._epoch, self._permutation = -1, np.empty(0, np.int64)

    def __getitem__(self, place: int) -> int:
        epoch, index = divmod(place, self.num_images)
        if epoch != self._epoch:
            rng = np.random.default_rng([self._seed, epoch])
            self._epoch, self._permutation = epoch, rng.permutation(self.num_images)
        return int(self._permutation[index])


class ViewLoader:
    """Draws the views of each step; they depend on the seed and on the step alone.

    Args:
        images: All images.
        args: What views look like.
        batch: Images of an optimizer step, over all processes.
        accumulate: Parts of a step.
        seed: Decides order and views.
        workers: Processes that draw.

    Raises:
        DataError: There are fewer images than a step takes.
    """

    def __init__(
        self,
        images: Sequence[Path],
        args: TransformArgs,
        batch: int,
        accumulate: int,
        seed: int,
        workers: int = 0,
    ) -> None:
        if len(images) < batch:
            raise DataError(
                f"--data has {len(images)} images and a step takes {batch}; "
                "take more images or a smaller --batch."
            )
        if batch % (accumulate * world_size()):
            raise DataError(
                f"A batch of {batch} cannot be split into {accumulate} parts for {world_size()} "
                "processes; choose a --batch that both divide."
            )
        self._batch, self._accumulate, self._workers = batch, accumulate, workers
        self._views = _ViewSet(images, args, seed)

    @property
    def part(self) -> int:
        """Images of a part of a step, over all processes."""
        return self._batch // self._accumulate

    def own_images(self) -> np.ndarray:
        """Returns the places within a part of a step that this process works on."""
        share = self.part // world_size()
        return np.arange(rank() * share, (rank() + 1) * share)

    def batches(self, first_step: int, num_steps: int) -> Iterator[Views]:
        """Yields this process's views of each part of each step, in order."""
        num_parts = (num_steps - first_step) * self._accumulate
        starts = (first_step * self._batch + index * self.part for index in range(num_parts))
        places = [[int(start + own) for own in self.own_images()] for start in starts]
        loader: DataLoader[Any] = DataLoader(
            self._views,
            batch_sampler=places,
            num_workers=self._workers,
            collate_fn=_collate,
            worker_init_fn=_one_thread,
            prefetch_factor=4 if self._workers else None,
        )
        yield from loader


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)


class _Sample(NamedTuple):
    global_views: list[UInt8]
    local_views: list[UInt8]
    file: str
    unreadable: list[str]


class _ViewSet(Dataset[_Sample]):
    def __init__(self, images: Sequence[Path], args: TransformArgs, seed: int) -> None:
        # One array instead of a million objects: a worker's copy of it stays shared.
        self._images = np.array([str(path) for path in images])
        self._order, self._crops, self._seed = Order(len(images), seed), MultiCrop(args), seed

    def __getitem__(self, place: int) -> _Sample:
        index, unreadable = self._order[place], []
        for offset in range(min(MOST_TRIES, len(self._images))):
            path = str(self._images[(index + offset) % len(self._images)])
            try:
                image = read_image(Path(path))
            except DataError:
                unreadable.append(path)
                continue
            seed = int(np.random.SeedSequence([self._seed, place]).generate_state(1)[0])
            return _Sample(*self._crops.views(image, seed), path, unreadable)
        raise DataError(
            f"{len(unreadable)} images in a row cannot be read, {unreadable[0]} is the first; "
            "check --data."
        )


def _collate(samples: Sequence[_Sample]) -> Views:
    both = [[sample.global_views[view] for sample in samples] for view in (0, 1)]
    num_local = len(samples[0].local_views)
    local = [sample.local_views[view] for view in range(num_local) for sample in samples]
    return Views(
        torch.from_numpy(to_network(both[0] + both[1])),
        torch.from_numpy(to_network(local)) if local else None,
        [sample.file for sample in samples],
        [path for sample in samples for path in sample.unreadable],
    )
