"""apps/doctor.py on this machine, and on machines that lack something."""

import hashlib
import json
import sys

import numpy as np
import onnx
import pytest

from seg import cli
from seg.doctor import video
from seg.kinds import Engine
from seg.predictors.segmenter import Segmenter
from seg.runtimes.fake import FakeRuntime
from seg.verification.self_test import GOLDEN_KEY, record


@pytest.fixture
def run_doctor(load_app, tiny, capsys):
    app = load_app("doctor")

    def run(model=tiny):
        code = cli.run(app.main, ["--model", str(model), "--json"])
        report = json.loads(capsys.readouterr().out)
        return code, report["runs"], {one["name"]: one for one in report["checks"]}

    return run


def test_it_says_what_runs(run_doctor, tiny):
    code, runs, found = run_doctor()
    assert (code, runs) == (0, True)
    assert {*Engine, "h264", "model", "windows", "versions", "processor", "gpu"} <= set(found)
    for name in ("onnxruntime", "openvino", "torch", "h264", "versions"):
        assert found[name]["state"] == "ok"
    assert "OpenVINO 20" in found["openvino"]["text"]
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert digest in found["model"]["text"] and "ExecutionProvider" in found["model"]["text"]
    assert f"numpy {np.__version__}" in found["versions"]["text"]


def test_one_line_for_each_check(load_app, tiny, capsys):
    assert cli.run(load_app("doctor").main, ["--model", str(tiny)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.split()[0] in ("ok", "absent", "fail") for line in lines)
    assert any(line.startswith("ok      model") for line in lines)


def test_a_model_that_fails_is_exit_code_one(run_doctor, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    code, runs, found = run_doctor(tmp_path / "broken.onnx")
    assert (code, runs) == (1, False)
    assert found["model"]["state"] == "fail" and "broken.onnx" in found["model"]["text"]


def test_a_model_whose_scores_are_off_is_a_failure(run_doctor, tiny, tmp_path):
    model = onnx.load(str(tiny))
    properties = {prop.key: prop.value for prop in model.metadata_props}
    wave = np.indices((16, 24)).sum(0) % 2
    other = FakeRuntime(lambda x: np.float32([[wave, -wave]]), Segmenter(tiny).runtime.spec)
    properties[GOLDEN_KEY] = record(other)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(tmp_path / "off.onnx"))
    code, _, found = run_doctor(tmp_path / "off.onnx")
    assert code == 1 and "does not compute what the model's source did" in found["model"]["text"]


def test_what_is_missing_is_absent_and_no_failure(run_doctor, monkeypatch):
    monkeypatch.delitem(sys.modules, "seg.runtimes.ov", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(video.cv2, "currentUIFramework", lambda: "")
    monkeypatch.setenv("PATH", "")
    code, _, found = run_doctor()
    assert code == 0
    assert found["openvino"]["state"] == found["gpu"]["state"] == "absent"
    assert "pip install openvino" in found["openvino"]["text"]
    assert found["windows"]["state"] == "absent"
    assert "pip install --force-reinstall --no-deps opencv-python" in found["windows"]["text"]
