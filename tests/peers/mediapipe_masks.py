"""Segments images with MediaPipe's selfie models; needs mediapipe==0.10.21 and nothing of dinoseg.

    python tests/peers/mediapipe_masks.py --images images.json --output masks

images.json is a list of paths. For each model the folder masks/general or masks/landscape gets
0.png, 1.png and so on, 255 where a person is, and times.json the seconds of each image.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

MODELS = {"general": 0, "landscape": 1}


def main() -> int:
    """Segments; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    paths = json.loads(args.images.read_text())
    for name, selection in MODELS.items():
        folder = args.output / name
        folder.mkdir(parents=True, exist_ok=True)
        times = []
        with SelfieSegmentation(model_selection=selection) as model:
            for index, path in enumerate(paths):
                image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
                started = time.perf_counter()
                # Its solution is for video and may carry masks over; a new image is a new video.
                model.reset()
                mask = (model.process(image).segmentation_mask > 0.5).astype("uint8") * 255
                times.append(time.perf_counter() - started)
                cv2.imwrite(str(folder / f"{index}.png"), mask)
        (folder / "times.json").write_text(json.dumps(times))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
