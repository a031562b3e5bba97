"""ModelSpec: the description that every model file carries.

Training writes it, export copies it, runtimes read it: no app asks for classes or a mean.
"""

import dataclasses
import json
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Self

from seg.errors import ArtifactError, SpecMismatch
from seg.kinds import Precision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
METADATA_KEY = "dinoseg.spec"
SEGMENTATION = "segmentation"
EMBEDDING = "embedding"
CLASSIFICATION = "classification"
MAX_LABELS = 255  # labels are uint8, and 255 marks pixels to ignore
MAX_SIDE = 16384
# What older files say though it was never otherwise.
LEGACY_FIELDS = {"task": "segment", "colours": "RGB"}
POSITIVE = ("input_hw", "stride", "canvas_hw", "batch", "std")
SIZES = ("input_hw", "stride", "canvas_hw")
CHOICES = {"fit": ("letterbox", "center_crop"), "input_kind": ("images", "frames")}


def tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turns lists into tuples: what JSON and the command line read into what dataclasses hold."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """One named array that a network returns.

    Attributes:
        name: The array's name in every file format, such as `logits`.
        task: What it is for, such as `segmentation`; a key of the task registries.
        classes: Class names; the index is the label. Empty where the task has none.
        mean_of: The output of which this one is the mean over all places, padding included; empty
            where it is computed otherwise. Files name it only where it is set.
        layers: The backbone layers that it is computed from, where the network reads more of them
            for others; empty: all that the network reads. Files name them only where they are set.
    """

    name: str
    task: str
    classes: tuple[str, ...] = ()
    mean_of: str = ""
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_fields(self)
        for field in ("name", "task"):
            if not getattr(self, field):
                raise _wrong(field, "", "a word")
        if self.task == CLASSIFICATION and len(self.classes) < 2:
            raise _wrong("classes", self.classes, "at least 2 names")
        if self.task == SEGMENTATION and not 1 <= len(self.classes) <= MAX_LABELS:
            raise _wrong("classes", self.classes, f"1 to {MAX_LABELS} names")


def segmentation_outputs(classes: tuple[str, ...], name: str = "logits") -> tuple[Output]:
    """Returns the outputs of a network that scores each pixel; class 0 is the background."""
    return (Output(name, SEGMENTATION, classes),)


def embedding_outputs(*, is_mean: bool = False) -> tuple[Output, Output]:
    """Returns the outputs of a network that embeds images: one vector, and one for each place.

    Args:
        is_mean: Whether the one vector is the mean of the others, as of convolutional networks.
    """
    patches = Output("patches", EMBEDDING)
    return Output("cls", EMBEDDING, mean_of=patches.name if is_mean else ""), patches


def classification_outputs(classes: tuple[str, ...]) -> tuple[Output]:
    """Returns the outputs of a network that scores the classes of a whole image."""
    return (Output("scores", CLASSIFICATION, classes),)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """What a network is, in terms that every runtime understands; checked when it is made.

    Attributes:
        arch: `lite`, or the backbone's official name, such as `dinov2_vits14`.
        outputs: What the network returns, at least one, each under its own name.
        merged: Classes beyond those of the segmentation output that the head scores; the best of
            them is the background. Empty where the head scores no others.
        input_hw: Size that an image is fitted into before it is padded, height first.
        fit: How it is fitted: `letterbox`, or `center_crop`.
        stride: Both sides of the network's input are multiples of it.
        canvas_hw: The one input size of a static graph; None where any multiple of `stride` runs.
        batch: Number of images that a static graph takes at once; None where any number runs.
        input_kind: `images`, float32 `(B, 3, H, W)` RGB 0..1; or `frames`, uint8 `(B, H, W, 3)`
            BGR, of a graph that holds its own pre- and post-processing, for other programs.
        head: Name of the head, where a task has several; empty where it has one.
        layers: Backbone blocks that the head reads, from 0; empty for `lite`.
        backbone: Where the backbone's weights come from, with their hash; empty for `lite`.
        weights_id: Hash of the weights under their official names; empty where none was taken.
        mean: Channel means in RGB, 0..1; subtracted inside the network.
        std: Channel standard deviations in RGB, 0..1; divided by inside the network.
        precision: Type of the weights in the file.
        source_sha256: Hash of the checkpoint that an exported file was made from.
        made_with: Product and library versions.

    Raises:
        ArtifactError: A field is of the wrong kind or outside its range.
    """

    arch: str
    outputs: tuple[Output, ...]
    input_hw: tuple[int, int]
    stride: int
    canvas_hw: tuple[int, int] | None = None
    batch: int | None = None
    fit: str = "letterbox"
    input_kind: str = "images"
    merged: tuple[str, ...] = ()
    head: str = ""
    layers: tuple[int, ...] = ()
    backbone: str = ""
    weights_id: str = ""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    precision: Precision = Precision.FLOAT32
    source_sha256: str = ""
    made_with: str = ""

    def __post_init__(self) -> None:
        if self.precision in list(Precision):  # also a plain string, as files have it
            object.__setattr__(self, "precision", Precision(self.precision))
        _check_fields(self)
        _check_ranges(self)

    @property
    def pad_rgb(self) -> tuple[float, float, float]:
        """Color of the padding, RGB 0..1: the mean, so it is 0 after normalization."""
        return self.mean

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the segmentation output; raises SpecMismatch as `output` does."""
        return self.output(SEGMENTATION).classes

    def output(self, task: str) -> Output:
        """Returns the one output for a task.

        Raises:
            SpecMismatch: There is none, or more than one.
        """
        found = self.outputs_for(task)
        if len(found) == 1:
            return found[0]
        names = ", ".join(output.name for output in found)
        raise SpecMismatch(f"Expected a model with one output for {task}; this one has {names}.")

    def outputs_for(self, task: str) -> tuple[Output, ...]:
        """Returns the outputs for a task, at least one; raises SpecMismatch where there is none."""
        found = tuple(output for output in self.outputs if output.task == task)
        if found:
            return found
        tasks = ", ".join(dict.fromkeys(output.task for output in self.outputs))
        raise SpecMismatch(f"Expected a model with one output for {task}; this one is for {tasks}.")

    def to_dict(self) -> dict[str, Any]:
        """Returns plain lists, numbers and strings, for a checkpoint or JSON."""
        return json.loads(self.to_json())  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """Returns one line of JSON."""
        values = dataclasses.asdict(self)
        # Without what is not set, so that older versions read the files of masks.
        for output in values["outputs"]:
            for name in ("mean_of", "layers"):
                if not output[name]:
                    del output[name]
        if not values["head"]:
            del values["head"]
        return json.dumps(values)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Builds a spec from `to_dict`'s values, or from those of older versions.

        Raises:
            ArtifactError: A field is missing, unknown or of the wrong kind.
        """
        values = tuples(_upgrade(_object(values, "spec")))
        _refuse_unknown(cls, values)
        if isinstance(values.get("outputs"), tuple):
            values["outputs"] = tuple(map(_read_output, values["outputs"]))
        try:
            return cls(**values)
        except TypeError as error:
            raise ArtifactError(f"The model's spec is incomplete: {error}.") from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Builds a spec from `to_json`'s text; raises ArtifactError as `from_dict` does."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"The model's spec is not JSON: {error}.") from error
        return cls.from_dict(values)


def _object(values: Any, name: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ArtifactError(f"The model's {name} is not a JSON object.")
    return values


def _upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """Turns the fields of older files into today's: `classes`, and `outputs` as one word."""
    values = {k: v for k, v in values.items() if k not in LEGACY_FIELDS or v != LEGACY_FIELDS[k]}
    if "classes" not in values:
        return values
    classes, name = values.pop("classes"), values.pop("outputs", "logits")
    if name not in ("logits", "mask"):
        raise _wrong("outputs", name, "logits or mask")
    kind = "frames" if name == "mask" else "images"
    output = {"name": name, "task": SEGMENTATION, "classes": classes}
    return values | {"outputs": [output], "input_kind": kind}


def _read_output(values: Any) -> Output:
    values = tuples(_object(values, "output"))
    _refuse_unknown(Output, values)
    try:
        return Output(**values)
    except TypeError as error:
        raise ArtifactError(f"The model's output is incomplete: {error}.") from error


def _refuse_unknown(kind: type[Any], values: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(kind)}
    if unknown := sorted(map(reprlib.repr, set(values) - known)):
        raise ArtifactError(
            f"The model's spec has fields this version does not know: {', '.join(unknown[:9])}. "
            "It was made by another version of dinoseg; export or train it again."
        )


def _check_fields(made: Any) -> None:
    """Raises where a field's value is not of the field's type."""
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if not _is_of(value, field.type):
            raise _wrong(field.name, value, _name_of(field.type))


def _name_of(kind: Any) -> str:
    if kind is Precision:
        return f"one of {', '.join(Precision)}"
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _check_ranges(spec: ModelSpec) -> None:
    """Raises where a value is of its type and still makes no sense."""
    for name in POSITIVE:
        if min(_numbers(spec, name), default=1) <= 0:
            raise _wrong(name, getattr(spec, name), "more than 0")
    for name in SIZES:
        if max(_numbers(spec, name), default=1) > MAX_SIDE:
            raise _wrong(name, getattr(spec, name), f"at most {MAX_SIDE}")
    for name, choices in CHOICES.items():
        if getattr(spec, name) not in choices:
            raise _wrong(name, getattr(spec, name), " or ".join(choices))
    names = [output.name for output in spec.outputs]
    if not names or len(set(names)) < len(names):
        raise _wrong("outputs", spec.outputs, "at least one, with different names")
    for output in spec.outputs:
        if output.mean_of and output.mean_of not in set(names) - {output.name}:
            raise _wrong("mean_of", output.mean_of, "the name of another output")
    if min(spec.layers, default=0) < 0:
        raise _wrong("layers", spec.layers, "0 or more")
    if any(side % spec.stride for side in spec.canvas_hw or ()):
        raise _wrong("canvas_hw", spec.canvas_hw, f"multiples of the stride, {spec.stride}")


def _numbers(spec: ModelSpec, name: str) -> tuple[float, ...]:
    value = getattr(spec, name)
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _wrong(name: str, value: object, expected: str) -> ArtifactError:
    # reprlib: a hostile value may be endless, or nested deeper than repr can follow.
    return ArtifactError(
        f"The model's spec says {name} is {reprlib.repr(value)}; expected {expected}. Export or "
        "train it again."
    )


def _is_of(value: object, kind: Any) -> bool:
    """Tells whether a value is of a field's type; a whole number is a float, too, but no bool."""
    if isinstance(kind, types.UnionType):
        return any(_is_of(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and _are_of(value, typing.get_args(kind))
    if kind is float:
        # The bound keeps out infinity, NaN and integers too large for a float.
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6
    return isinstance(value, kind) and not isinstance(value, bool)


def _are_of(values: tuple[object, ...], kinds: tuple[Any, ...]) -> bool:
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(values)
    return len(values) == len(kinds) and all(map(_is_of, values, kinds))
