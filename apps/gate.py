"""Says that this command has another name now: apps/check_parity.py."""

from collections.abc import Sequence

from seg import cli
from seg.errors import SegError


def main(argv: Sequence[str] | None = None) -> int:
    """Raises SegError with the new name."""
    raise SegError("apps/gate.py is now apps/check_parity.py, with the same flags.")


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
