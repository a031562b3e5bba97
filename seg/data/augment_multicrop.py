"""Random views of an image for self-supervised pre-training: two global and several local crops.

Built on albumentations, as `seg.data.augment` is.
"""

import os

import cv2
import numpy as np

# At import albumentations checks online for a newer version, unless this is set.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as alb

from seg.data.multicrop_args import (
    ChannelDrop,
    GaussianBlur,
    RandomResize,
    Solarize,
    TransformArgs,
)
from seg.imaging.letterbox import Size
from seg.results import UInt8

RATIO = (3 / 4, 4 / 3)  # of width and height of a crop, before it is resized


class MultiCrop:
    """Draws the views of an image.

    Args:
        args: What they look like.
    """

    def __init__(self, args: TransformArgs) -> None:
        self.num_local = args.local_view.num_views if args.local_view else 0
        self._drop = args.channel_drop
        self._global = [
            _view(args, args.image_size, args.random_resize, view.gaussian_blur, solarize)
            for view, solarize in (
                (args.global_view_0, args.global_view_0.solarize or args.solarize),
                (args.global_view_1, args.global_view_1.solarize),
            )
        ]
        self._local: list[alb.Compose] = []
        if local := args.local_view:
            size, resize, blur = local.view_size, local.random_resize, local.gaussian_blur
            self._local = [_view(args, size, resize, blur, args.solarize)]

    def views(self, image: UInt8, seed: int) -> tuple[list[UInt8], list[UInt8]]:
        """Draws views that depend on the image and on `seed` alone.

        Args:
            image: uint8 `(H, W, 3)` BGR; smaller than a view, it is enlarged.
            seed: Decides all of it.

        Returns:
            The two global views `(*image_size, 3)` and the local ones `(*view_size, 3)`.
        """
        rng = np.random.default_rng(seed)
        pipelines = self._global + self._local * self.num_local
        drawn = [self._draw(image, pipeline, rng) for pipeline in pipelines]
        return drawn[:2], drawn[2:]

    def _draw(self, image: UInt8, pipeline: alb.Compose, rng: np.random.Generator) -> UInt8:
        pipeline.set_random_seed(int(rng.integers(2**31)))
        view: UInt8 = pipeline(image=image)["image"]
        return _drop_channels(view, self._drop, rng) if self._drop else view


def _view(
    args: TransformArgs,
    hw: Size,
    resize: RandomResize,
    blur: GaussianBlur | None,
    solarize: Solarize | None,
) -> alb.Compose:
    scale = resize.min_scale, resize.max_scale
    steps: list[alb.BasicTransform] = [
        alb.RandomResizedCrop(hw, scale, RATIO, interpolation=cv2.INTER_CUBIC, p=1)
    ]
    if flip := args.random_flip:
        steps += [
            alb.HorizontalFlip(p=flip.horizontal_prob),
            alb.VerticalFlip(p=flip.vertical_prob),
        ]
    if rotation := args.random_rotation:
        degrees = rotation.degrees
        steps.append(alb.Rotate((-degrees, degrees), p=rotation.prob))
    if jitter := args.color_jitter:
        parts = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
        amounts = [jitter.strength * part for part in parts]
        steps.append(alb.ColorJitter(*amounts, p=jitter.prob))
    if args.random_gray_scale:
        steps.append(alb.ToGray(p=args.random_gray_scale))
    if blur:
        steps.append(alb.GaussianBlur(blur_limit=0, sigma_limit=blur.sigmas, p=blur.prob))
    if solarize:
        steps.append(alb.Solarize((solarize.threshold, solarize.threshold), p=solarize.prob))
    return alb.Compose(steps)


def _drop_channels(view: UInt8, drop: ChannelDrop, rng: np.random.Generator) -> UInt8:
    weights = np.array(drop.weight_drop[::-1])  # given for RGB, and the view is BGR
    num_dropped = 3 - drop.num_channels_keep
    dropped = rng.choice(3, num_dropped, replace=False, p=weights / weights.sum())
    kept = view.copy()
    kept[..., dropped] = 0
    return kept
