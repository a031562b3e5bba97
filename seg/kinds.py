"""Precision, Engine and Device: plain strings in files and flags, each with what is known of it.

One table each. Tasks are not here: a task is a string that registries look up.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """A word that files and flags contain as it is."""

    @classmethod
    def values(cls) -> list[str]:
        """Returns all words as plain strings, for argparse."""
        return [member.value for member in cls]


class Precision(Word):
    """A numeric type of weights and of arithmetic, listed from the finest to the coarsest.

    torch and numpy call each by its value; the other libraries have names of their own.

    Attributes:
        onnx_type: Name of the tensor type in ONNX.
        openvino_hint: Name of the inference precision in OpenVINO; empty where there is none.
        tensorrt_names: How TensorRT's engine inspector calls tensors of this type.
    """

    onnx_type: str
    openvino_hint: str
    tensorrt_names: tuple[str, ...]

    FLOAT32 = "float32", "FLOAT", "f32", ("Float", "FP32")
    FLOAT16 = "float16", "FLOAT16", "f16", ("Half", "FP16")
    BFLOAT16 = "bfloat16", "BFLOAT16", "bf16", ("BFloat16", "BF16")
    INT8 = "int8", "INT8", "", ("Int8", "INT8")

    def __new__(
        cls,
        value: str,
        onnx_type: str = "",
        openvino_hint: str = "",
        tensorrt_names: tuple[str, ...] = (),
    ) -> Self:
        """Makes a member: the string, with its facts as attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.onnx_type, member.openvino_hint = onnx_type, openvino_hint
        member.tensorrt_names = tensorrt_names
        return member

    @classmethod
    def coarsest(cls, precisions: Iterable["Precision"]) -> "Precision":
        """Returns the one that loses most, of at least one."""
        return max(precisions, key=list(cls).index)


class Device(Word):
    """Where a network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Engine(Word):
    """A library that runs networks; its value is the name of the package to import.

    Attributes:
        display_name: Its name in messages.
        module: The module of this library with `open_file`.
        suffixes: The files it reads. The first engine that lists a suffix is its default.
        precisions: What it can be asked to compute in; empty where the file decides.
        modes: Ways to run that can be asked for.
        devices: Where it can run; `auto` takes the last that is there.
    """

    display_name: str
    module: str
    suffixes: tuple[str, ...]
    precisions: tuple[Precision, ...]
    modes: tuple[str, ...]
    devices: tuple[Device, ...]

    ONNXRUNTIME = (
        "onnxruntime", "ONNX Runtime", "seg.runtimes.ort", (".onnx",), (), (),
        (Device.CPU, Device.CUDA),
    )  # fmt: skip
    OPENVINO = (
        "openvino", "OpenVINO", "seg.runtimes.ov", (".xml", ".onnx"),
        (Precision.FLOAT32, Precision.BFLOAT16), (), (Device.CPU,),
    )  # fmt: skip
    TORCH = (
        "torch", "torch", "seg.runtimes.pytorch", (".pt",),
        (Precision.FLOAT32, Precision.FLOAT16, Precision.BFLOAT16), ("compile", "graph"),
        (Device.CPU, Device.CUDA),
    )  # fmt: skip
    TENSORRT = (
        "tensorrt", "TensorRT", "seg.runtimes.trt", (".engine",), (), (), (Device.CUDA,),
    )  # fmt: skip

    def __new__(
        cls,
        value: str,
        display_name: str = "",
        module: str = "",
        suffixes: tuple[str, ...] = (),
        precisions: tuple[Precision, ...] = (),
        modes: tuple[str, ...] = (),
        devices: tuple[Device, ...] = (),
    ) -> Self:
        """Makes a member: the string, with its facts as attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.display_name, member.module, member.suffixes = display_name, module, suffixes
        member.precisions, member.modes, member.devices = precisions, modes, devices
        return member

    @classmethod
    def readers(cls, suffix: str) -> "list[Engine]":
        """Returns the engines that read files with a suffix, the default first."""
        return [engine for engine in cls if suffix in engine.suffixes]

    @classmethod
    def all_suffixes(cls) -> list[str]:
        """Returns every suffix that some engine reads, sorted."""
        return sorted({suffix for engine in cls for suffix in engine.suffixes})
