"""Checks of video: H.264 is written and read back, a window could open."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np

from seg.doctor.check import Check, first_line
from seg.runtimes import environment
from seg.video.mp4 import Encoder, count_frames
from seg.video.sources import VideoFile


def check_h264(folder: Path) -> Check:
    """Encodes three frames, counts them, and decodes them again.

    Args:
        folder: Where the video may be written.
    """
    path = folder / "three.mp4"
    images = [np.full((48, 64, 3), gray, np.uint8) for gray in (40, 120, 200)]
    try:
        with path.open("w+b") as file:
            encoder = Encoder(file, images[0], 25.0)
            for index, image in enumerate(images):
                encoder.write(image, index / 25)
            encoder.close(is_complete=True)
        with VideoFile(path) as source:
            means = [float(frame.image.mean()) for frame in source]
    except Exception as error:  # PyAV passes on whatever FFmpeg or the system says
        return Check("h264", "fail", f"cannot write and read H.264: {first_line(error)}")
    expected = [float(image.mean()) for image in images]
    if count_frames(path) != 3 or not np.allclose(means, expected, atol=4):
        return Check("h264", "fail", f"wrote grays {expected}, read {means}; reinstall av")
    return Check("h264", "ok", "3 frames encoded with libx264, decoded, and the same")


def check_windows() -> Check:
    """Says which OpenCV won the folder that its wheels share, and whether a window can open."""
    wheels = list(environment.versions(environment.OPENCV_WHEELS))[1:]  # after Python's
    gui = cv2.currentUIFramework()
    found = f"OpenCV {cv2.__version__} of {' and '.join(wheels) or 'the system'}"
    if not gui:
        remedy = "pip install --force-reinstall --no-deps opencv-python"
        return Check("windows", "absent", f"{found} has no windows, so no --show: {remedy}")
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        return Check("windows", "absent", f"{found} has {gui}; DISPLAY is not set, so no --show")
    return Check("windows", "ok", f"{found} has {gui}")
