"""The tasks that can be trained: a sub-command of train.py each."""

from seg.training.commands import Command
from seg.training.tasks.classification_config import ClassificationConfig
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
    "classify": Command(
        summary="a classifier of whole images from a folder for each class",
        config=ClassificationConfig,
        task="seg.training.tasks.classification:ClassificationTask",
        archs=("dinov2_vits14",),
        variants={"frozen": {"finetune": False}, "finetuned": {"finetune": True}},
    ),
    "distill": Command(
        summary="a student from what trained segmentation networks predict",
        config=DistillationConfig,
        task="seg.training.tasks.distillation:DistillationTask",
        archs=("lite", "dinov2_vits14"),
        arch_flag="student",
    ),
}
