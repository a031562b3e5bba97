"""Self-supervised pre-training of backbones, the DINOv2 method (Oquab et al., 2023).

>>> import seg.pretraining                                              # doctest: +SKIP
>>> seg.pretraining.train(out="runs/mine", data="photos", model="dinov2/vitt14")  # doctest: +SKIP
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def train(
    *,
    out: str | Path,
    data: str | Path | Sequence[str | Path],
    model: str = "dinov2/vits14",
    method_args: Mapping[str, Any] | None = None,
    transform_args: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Pre-trains a backbone on images without labels.

    Args:
        out: Folder of the run.
        data: Folders of images, or `.txt` files that list them.
        model: Such as `dinov2/vits14`, or `dinov2/vitt14` for a CPU.
        method_args: Of `seg.pretraining.method_args.MethodArgs`.
        transform_args: Of `seg.data.multicrop_args.TransformArgs`.
        options: Of `seg.pretraining.config.PretrainConfig`, such as `steps` and `batch`.

    Returns:
        The backbone's file in the official format, which every `--backbone` takes.

    Raises:
        SegError: A choice, the data or the disk makes it impossible.
    """
    from seg.pretraining.launch import train_from

    several = (data,) if isinstance(data, (str, Path)) else data
    values = {
        "out": str(out),
        "data": tuple(str(one) for one in several),
        "model": model,
        "method_args": method_args or {},
        "transform_args": transform_args or {},
    }
    return train_from(values | options)
