"""The model that commands run where none is named."""

from pathlib import Path

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
DEFAULT_MODEL = WEIGHTS / "person-lite.onnx"
