"""Every TensorRT name that the code uses exists, with the signature that is relied on."""

import ast
import re

import pytest

from tests.runtimes.trt_api import SOURCES, WHEELS, listed, real_api, used, uses

FORBIDDEN = "EXPLICIT_BATCH|FP16|INT8|Calibrator|OBEY_PRECISION|execute_async_v2|num_bindings"


@pytest.mark.parametrize("version", WHEELS)
def test_every_name_in_the_code_is_in_the_list(version):
    api = listed()[version]
    assert {path.name for path in SOURCES} == {"trt.py", "tensorrt.py"}
    for path in SOURCES:
        assert not uses(path.read_text(), api).missing, path
    assert used(api) == set(api)
    for name in ("Builder.build_serialized_network", "OnnxParser.parse", "BuilderFlag.TF32",
                 "IExecutionContext.execute_async_v3", "EngineInspector.get_engine_information",
                 "ITimingCache.serialize", "ParserError.desc", "ITensor.shape",
                 "IBuilderConfig.get_timing_cache"):  # fmt: skip
        assert name in api


def test_names_that_are_gone_are_never_used():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "attr", getattr(node, "id", getattr(node, "arg", "")))
            assert not re.search(FORBIDDEN, str(name))


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("trt.BuilderFlag.FP16", "BuilderFlag.FP16"),
        ("trt.Builder(log).build_cuda_engine", "Builder.build_cuda_engine"),
        ("b = trt.Builder(log)\nb.create_network(1, 2)", "Builder.create_network with 2"),
        ("trt.Builder()", "Builder.__init__ with 0"),
        ("trt.Builder(log).create_builder_config().int8_calibrator", "IBuilderConfig.int8_"),
        ("def f(e: trt.ICudaEngine):\n  for i in range(e.num_bindings): pass", "ICudaEngine.num_b"),
        ("class A:\n def f(self, c: trt.IExecutionContext):\n  self.c = c\n  self.c.execute_v9()",
         "IExecutionContext.execute_v9"),
    ],
)  # fmt: skip
def test_planted_mistakes_are_found(code, missing):
    for api in listed().values():
        assert any(m.startswith(missing) for m in uses(code, api).missing)


@pytest.mark.parametrize("version", WHEELS)
def test_the_list_is_what_the_bindings_have(version, tmp_path):
    try:
        real = real_api(version, tmp_path)
    except LookupError as error:
        pytest.skip(f"tensorrt: {error}")
    known = listed()[version]
    assert {name: real.get(name) for name in known} == known
    for path in SOURCES:
        assert not uses(path.read_text(), real).missing
    assert used(real) == set(known)
