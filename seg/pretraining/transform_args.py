"""The arguments of the views, read and checked."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from seg.data.multicrop_args import TransformArgs
from seg.imaging.letterbox import Size
from seg.pretraining.arguments import read_arguments, refuse_unless

log = logging.getLogger("dinoseg")


def read_transform_args(values: Mapping[str, Any], patch_size: int) -> TransformArgs:
    """Builds the arguments of the views from those that were given.

    Sizes that `patch_size` does not divide are rounded, and that is logged.

    Raises:
        SpecMismatch: There is no such argument, or its value makes no sense.
    """
    args = read_arguments(TransformArgs, values, "transform_args")
    args = dataclasses.replace(args, image_size=_rounded(args.image_size, patch_size, "image_size"))
    if local := args.local_view:
        size = _rounded(local.view_size, patch_size, "local_view.view_size")
        args = dataclasses.replace(args, local_view=dataclasses.replace(local, view_size=size))
    _check(args)
    return args


def _rounded(hw: Size, patch_size: int, name: str) -> Size:
    fitting = tuple(max(patch_size, round(side / patch_size) * patch_size) for side in hw)
    if fitting != hw:
        log.info(
            "transform_args.%s %s is not a multiple of the patch size %d; training takes %s",
            name, tuple(hw), patch_size, fitting,
        )  # fmt: skip
    return fitting[0], fitting[1]


def _check(args: TransformArgs) -> None:
    conditions = {"num_channels of 3: backbones take RGB": args.num_channels == 3}
    resizes = {"random_resize": args.random_resize}
    if local := args.local_view:
        resizes["local_view.random_resize"] = local.random_resize
        conditions["local_view.num_views of 1 or more, or local_view null"] = local.num_views >= 1
    for name, resize in resizes.items():
        text = f"0 < min_scale <= max_scale <= 1 of {name}"
        conditions[text] = 0 < resize.min_scale <= resize.max_scale <= 1
    for path, value in _leaves(dataclasses.asdict(args)):
        if path.endswith("prob") or path in ("random_gray_scale",):
            conditions[f"{path} from 0 to 1"] = 0 <= value <= 1
        if path.endswith(".threshold"):
            conditions[f"{path} from 0 to 1"] = 0 <= value <= 1
        if path.endswith(".sigmas"):
            conditions[f"0 < low <= high of {path}"] = 0 < value[0] <= value[1]
        if path == "normalize.std":
            conditions["normalize.std above 0"] = min(value) > 0
    if drop := args.channel_drop:
        conditions["channel_drop.num_channels_keep of 1 or 2"] = drop.num_channels_keep in (1, 2)
    refuse_unless(conditions, "transform_args")


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found += _leaves(value, f"{path}.")
        elif value is not None:
            found.append((path, value))
    return found
