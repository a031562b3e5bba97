"""What the set-up leaves: an OpenCV with windows, whatever albumentations brought along."""

import importlib.metadata

import cv2


def test_opencv_has_its_windows():
    lines = [line.split(":")[1].strip() for line in cv2.getBuildInformation().splitlines()
             if line.strip().startswith("GUI:")]  # fmt: skip
    assert lines and lines[0] not in ("", "NONE")


def test_the_headless_wheel_is_gone():
    names = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    assert "opencv-python" in names and "opencv-python-headless" not in names
