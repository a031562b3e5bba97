"""`open_predictor` reads what a model is for and opens it with that task's predictor."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from seg.errors import SpecMismatch
from seg.files.default_artifacts import DEFAULT_MODEL
from seg.imaging.letterbox import Size
from seg.kinds import Device
from seg.predictors.base import Predictor
from seg.predictors.classifier import Classifier
from seg.predictors.embedder import Embedder
from seg.predictors.segmenter import Segmenter
from seg.runtimes.base import Runtime
from seg.runtimes.open import open_runtime
from seg.spec import ModelSpec

# A new task adds its line.
PREDICTORS: dict[str, type[Predictor[Any]]] = {
    Segmenter.task: Segmenter,
    Embedder.task: Embedder,
    Classifier.task: Classifier,
}


def open_predictor(
    model: str | Path | Runtime = DEFAULT_MODEL,
    device: str = Device.AUTO,
    input_hw: Size | None = None,
    *,
    task: str | None = None,
    runtime: str | None = None,
    precision: str | None = None,
    modes: Collection[str] = (),
    **options: Any,
) -> Predictor[Any]:
    """Opens a model with the predictor of its task.

    Args:
        model: As of `Predictor`.
        device: As of `Predictor`.
        input_hw: As of `Predictor`.
        task: Which of the model's tasks; None takes its only one.
        runtime: As of `Predictor`.
        precision: As of `Predictor`.
        modes: As of `Predictor`.
        options: What the task's predictor takes beyond these, such as `tta`.

    Raises:
        SpecMismatch: The model is not for that task, or its predictor lacks an option.
        SegError: As `Predictor` and its options say.
    """
    opened = model if isinstance(model, Runtime) else None
    if not isinstance(model, Runtime):
        model = open_runtime(model, device, runtime, precision, modes)
    try:
        kind = _predictor(model.spec, task)
        if unknown := sorted(set(options) - set(kind.options)):
            raise SpecMismatch(f"A model for {kind.task} takes no {', '.join(unknown)}.")
        predictor = kind(model, input_hw=input_hw, **options)
    except Exception:
        if opened is None:
            model.close()
        raise
    predictor.owns_runtime = opened is None
    return predictor


def _predictor(spec: ModelSpec, task: str | None) -> type[Predictor[Any]]:
    tasks = [task] if task else list(dict.fromkeys(output.task for output in spec.outputs))
    if len(tasks) > 1:
        raise SpecMismatch(f"This model is for {' and '.join(tasks)}; choose one of them.")
    if tasks[0] not in PREDICTORS:
        raise SpecMismatch(
            f"Nothing here predicts {tasks[0]}; expected one of {', '.join(PREDICTORS)}."
        )
    return PREDICTORS[tasks[0]]
