"""What a figure was measured on."""

from seg.runtimes import environment as machine


def test_gpus_are_what_their_driver_says(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu() == ""
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'NVIDIA T4'\necho 'NVIDIA T4'\n")
    driver.chmod(0o755)
    assert machine.gpu() == "NVIDIA T4, NVIDIA T4"
    driver.write_text("#!/bin/sh\necho 'no driver'\nexit 9\n")
    assert machine.gpu() == ""
