"""The report of `make trt-check`, on a stand-in for TensorRT. Nothing here ran on a GPU."""

import subprocess

import pytest

from export import to_trt, trt_check
from seg import cli
from seg.exporting import engine_report
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import ViTConfig
from seg.models.checkpoint import load_net
from tests.export.hand_made import network


@pytest.mark.parametrize("fails", [False, True])
def test_the_report_of_make_trt_check(tensorrt, tmp_path, monkeypatch, capsys, fails):
    """A process of its own sees no stand-in, so to_trt.py runs in this one."""
    lite, folder = network(tmp_path / "lite.onnx"), tmp_path / "check"

    def run(command, **_):
        if not command[1].endswith("to_trt.py"):
            raise FileNotFoundError
        words = [word.replace(str(folder / "random-dinov2.pt"), str(lite)) for word in command[2:]]
        code = cli.run(to_trt.main, [*words, "--input", str(lite.parent / "frames")])
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(command, code, captured.out, captured.err)

    monkeypatch.setattr(engine_report.subprocess, "run", run)
    monkeypatch.setattr(engine_report, "save_random_dinov2", lambda path: None)
    tensorrt.build_fails = fails
    flags = ["--output", str(folder), "--models", str(lite), "--runs", "3", "--imgsz", "96", "64"]
    assert cli.run(trt_check.main, flags) == fails
    report = (folder / "report.txt").read_text()
    assert capsys.readouterr().out == report
    assert "No NVIDIA driver here" in report and "torch       2." in report
    if fails:
        assert "lite.onnx: exit code 1" in report and "any implementation" in report
    else:
        for part in ("exit code 0", "rung float16", "'agreement': 1.0", "96x64, 3 runs: p50"):
            assert report.count(part) == 2


def test_the_random_dinov2_is_one(tmp_path, monkeypatch):
    tiny = ViTConfig(embed_dim=48, depth=4, num_heads=3)
    monkeypatch.setitem(BACKBONES, "dinov2_vits14", dinov2("dinov2_vits14", tiny))
    for name in ("one.pt", "two.pt"):
        engine_report.save_random_dinov2(tmp_path / name)
    net, spec = load_net(tmp_path / "one.pt")
    assert (spec.arch, spec.backbone, spec.stride) == ("dinov2_vits14", "random", 14)
    other = load_net(tmp_path / "two.pt")[0].state_dict()
    assert all(other[key].equal(value) for key, value in net.state_dict().items())
