"""The enums: plain words outside, facts inside."""

import importlib
import json
import re

import numpy as np
import onnx
import pytest
import torch

from seg.kinds import Device, Engine, Precision
from tests.runtimes.test_contract import openvino


def test_files_and_flags_see_plain_words():
    assert json.dumps([Precision.INT8, Engine.TORCH, Device.AUTO]) == '["int8", "torch", "auto"]'
    assert f"{Precision.BFLOAT16} {Engine.OPENVINO}" == "bfloat16 openvino"
    assert Device.values() == ["auto", "cpu", "cuda"]
    assert all(type(word) is str for word in Engine.values())


def test_the_coarsest_is_the_one_that_loses_most():
    assert list(Precision) == ["float32", "float16", "bfloat16", "int8"]
    assert Precision.coarsest([Precision.BFLOAT16, Precision.FLOAT32]) is Precision.BFLOAT16
    assert Precision.coarsest([Precision.FLOAT16, Precision.INT8]) is Precision.INT8


@pytest.mark.parametrize("precision", Precision)
def test_other_libraries_know_the_types_by_these_names(precision):
    kind = onnx.TensorProto.DataType.Value(precision.onnx_type)
    assert onnx.helper.tensor_dtype_to_np_dtype(kind).name == precision
    assert isinstance(getattr(torch, precision), torch.dtype)
    if precision.openvino_hint:
        assert getattr(openvino.Type, precision.openvino_hint).get_type_name() in (
            precision.openvino_hint
        )
    steps = {"float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}
    if precision in steps:
        assert torch.finfo(getattr(torch, precision)).eps == np.float64(steps[precision])


def test_tensorrts_names_do_not_match_each_other():
    reported = [
        "Half",
        "BFloat16",
        "Float",
        "Channel major FP16 format where channel % 8 == 0",
        "BF16",
    ]
    patterns = {p: rf"\b({'|'.join(p.tensorrt_names)})\b" for p in Precision}
    found = [
        [p.value for p, pattern in patterns.items() if re.search(pattern, s)] for s in reported
    ]
    assert found == [["float16"], ["bfloat16"], ["float32"], ["float16"], ["bfloat16"]]


def test_every_suffix_has_one_default_engine():
    assert Engine.all_suffixes() == [".engine", ".onnx", ".pt", ".xml"]
    assert Engine.readers(".onnx") == ["onnxruntime", "openvino"]
    assert Engine.readers(".xml") == ["openvino"] and Engine.readers(".tflite") == []


@pytest.mark.parametrize("engine", [e for e in Engine if e is not Engine.TENSORRT])
def test_every_engine_has_a_module_that_opens_files(engine):
    assert callable(importlib.import_module(engine.module).open_file)
