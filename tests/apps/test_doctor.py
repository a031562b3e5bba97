"""apps/doctor.py on this machine, and on machines that lack something."""

import hashlib
import json
import sys

import numpy as np
import onnx
import pytest

from seg import cli, doctor
from seg.kinds import Engine
from seg.predictors.segmenter import Segmenter
from seg.runtimes import environment
from seg.runtimes.fake import FakeRuntime
from seg.verification.self_test import GOLDEN_KEY, record


@pytest.fixture
def examine(load_app, tiny, capsys):
    app = load_app("doctor")

    def run(model=tiny):
        code = cli.run(app.main, ["--model", str(model), "--json"])
        report = json.loads(capsys.readouterr().out)
        return code, report["runs"], {one["name"]: one for one in report["findings"]}

    return run


def test_it_says_what_runs(examine, tiny):
    code, runs, found = examine()
    assert (code, runs) == (0, True)
    assert {*Engine, "h264", "model", "windows", "versions", "processor", "gpu"} <= set(found)
    for name in ("onnxruntime", "openvino", "torch", "h264", "versions"):
        assert found[name]["state"] == "ok"
    assert "OpenVINO 20" in found["openvino"]["text"]
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert digest in found["model"]["text"] and "ExecutionProvider" in found["model"]["text"]
    assert f"numpy {np.__version__}" in found["versions"]["text"]


def test_lines_for_people(load_app, tiny, capsys):
    assert cli.run(load_app("doctor").main, ["--model", str(tiny)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.split()[0] in ("ok", "absent", "fault") for line in lines)
    assert any(line.startswith("ok      model") for line in lines)


def test_a_model_that_fails_is_exit_code_one(examine, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    code, runs, found = examine(tmp_path / "broken.onnx")
    assert (code, runs) == (1, False)
    assert found["model"]["state"] == "fault" and "broken.onnx" in found["model"]["text"]


def test_a_model_whose_scores_are_off_is_a_fault(examine, tiny, tmp_path):
    model = onnx.load(str(tiny))
    properties = {prop.key: prop.value for prop in model.metadata_props}
    wave = np.indices((16, 24)).sum(0) % 2
    other = FakeRuntime(lambda x: np.float32([[wave, -wave]]), Segmenter(tiny).runtime.spec)
    properties[GOLDEN_KEY] = record(other)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(tmp_path / "off.onnx"))
    code, _, found = examine(tmp_path / "off.onnx")
    assert code == 1 and "does not compute what the model's source did" in found["model"]["text"]


def test_what_is_missing_is_absent_and_no_fault(examine, monkeypatch):
    monkeypatch.delitem(sys.modules, "seg.runtimes.ov", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(doctor.cv2, "currentUIFramework", lambda: "")
    monkeypatch.setenv("PATH", "")
    code, _, found = examine()
    assert code == 0
    assert found["openvino"]["state"] == found["gpu"]["state"] == "absent"
    assert "pip install openvino" in found["openvino"]["text"]
    assert found["windows"]["state"] == "absent"
    assert "pip install --force-reinstall --no-deps opencv-python" in found["windows"]["text"]


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [
        ("echo 'NVIDIA X, 600.1, 8000 MiB'", "ok", "NVIDIA X, 600.1, 8000 MiB"),
        ("echo 'driver not loaded'; exit 9", "fault", "nvidia-smi fails: driver not loaded."),
        ("/bin/sleep 5", "fault", "nvidia-smi gave no answer in 0.2 s."),
    ],
)
def test_a_gpu_is_named_with_its_driver_and_a_driver_that_hangs_is_a_fault(
    tmp_path, monkeypatch, script, state, said
):
    query = environment.query_gpus
    seconds = 0.2 if "sleep" in script else 20.0
    monkeypatch.setattr(environment, "query_gpus", lambda *f: query(*f, timeout_s=seconds))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert doctor._gpu() == doctor.Finding("gpu", state, said)


def test_broken_video_and_a_full_disk_are_faults(tmp_path, monkeypatch):
    def refuse(*words):
        raise ValueError("no encoder libx264\nsecond line")

    monkeypatch.setattr(doctor, "Encoder", refuse)
    found = doctor._h264(tmp_path)
    assert found.state == "fault" and found.text.endswith("H.264: no encoder libx264")
    usage = type("Usage", (), {"free": 20_000_000})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: usage)
    assert doctor._disk(tmp_path).state == "fault"


def test_an_engine_that_computes_nonsense_is_a_fault(monkeypatch, tmp_path):
    made = FakeRuntime(lambda x: x[:, 1:])
    made.spec = Segmenter(FakeRuntime(lambda x: x)).runtime.spec
    monkeypatch.setattr(doctor, "open_runtime", lambda *words: made)
    (found,) = doctor._engine(Engine.ONNXRUNTIME, tmp_path)
    assert found.state == "fault" and "wrong values" in found.text
