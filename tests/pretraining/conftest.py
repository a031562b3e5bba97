"""What the original code computed, as tensors; a small data set; a training of seconds."""

import cv2
import numpy as np
import pytest
import torch

METHOD = {"output_dim": 64, "hidden_dim": 32, "dino_bottleneck_dim": 16, "drop_path_rate": 0.0}
METHOD["layer_scale_init"] = 1.0  # so that features of few steps differ
VIEWS = {"image_size": [42, 42], "local_view": {"view_size": [28, 28], "num_views": 2}}
FLAGS = [
    *("--model", "vitt14", "--batch", "4", "--log-every", "1", "--device", "cpu"),
    *("--precision", "float32", "--method-args"),
    *(f"{name}={value}" for name, value in METHOD.items()),
    *("--transform-args", "image_size=[42,42]"),
    *("local_view.view_size=[28,28]", "local_view.num_views=2"),
]


@pytest.fixture(scope="session")
def arrays(golden):
    """Reads a golden file's arrays."""

    def load(stem):
        with np.load(golden / f"{stem}.npz") as file:
            return {key: torch.from_numpy(np.asarray(file[key])) for key in file}

    return load


@pytest.fixture(scope="session")
def noise(tmp_path_factory):
    """A folder of eight images of smooth noise."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for index in range(8):
        small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(small, (80, 60), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


@pytest.fixture
def pretrain(noise, tmp_path):
    """Trains for a few steps; returns the checkpoint's contents."""
    from seg.models.checkpoint import read_checkpoint
    from seg.pretraining import train

    def run(name="run", method=None, views=None, **options):
        defaults = {"steps": 2, "batch": 4, "log_every": 1, "device": "cpu", "data": noise}
        defaults |= {"precision": "float32", "model": "dinov2/vitt14"}
        train(
            out=tmp_path / name,
            method_args=METHOD | (method or {}),
            transform_args=VIEWS | (views or {}),
            **(defaults | options),
        )
        return read_checkpoint(tmp_path / name / "last.pt")

    return run
