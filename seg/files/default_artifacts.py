"""The model that is used where none is named."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED, _CHECKOUT = _PACKAGE / "weights", _PACKAGE.parent / "weights"
# A wheel carries the folder inside the package; a checkout has it beside the package.
WEIGHTS = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
DEFAULT_MODEL = WEIGHTS / "person-lite.onnx"
