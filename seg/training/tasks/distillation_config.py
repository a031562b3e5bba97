"""DistillationConfig: how a student is trained to predict what trained models predict."""

import dataclasses
from typing import ClassVar, Self

from seg.training.config import FrozenConfig
from seg.training.options import NOT_NEGATIVE, POSITIVE, Options, option
from seg.training.tasks.segmentation_config import SegmentationConfig


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TeacherConfig(Options):
    """Who teaches, on which images without labels, and how much it counts.

    Attributes:
        teacher: Models whose mean probabilities the student learns beside the labels.
        images: Images and videos without labels, as `seg.data.unlabeled` reads them.
        distill_weight: Weight of the teacher's predictions, by their divergence and, as `dice`
            weighs it, by Dice.
        temperature: At which teacher and student are compared; above 1 unlikely classes count more.
    """

    title: ClassVar[str] = "the teacher"
    teacher: tuple[str, ...] = option(
        (), "trained models of the same classes, in any form; several are averaged",
        nargs="+", required=True, metavar="FILE", is_main=True,
    )  # fmt: skip
    images: tuple[str, ...] = option(
        (), "images without labels: folders, and videos", nargs="+", metavar="PATH", is_main=True
    )
    distill_weight: float = option(
        1.0, "weight of the teacher's predictions beside the labels", float, NOT_NEGATIVE
    )
    temperature: float = option(2.0, "of the comparison with the teacher", float, POSITIVE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DistillationConfig(SegmentationConfig):
    """How a student is trained.

    Attributes:
        teaching: Its teacher.
    """

    teaching: TeacherConfig = dataclasses.field(default_factory=TeacherConfig)

    def conflicts(self) -> list[tuple[str, str]]:
        """Returns what does not fit together; see `Options`."""
        wrong = SegmentationConfig.conflicts(self)
        if isinstance(self.model, FrozenConfig) and self.model.views:
            # The cache keeps labels, not the teacher's probabilities.
            wrong.append(("views", "0 to learn from a teacher"))
        return wrong

    def has_loss(self) -> bool:
        """Tells whether there is anything to minimize."""
        return self.teaching.distill_weight > 0 or SegmentationConfig.has_loss(self)

    @classmethod
    def _composed(cls, config: SegmentationConfig) -> Self:
        """Takes over the parts of a configuration; a student's views are new in each epoch."""
        if isinstance(config.model, FrozenConfig):
            config = config.with_changes({"views": 0})
        parts = config.model, config.data, config.losses, config.optim
        return cls(model=parts[0], data=parts[1], losses=parts[2], optim=parts[3])
