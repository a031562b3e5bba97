"""Block masking (Bao et al., 2022) of the student's global crops, as DINOv2 draws it."""

import math

import numpy as np
from numpy.typing import NDArray

from seg.imaging.letterbox import Size

MIN_BLOCK = 4  # patches
ASPECT = 0.3  # a block's height over its width is from this to its inverse
TRIES = 10

Bools = NDArray[np.bool_]


def block_mask(rng: np.random.Generator, grid_hw: Size, count: int, max_block: int) -> Bools:
    """Draws rectangles until about `count` patches are covered, and never more.

    Args:
        rng: Decides all of it.
        grid_hw: Patches of a crop, `(h, w)`.
        count: Patches to mask.
        max_block: Largest number of patches that one rectangle adds.

    Returns:
        bool `(h, w)`, true where masked. It may fall short where the last patches have no
        rectangle that fits.
    """
    mask = np.zeros(grid_hw, bool)
    while (left := count - int(mask.sum())) > 0:
        if not _add_block(rng, mask, min(left, max_block)):
            break
    return mask


def _add_block(rng: np.random.Generator, mask: Bools, most: int) -> bool:
    height, width = mask.shape
    low, high = math.log(ASPECT), -math.log(ASPECT)
    for _ in range(TRIES):
        area = MIN_BLOCK + (most - MIN_BLOCK) * rng.random()  # `most` may be the smaller one
        aspect = math.exp(rng.uniform(low, high))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if h >= height or w >= width:
            continue
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        block = mask[top : top + h, left : left + w]
        if 0 < block.size - int(block.sum()) <= most:
            block[:] = True
            return True
    return False


def mask_counts(
    rng: np.random.Generator,
    num_crops: int,
    num_patches: int,
    probability: float,
    ratio: tuple[float, float],
) -> NDArray[np.int64]:
    """Decides how many patches of each crop of a batch are masked.

    Exactly the share `probability` of the crops is masked. Their ratios are spread evenly: one is
    drawn in each of as many equal parts of `ratio`.

    Args:
        rng: Decides all of it.
        num_crops: Global crops of the batch.
        num_patches: Patches of a crop.
        probability: Share of the crops that are masked, 0..1.
        ratio: Smallest and largest share of a masked crop's patches.

    Returns:
        int64 `(num_crops,)`, in random order.
    """
    num_masked = int(num_crops * probability)
    edges = np.linspace(*ratio, num_masked + 1)
    counts = np.zeros(num_crops, np.int64)
    counts[:num_masked] = (num_patches * rng.uniform(edges[:-1], edges[1:])).astype(np.int64)
    rng.shuffle(counts)
    return counts


def masks_of_crops(
    seed: tuple[int, ...],
    crops: NDArray[np.int64],
    num_crops: int,
    grid_hw: Size,
    probability: float,
    ratio: tuple[float, float],
) -> Bools:
    """Draws the masks of some crops of a batch; each depends on `seed` and its place alone.

    So processes that share a batch draw what one process would draw for all of it.

    Args:
        seed: Of the batch.
        crops: Places of the crops to draw for.
        num_crops: Crops of the whole batch.
        grid_hw: Patches of a crop, `(h, w)`.
        probability: As of `mask_counts`.
        ratio: As of `mask_counts`.

    Returns:
        bool `(len(crops), h * w)`.
    """
    num_patches = grid_hw[0] * grid_hw[1]
    rng = np.random.default_rng([*seed, 0])
    counts = mask_counts(rng, num_crops, num_patches, probability, ratio)
    most = num_patches // 2
    masks = [
        block_mask(np.random.default_rng([*seed, 1, int(crop)]), grid_hw, int(counts[crop]), most)
        for crop in crops
    ]
    return np.stack(masks).reshape(len(crops), num_patches)
