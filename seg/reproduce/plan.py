"""The plan: steps that train DINOv2's heads and measure them, and the rows of the results."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from seg.files.default_artifacts import DEFAULT_MODEL
from seg.reproduce.steps import Step

# For --quick: every training is short and every number meaningless.
QUICK_HEAD = ("--epochs", "1", "--views", "1", "--samples", "12", "--batch", "4", "--warmup", "1")
QUICK_CLASSES = ("--epochs", "1", "--imgsz", "56", "56")
QUICK_LITE = ("--epochs", "1", "--samples", "8", "--batch", "4", "--crop", "64", "64")
RECIPES = ("tutorial", "dinov2")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReproduceConfig:
    """What to reproduce, and with what.

    Attributes:
        data: Penn-Fudan, or another data set that `train.py` takes.
        backbone: DINOv2's weights in the official format.
        arch: The official name that they belong to.
        imgsz: Width and height of the box that images are fitted into.
        images: Images without labels for the distillation, as `train.py distill` takes them.
        classes: A folder for each class, to measure neighbors and classifiers on; None: not done.
        folder: Where everything is kept.
        device: As `train.py` takes it.
        quick: Whether trainings are cut short, to test the steps themselves.
    """

    data: Path
    backbone: Path
    arch: str
    imgsz: tuple[int, int]
    images: tuple[Path, ...]
    classes: Path | None
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
class ResultRow:
    """A line of the results.

    Attributes:
        model: What is measured, human-readable.
        size: How images are fitted, human-readable.
        evaluation: The step whose JSON has the scores.
        training: The step that trained the model; None: it was not trained here.
    """

    model: str
    size: str
    evaluation: Step
    training: Step | None


def plan(config: ReproduceConfig) -> tuple[list[Step], list[ResultRow]]:
    """Returns the steps, in order, and the rows of the table."""
    trainings = {name: _training(name, config) for name in RECIPES}
    main = trainings["dinov2"]
    wide, distilled = _export(main, config), _distillation(main, config)
    square = "x".join(map(str, config.imgsz))
    at_16_9 = "x".join(map(str, config.wide))
    rows = [
        ResultRow(
            model=f"{config.arch}, recipe {name}, {which}",
            size=square,
            evaluation=_evaluation(f"{name}-{stem}", step.output.with_name(f"{stem}.pt"), config),
            training=step,
        )
        for name, step in trainings.items()
        for stem, which in (("last", "last epoch"), ("best_iou", "best epoch by these images"))
    ]
    rows += [
        ResultRow(
            model=f"{config.arch}, recipe dinov2, last epoch, exported to ONNX",
            size=f"{at_16_9}, 16:9",
            evaluation=_evaluation("dinov2-wide", wide.output, config),
            training=main,
        ),
        ResultRow(
            model=f"{config.arch}, recipe dinov2, last epoch, --tta {config.tta}",
            size=square,
            evaluation=_evaluation("dinov2-tta", main.output, config, ("--tta", str(config.tta))),
            training=main,
        ),
        ResultRow(
            model=f"lite as shipped, {DEFAULT_MODEL.name}",
            size="640x640",
            evaluation=_evaluation("lite-shipped", DEFAULT_MODEL, config),
            training=None,
        ),
        ResultRow(
            model="lite, distilled from recipe dinov2, last epoch",
            size=square,
            evaluation=_evaluation("lite-distilled", distilled.output, config),
            training=distilled,
        ),
    ]
    made = [*trainings.values(), wide, distilled]
    return [*made, *(row.evaluation for row in rows)], rows


def plan_classification(config: ReproduceConfig) -> tuple[list[Step], list[ResultRow]]:
    """Returns the steps that measure neighbors and classifiers; none without `config.classes`."""
    if config.classes is None:
        return [], []
    embed = config.folder / "embed.pt"
    made = Step(
        name="embed",
        command=(
            *("export/from_official.py", "--arch", config.arch, "--backbone"),
            *(str(config.backbone), "--output", str(embed), "--overwrite"),
        ),
        output=embed,
        inputs=(config.backbone,),
    )
    rows = [
        ResultRow(
            model=f"{config.arch}, 20 nearest neighbors",
            size="224x224",
            evaluation=_evaluation("knn", embed, config, ("--knn",), config.classes),
            training=None,
        )
    ]
    trainings = {
        "frozen, head linear": _classifier("frozen", config),
        "frozen, head linear4": _classifier("frozen4", config, ("--head", "linear4")),
        "fine-tuned": _classifier("finetuned", config, ("--finetune",)),
    }
    rows += [
        ResultRow(
            model=f"{config.arch}, {name}, last epoch",
            size="224x224",
            evaluation=_evaluation(step.name, step.output, config, data=config.classes),
            training=step,
        )
        for name, step in trainings.items()
    ]
    return [made, *trainings.values(), *(row.evaluation for row in rows)], rows


def _classifier(name: str, config: ReproduceConfig, more: Sequence[str] = ()) -> Step:
    output, cache = config.folder / name, config.folder / "cache" / name
    words = ["--data", str(config.classes), "--arch", config.arch, "--backbone"]
    words += [str(config.backbone), *more, *(QUICK_CLASSES if config.quick else ())]
    words += ["--device", config.device, "--cache-dir", str(cache)]
    assert config.classes is not None
    return Step(
        name=f"classify-{name}",
        command=("train.py", "classify", *words, "--output", str(output)),
        output=output / "last.pt",
        inputs=(config.classes, config.backbone),
        resumes=True,
        scratch=cache,
    )


def _training(name: str, config: ReproduceConfig) -> Step:
    # A cache of its own: features left by another run would make the minutes too few.
    output, cache = config.folder / name, config.folder / "cache" / name
    words = ["--data", str(config.data), "--arch", config.arch, "--backbone"]
    words += [str(config.backbone), "--recipe", name, "--imgsz", *map(str, config.imgsz)]
    words += [*(QUICK_HEAD if config.quick else ()), "--device", config.device]
    words += ["--cache-dir", str(cache)]
    return Step(
        name=f"train-{name}",
        command=("train.py", *words, "--output", str(output)),
        output=output / "last.pt",
        inputs=(config.data, config.backbone),
        resumes=True,
        scratch=cache,
    )


def _distillation(teacher: Step, config: ReproduceConfig) -> Step:
    output, cache = config.folder / "distilled", config.folder / "cache" / "distilled"
    words = ["--teacher", str(teacher.output), "--student", "lite", "--data", str(config.data)]
    words += ["--images", *map(str, config.images)] if config.images else []
    words += ["--imgsz", *map(str, config.imgsz), *(QUICK_LITE if config.quick else ())]
    words += ["--device", config.device, "--cache-dir", str(cache)]
    return Step(
        name="distill",
        command=("train.py", "distill", *words, "--output", str(output)),
        output=output / "last.pt",
        inputs=(config.data, teacher.output, *config.images),
        resumes=True,
        scratch=cache,
    )


def _export(training: Step, config: ReproduceConfig) -> Step:
    output = config.folder / "dinov2-wide.onnx"
    words = ["--model", str(training.output), "--output", str(output)]
    return Step(
        name="export-wide",
        command=("export/to_onnx.py", *words, "--imgsz", *map(str, config.wide)),
        output=output,
        inputs=(training.output,),
    )


def _evaluation(
    name: str,
    model: Path,
    config: ReproduceConfig,
    more: Sequence[str] = (),
    data: Path | None = None,
) -> Step:
    """Measures a model; `data` None takes the images with masks."""
    data, output = data or config.data, config.folder / f"{name}.json"
    words = ["--data", str(data), "--model", str(model), *more]
    words += ["--device", config.device, "--json", str(output)]
    return Step(
        name=f"evaluate-{name}",
        command=("apps/evaluate.py", *words),
        output=output,
        inputs=(data, model),
    )
