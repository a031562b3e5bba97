"""Configurations and trainers as tests make them."""

from pathlib import Path

import torch

from seg.data import open_dataset
from seg.training.commands import config_of
from seg.training.run import Run
from seg.training.tasks import COMMANDS
from seg.training.tasks.segmentation import SegmentationTask
from seg.training.tasks.segmentation_config import LITE, SegmentationConfig
from seg.training.trainer import Trainer
from train import build_parser

TINY = SegmentationConfig.for_arch("tiny").with_changes(
    {"backbone": "random", "input_hw": (84, 84), "batch": 4, "precision": "float32"}
)
SMALL_LITE = LITE.with_changes(
    {"input_hw": (96, 96), "crop_hw": (64, 64), "batch": 4, "samples": 8}
)


def config_from(words, command="segment"):
    """Reads a command line."""
    args = build_parser(COMMANDS[command]).parse_args(words)
    return config_of(COMMANDS[command], args)


def make_trainer(config, data, folder, cache=None):
    """Makes what trains on data sets, or on the one of a folder."""
    sets = data if isinstance(data, list) else [open_dataset(str(data))]
    task = SegmentationTask(config, sets, torch.device("cpu"), cache)
    return Trainer(task, Run(Path(folder), task.monitor))
