"""The tasks that can be trained: a sub-command of train.py each."""

from seg.training.commands import Command
from seg.training.tasks.distillation_config import DistillationConfig
from seg.training.tasks.segmentation_config import SegmentationConfig

# The modules with the tasks import torch, so they are named here and imported when one is trained.
COMMANDS = {
    "segment": Command(
        summary="a segmentation network from images and masks",
        config=SegmentationConfig,
        task="seg.training.tasks.segmentation:SegmentationTask",
        archs=("dinov2_vits14", "lite"),
    ),
    "distill": Command(
        summary="a student from what trained segmentation networks predict",
        config=DistillationConfig,
        task="seg.training.tasks.distillation:DistillationTask",
        archs=("lite", "dinov2_vits14"),
        arch_flag="student",
    ),
}
