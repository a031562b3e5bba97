"""ModelSpec: what an artifact says of itself.

Training writes it, export copies it, runtimes read it: no app asks for classes or a mean.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Self

from seg.errors import ArtifactError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
METADATA_KEY = "dinoseg.spec"
POSITIVE = ("input_hw", "stride", "canvas_hw", "batch", "std")
# What older files say of themselves though it was never otherwise.
RETIRED = {"task": "segment", "colours": "RGB"}


def tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turns lists into tuples: what JSON and the command line read into what dataclasses hold."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """What a network is, in terms that every runtime understands.

    Attributes:
        arch: `lite`, or the backbone's official name, such as `dinov2_vits14`.
        classes: Class names; the index is the label. Index 0 is the background.
        merged: Classes beyond `classes` that the head scores; the best of them is the background.
            Empty where the head scores `classes`.
        input_hw: Size that a picture is fitted into before it is padded, height first.
        stride: Both sides of the network's input are multiples of it.
        canvas_hw: The one input size of a static graph; None where any multiple of `stride` runs.
        layers: Backbone blocks that the head reads, from 0; empty for `lite`.
        backbone: Where the backbone's weights come from, with their hash; empty for `lite`.
        mean: Channel means in RGB, 0..1; subtracted inside the network.
        std: Channel deviations in RGB, 0..1; divided by inside the network.
        precision: Type of the weights in the file.
        outputs: `logits` of float32 pictures; or `mask`, labels of raw frames, for other programs.
        batch: Number of pictures that a static graph takes at once; None where any number runs.
        source_sha256: Hash of the checkpoint that an exported file was made from.
        made_with: Product and library versions.
    """

    arch: str
    classes: tuple[str, ...]
    input_hw: tuple[int, int]
    stride: int
    canvas_hw: tuple[int, int] | None = None
    merged: tuple[str, ...] = ()
    layers: tuple[int, ...] = ()
    backbone: str = ""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    precision: str = "float32"
    outputs: str = "logits"
    batch: int | None = None
    source_sha256: str = ""
    made_with: str = ""

    @property
    def pad_rgb(self) -> tuple[float, float, float]:
        """Colour of the padding, RGB 0..1: the mean, so it is 0 after normalisation."""
        return self.mean

    def to_dict(self) -> dict[str, Any]:
        """Returns plain lists, numbers and strings, for a checkpoint or JSON."""
        return json.loads(self.to_json())  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """Returns one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Builds a spec from `to_dict`'s values.

        Raises:
            ArtifactError: A field is missing, unknown or of the wrong kind.
        """
        if not isinstance(values, dict):
            raise ArtifactError("The model's spec is not a JSON object.")
        values = {k: v for k, v in values.items() if k not in RETIRED or v != RETIRED[k]}
        kinds = {field.name: field.type for field in dataclasses.fields(cls)}
        unknown = sorted(map(str, set(values) - set(kinds)))
        if unknown:
            raise ArtifactError(
                f"The model's spec has fields this version does not know: {', '.join(unknown)}. "
                "It was made by another version of dinoseg; export or train it again."
            )
        values = tuples(values)
        for name, value in values.items():
            if expected := _expected(name, value, kinds[name]):
                raise ArtifactError(
                    f"The model's spec says {name} is {value!r}; expected {expected}. Export or "
                    "train it again."
                )
        try:
            return cls(**values)
        except TypeError as error:
            raise ArtifactError(f"The model's spec is incomplete: {error}.") from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Builds a spec from `to_json`'s text; raises ArtifactError as `from_dict` does."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ArtifactError(f"The model's spec is not JSON: {error}.") from error
        return cls.from_dict(values)


def _expected(name: str, value: Any, kind: Any) -> str:
    """Says what a field should have been; empty where it is that."""
    if not _is_of(value, kind):
        return kind.__name__ if isinstance(kind, type) else str(kind)
    if name == "classes" and not value:
        return "at least one name"
    if name in POSITIVE and value is not None:
        return "" if min(value if isinstance(value, tuple) else (value,)) > 0 else "more than 0"
    return ""


def _is_of(value: object, kind: Any) -> bool:
    """Tells whether a value is of a field's kind; a whole number is a float, too, but no bool."""
    if isinstance(kind, types.UnionType):
        return any(_is_of(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and _are_of(value, typing.get_args(kind))
    if kind is float:
        return _is_of(value, int) or (isinstance(value, float) and math.isfinite(value))
    return isinstance(value, kind) and not isinstance(value, bool)


def _are_of(values: tuple[object, ...], kinds: tuple[Any, ...]) -> bool:
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(values)
    return len(values) == len(kinds) and all(map(_is_of, values, kinds))
