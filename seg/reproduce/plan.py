"""Plan: the steps that train DINOv2's heads here and measure them, and the rows that they fill."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from seg.files.default_artifacts import DEFAULT_MODEL
from seg.reproduce.steps import Step

# What makes every training short and every number meaningless.
QUICK_HEAD = ("--epochs", "1", "--views", "1", "--samples", "12", "--batch", "4", "--warmup", "1")
QUICK_LITE = ("--epochs", "1", "--samples", "8", "--batch", "4", "--crop", "64", "64")
RECIPES = ("seed", "dinov2")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What a reproduction is about.

    Attributes:
        data: Penn-Fudan, or another data set that `train.py` takes.
        backbone: DINOv2's weights in the official format.
        arch: The official name that they belong to.
        imgsz: Width and height of the box that images are fitted into.
        images: Images without labels for the distillation, as `train.py distill` takes them.
        folder: Where everything is kept.
        device: As `train.py` takes it.
        quick: Whether trainings are cut so short that only the steps themselves are tried.
    """

    data: Path
    backbone: Path
    arch: str
    imgsz: tuple[int, int]
    images: tuple[Path, ...]
    folder: Path
    device: str
    quick: bool

    @property
    def wide(self) -> tuple[int, int]:
        """The box of the same width at 16:9."""
        return self.imgsz[0], round(self.imgsz[0] * 9 / 16)

    @property
    def tta(self) -> int:
        """Scales of the test-time averaging: all five, as the official evaluation."""
        return 1 if self.quick else 5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line of the results.

    Attributes:
        model: What is measured, for people.
        size: How images are fitted, for people.
        evaluation: The step whose JSON has the scores.
        training: The step whose minutes made the model; None: it was not trained here.
    """

    model: str
    size: str
    evaluation: Step
    training: Step | None


def plan(choices: Choices) -> tuple[list[Step], list[Row]]:
    """Returns the steps, in order, and the rows of the table."""
    trainings = {name: _training(name, choices) for name in RECIPES}
    main = trainings["dinov2"]
    wide, distilled = _export(main, choices), _distillation(main, choices)
    square = "x".join(map(str, choices.imgsz))
    at_16_9 = "x".join(map(str, choices.wide))
    rows = [
        Row(
            model=f"{choices.arch}, recipe {name}, {which}",
            size=square,
            evaluation=_evaluation(f"{name}-{stem}", step.makes.with_name(f"{stem}.pt"), choices),
            training=step,
        )
        for name, step in trainings.items()
        for stem, which in (("last", "last epoch"), ("best_iou", "best epoch by these images"))
    ]
    rows += [
        Row(
            model=f"{choices.arch}, recipe dinov2, last epoch, exported to ONNX",
            size=f"{at_16_9}, 16:9",
            evaluation=_evaluation("dinov2-wide", wide.makes, choices),
            training=main,
        ),
        Row(
            model=f"{choices.arch}, recipe dinov2, last epoch, --tta {choices.tta}",
            size=square,
            evaluation=_evaluation("dinov2-tta", main.makes, choices, ("--tta", str(choices.tta))),
            training=main,
        ),
        Row(
            model=f"lite as shipped, {DEFAULT_MODEL.name}",
            size="640x640",
            evaluation=_evaluation("lite-shipped", DEFAULT_MODEL, choices),
            training=None,
        ),
        Row(
            model="lite, distilled from recipe dinov2, last epoch",
            size=square,
            evaluation=_evaluation("lite-distilled", distilled.makes, choices),
            training=distilled,
        ),
    ]
    made = [*trainings.values(), wide, distilled]
    return [*made, *(row.evaluation for row in rows)], rows


def _training(name: str, choices: Choices) -> Step:
    # A cache of its own: features left by another run would make the minutes too few.
    output, cache = choices.folder / name, choices.folder / "cache" / name
    words = ["--data", str(choices.data), "--arch", choices.arch, "--backbone"]
    words += [str(choices.backbone), "--recipe", name, "--imgsz", *map(str, choices.imgsz)]
    words += [*(QUICK_HEAD if choices.quick else ()), "--device", choices.device]
    words += ["--cache-dir", str(cache)]
    return Step(
        name=f"train-{name}",
        command=("train.py", *words, "--output", str(output)),
        makes=output / "last.pt",
        needs=(choices.data, choices.backbone),
        resumes=True,
        scratch=cache,
    )


def _distillation(teacher: Step, choices: Choices) -> Step:
    output, cache = choices.folder / "distilled", choices.folder / "cache" / "distilled"
    words = ["--teacher", str(teacher.makes), "--student", "lite", "--data", str(choices.data)]
    words += ["--images", *map(str, choices.images)] if choices.images else []
    words += ["--imgsz", *map(str, choices.imgsz), *(QUICK_LITE if choices.quick else ())]
    words += ["--device", choices.device, "--cache-dir", str(cache)]
    return Step(
        name="distill",
        command=("train.py", "distill", *words, "--output", str(output)),
        makes=output / "last.pt",
        needs=(choices.data, teacher.makes, *choices.images),
        resumes=True,
        scratch=cache,
    )


def _export(training: Step, choices: Choices) -> Step:
    output = choices.folder / "dinov2-wide.onnx"
    words = ["--model", str(training.makes), "--output", str(output)]
    return Step(
        name="export-wide",
        command=("export/to_onnx.py", *words, "--imgsz", *map(str, choices.wide)),
        makes=output,
        needs=(training.makes,),
    )


def _evaluation(name: str, model: Path, choices: Choices, more: Sequence[str] = ()) -> Step:
    output = choices.folder / f"{name}.json"
    words = ["--data", str(choices.data), "--model", str(model), *more]
    words += ["--device", choices.device, "--json", str(output)]
    return Step(
        name=f"evaluate-{name}",
        command=("apps/evaluate.py", *words),
        makes=output,
        needs=(choices.data, model),
    )
