"""EngineMetadata: the `.engine.json` beside a TensorRT engine, which says what the engine is.

It is a file of its own because bytes before a plan keep TensorRT's own tools from loading it.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Self

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write
from seg.files.checksum import sha256_of
from seg.spec import ModelSpec

FORMAT = "dinoseg engine 1"
KEYS = {"precision_mode": "rung", "onnx_metadata": "metadata"}  # fields with other names in files


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GpuEnvironment:
    """What an engine is bound to.

    Attributes:
        tensorrt: Version of TensorRT, such as `10.3.0`.
        gpu: Name of the GPU.
        capability: Its compute capability, such as `8.7`.
    """

    tensorrt: str
    gpu: str
    capability: str

    def __str__(self) -> str:
        return f"TensorRT {self.tensorrt} on {self.gpu} ({self.capability})"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EngineMetadata:
    """What an engine is, where it was built, and how far its masks are from its source's.

    Attributes:
        spec: What the network is; `precision` is the one that was built.
        machine: Where it was built, and where alone it runs unless a flag below says more.
        plan_sha256: Hash of the engine file.
        onnx_sha256: Hash of the ONNX file that it was made from.
        precision_mode: The `seg.exporting.precision_modes.PrecisionMode` that was built.
        tensors: How many of the engine's tensors the inspector saw in each float type.
        batch: Largest batch.
        parity: `seg.verification.parity.Parity` with the ONNX file in float32, as plain numbers.
        version_compatible: Runs on later versions of TensorRT.
        hardware_compatible: Runs on every GPU of capability 8.0 or later.
        onnx_metadata: What an ONNX file carries beside its spec, by the same keys; what `Runtime`
            offers as `metadata`. Empty in files of older versions.
    """

    spec: ModelSpec
    machine: GpuEnvironment
    plan_sha256: str
    onnx_sha256: str
    precision_mode: str
    tensors: dict[str, int]
    batch: int
    parity: dict[str, Any]
    version_compatible: bool = False
    hardware_compatible: bool = False
    onnx_metadata: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = (*dataclasses.astuple(self.machine), self.plan_sha256, self.precision_mode)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a name or a hash is not text")
        if not isinstance(self.batch, int) or self.batch < 1:
            raise ValueError(f"its batch is {self.batch!r}")

    def incompatibilities(self, here: GpuEnvironment) -> list[str]:
        """Returns why the engine does not run `here`, a clause each; empty where it does."""
        reasons, built = [], self.machine
        newer = _numbers(here.tensorrt) >= _numbers(built.tensorrt)
        if here.tensorrt != built.tensorrt and not (self.version_compatible and newer):
            reasons.append(f"it was built by TensorRT {built.tensorrt}, here is {here.tensorrt}")
        same = (here.gpu, here.capability) == (built.gpu, built.capability)
        if not same and not (self.hardware_compatible and _numbers(here.capability) >= [8, 0]):
            reasons.append(
                f"it was built for {built.gpu} ({built.capability}), "
                f"here is {here.gpu} ({here.capability})"
            )
        return reasons

    def write(self, engine: Path) -> None:
        """Writes the metadata beside an engine, atomically; the engine is written before it."""
        with atomic_write(path_of(engine)) as part:
            fields = dataclasses.asdict(self) | {"spec": self.spec.to_dict()}
            values = {"format": FORMAT} | {KEYS.get(name, name): v for name, v in fields.items()}
            part.write_text(json.dumps(values, indent=2) + "\n", "utf-8")

    @classmethod
    def read(cls, engine: Path) -> Self:
        """Reads the metadata of an engine and checks that the two belong together.

        Raises:
            ArtifactError: A file is missing or damaged, or the two are not of one build.
        """
        path = path_of(engine)
        if not path.is_file():
            raise ArtifactError(
                f"No {path.name} beside {engine.name}, which says what the engine is; copy both, "
                "or build with export/to_trt.py."
            )
        try:
            values = json.loads(path.read_text("utf-8"))
            if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
                raise ValueError(f"its format is not '{FORMAT}'")
            fields = {name: values.pop(key) for name, key in KEYS.items() if key in values}
            fields["spec"] = ModelSpec.from_dict(values.pop("spec"))
            fields["machine"] = GpuEnvironment(**values.pop("machine"))
            metadata = cls(**values, **fields)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ArtifactError(
                f"{path.name} is damaged or of another version ({error}); build the engine again."
            ) from error
        if metadata.plan_sha256 != sha256_of(engine):
            raise ArtifactError(
                f"{engine.name} is not the engine that {path.name} describes: one of them is cut, "
                "or of another build. Copy both, or build again: export/to_trt.py --rebuild."
            )
        return metadata


def path_of(engine: Path) -> Path:
    """Returns where the metadata of an engine is."""
    return engine.with_name(engine.name + ".json")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
